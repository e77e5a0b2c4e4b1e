"""Features are read as `surgcam export features` writes them."""

from __future__ import annotations

import numpy as np
import pytest
import surgcam

FRAMES = {
    # Two regions of a class are in the order of y1, x1, y2, x2, whatever their index is.
    "seq_1/frame002": [(2, 1, 30, 5, 40, 20), (2, 0, 3, 10, 20, 15), (9, 0, 0, 0, 4, 4)],
    "seq_1/frame010": [],
    # A name of a frame may have what separates the parts of a file's name.
    "video_7/a_b_1": [(0, 0, 0, 0, 320, 256)],
}


def test_a_region_has_its_class_its_box_and_its_frame(export):
    folder = export("gc-a/l-fe_roi0.3_pool512", FRAMES)
    found = surgcam.features(folder.parent.parent)
    assert list(found) == ["gc-a/l-fe_roi0.3_pool512"]
    features = found["gc-a/l-fe_roi0.3_pool512"]
    assert features.frames == ("seq_1/frame002", "seq_1/frame010", "video_7/a_b_1")
    assert features.values.shape == (4, 512) and features.values.dtype == np.float32
    # The test's rows say themselves what they are of.
    assert np.array_equal(features.values[:, 0], features.classes)
    assert np.array_equal(features.values[:, 1:5], features.boxes)
    assert features.frame_of.tolist() == [0, 0, 0, 2]
    assert len(features) == 4


def test_a_frame_without_a_region_is_a_frame(export):
    features = surgcam.features(export("m/e", FRAMES))["m/e"]
    assert len(features.of_frame("seq_1/frame010")) == 0
    one = features.of_frame("video_7/a_b_1")
    assert one.boxes.tolist() == [[0, 0, 320, 256]] and one.frames == ("video_7/a_b_1",)
    with pytest.raises(KeyError):
        features.of_frame("seq_1/frame011")


def test_what_is_not_an_export_is_refused(export, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="has no features: `surgcam export features"):
        surgcam.features(empty)
    folder = export("m/e", FRAMES)
    next((folder / "per_region/seq_1").glob("*_9_*")).unlink()
    with pytest.raises(ValueError, match="has 2 regions of this frame"):
        surgcam.features(folder)


def test_an_experiment_is_exported_and_a_run_with_its_overrides(export, pretend):
    folder = export("m/e", FRAMES).parent.parent
    said = pretend(
        f"""case "$1" in
        show) echo '{{"asked": {{"experiment": "mine", "set": ["model.epochs=2"]}}}}' ;;
        export) while [ "$1" != --out ]; do shift; done; cp -r '{folder}'/. "$2" ;;
        esac"""
    )
    assert list(surgcam.features("quickstart", "--device", "cpu")) == ["m/e"]
    assert list(surgcam.features("20260131T120000123-77")) == ["m/e"]
    commands = [line.split(" --out ")[0] for line in said.read_text().splitlines()]
    assert commands == [
        "export features quickstart --device cpu",
        "show run 20260131T120000123-77 --json",
        "export features mine --set=model.epochs=2",
    ]


def test_torch_takes_batches_of_regions(export):
    data = pytest.importorskip("torch.utils.data")
    dataset = surgcam.features(export("m/e", FRAMES))["m/e"].dataset()
    assert isinstance(dataset, data.Dataset)
    (batch,) = data.DataLoader(dataset, batch_size=4)
    assert batch["features"].shape == (4, 512)
    assert batch["class"].tolist() == [2, 2, 9, 0]
    assert batch["box"].shape == (4, 4)
    assert batch["frame"] == ["seq_1/frame002"] * 3 + ["video_7/a_b_1"]

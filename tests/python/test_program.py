"""The Python side starts the program and reads what it says."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import surgcam


def test_options_and_overrides_reach_the_program(pretend):
    said = pretend("")
    surgcam.run("mine", "--jobs", "2", set={"model.epochs": 2, "model.init": "random", "a.b": [1]})
    assert said.read_text() == (
        'run mine --jobs 2 --set model.epochs=2 --set model.init="random" --set a.b=[1]\n'
    )


def test_a_failure_has_its_exit_code_and_its_message(pretend):
    pretend("echo 'error: no such thing' >&2; exit 2")
    with pytest.raises(surgcam.SurgcamError, match="ended with exit code 2") as failure:
        surgcam.run("mine")
    assert failure.value.code == 2
    with pytest.raises(surgcam.SurgcamError, match="error: no such thing"):
        surgcam.tables("mine")


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_tables_are_frames_of_the_library_that_is_there(pretend, monkeypatch, library):
    pytest.importorskip(library)
    import_module = importlib.import_module

    def only(name: str):
        if name != library:
            raise ImportError(name)
        return import_module(name)

    monkeypatch.setattr(importlib, "import_module", only)
    pretend(
        """echo '{"speed": {"title": "", "notes": [], "columns": ["mode", "FPS"],
        "rows": [["l-fe", null], ["sl-fe", 2.5]]}}'"""
    )
    table = surgcam.tables("mine")["speed"]
    assert type(table).__module__.startswith(library)
    assert list(table.columns) == ["mode", "FPS"] and table.shape == (2, 2)
    assert table["FPS"].to_list()[1] == 2.5


def test_an_experiment_from_the_run_to_its_tables_and_features(project):
    surgcam.run("small", "--device", "cpu", project=project)
    tables = surgcam.tables("small", project=project)
    assert list(tables) == ["classification", "extraction"]
    assert len(tables["extraction"]) == 2
    features = surgcam.features("latest", project=project)
    assert sorted(features) == ["tiny/l-fe_roi0.3_pool512", "tiny/sl-fe_roi0.3_pool512"]
    out = project / "exported"
    surgcam._program.ask(["export", "features", "small", "--out", str(out)], project)
    for name, of_cell in features.items():
        assert len(of_cell.frames) == 12
        # Each row is the vector of the region's own file.
        files = sorted((out / name / "per_region").rglob("*.npz"))
        assert len(files) == len(of_cell)
        for values, class_id, box, frame in zip(
            of_cell.values, of_cell.classes, of_cell.boxes, of_cell.frame_of
        ):
            corners = ",".join(map(str, box))
            (file,) = (out / name / "per_region").glob(
                f"{of_cell.frames[frame]}_{class_id}_*_{corners}.npz"
            )
            assert np.array_equal(np.load(file)["feat"], values)


def test_a_mistake_in_an_experiment_is_told(project):
    with pytest.raises(surgcam.SurgcamError, match="small") as failure:
        surgcam.tables("smal", project=project)
    assert failure.value.code == 2

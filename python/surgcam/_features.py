"""Features of regions, as `surgcam export features` writes them (docs/contract.md)."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._program import PathLike, ask

if TYPE_CHECKING:
    from ._dataset import FeatureDataset

#: Below the folder of a cell of the matrix.
PER_FRAME, PER_REGION = "per_frame", "per_region"

#: The id of a run: when it began, and the process that it was.
_RUN = re.compile(r"[0-9]{8}T[0-9]{9}-[0-9]+")


@dataclass(frozen=True)
class Features:
    """The features of one model in one extraction: a row for each region.

    Rows are sorted by frame, then by class, then by box. Regions of one frame are one after
    another, and frames without a region have no row.
    """

    #: f32 [regions, 512].
    values: npt.NDArray[np.float32]
    #: i64 [regions]: ids of the label space.
    classes: npt.NDArray[np.int64]
    #: i64 [regions, 4]: x1, y1, x2, y2 in the resized picture; the whole picture for SL-FE.
    boxes: npt.NDArray[np.int64]
    #: i64 [regions]: which of `frames` each region is in.
    frame_of: npt.NDArray[np.int64]
    #: All frames, as in `seq_1/frame010`, those without a region among them.
    frames: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def of_frame(self, frame: str) -> Features:
        """The regions of one frame.

        Raises:
            KeyError: there is no such frame.
        """
        if frame not in self.frames:
            raise KeyError(frame)
        rows = self.frame_of == self.frames.index(frame)
        return Features(
            values=self.values[rows],
            classes=self.classes[rows],
            boxes=self.boxes[rows],
            frame_of=np.zeros(int(rows.sum()), dtype=np.int64),
            frames=(frame,),
        )

    def dataset(self) -> FeatureDataset:
        """A `torch.utils.data.Dataset` of the regions: dictionaries with `features`, `class`, `box`
        and `frame`, which a `DataLoader` puts together into batches.

        Raises:
            ImportError: torch is not installed.
        """
        from ._dataset import FeatureDataset

        return FeatureDataset(self)


def features(
    run_or_folder: PathLike, *options: str, project: PathLike | None = None
) -> dict[str, Features]:
    """The features of an experiment.

    Args:
        run_or_folder: a folder that `surgcam export features` wrote, or the folder of one cell in
            it; an experiment's file, or the name of one in `experiments/`; or the id of a run, or
            `latest`, for the experiment and the overrides that it was run with. Stages of an
            experiment that are not in the store, or not any more, are run first.
        options: more options of `surgcam export features`, as in `"--set", "model.epochs=2"`.
        project: the project's folder; the working folder's project if left out.

    Returns:
        The features of each cell of the matrix by its place, `MODEL/EXTRACTION_roi{T}_pool{P}`.

    Raises:
        SurgcamError: the experiment is wrong, or a stage failed.
        ValueError: the folder has no features.
    """
    folder = Path(run_or_folder)
    if folder.is_dir():
        return _of_export(folder)
    asked = _asked_for(os.fspath(run_or_folder), project)
    with tempfile.TemporaryDirectory(prefix="surgcam-features-") as exported:
        ask(["export", "features", *asked, *options, "--out", exported], project)
        return _of_export(Path(exported))


def _asked_for(name: str, project: PathLike | None) -> list[str]:
    """An experiment with its overrides: those of a run, or the experiment alone."""
    if name != "latest" and not _RUN.fullmatch(name):
        return [name]
    asked = json.loads(ask(["show", "run", name, "--json"], project))["asked"]
    if asked is None:
        raise ValueError(f"the command of the run `{name}` was not about an experiment")
    return [asked["experiment"], *(f"--set={value}" for value in asked["set"])]


def _of_export(folder: Path) -> dict[str, Features]:
    if (folder / PER_FRAME).is_dir():
        place = folder.resolve()
        return {f"{place.parent.name}/{place.name}": _of_cell(folder)}
    cells = sorted(path.parent for path in folder.glob(f"*/*/{PER_FRAME}"))
    if not cells:
        raise ValueError(
            f"{folder} has no features: `surgcam export features EXPERIMENT --out {folder}` "
            "writes them"
        )
    return {str(cell.relative_to(folder)): _of_cell(cell) for cell in cells}


def _of_cell(folder: Path) -> Features:
    regions = _regions_of_frames(folder / PER_REGION)
    names: list[str] = []
    values: list[npt.NDArray[np.float32]] = []
    found: list[tuple[int, ...]] = []
    frame_of: list[int] = []
    root = folder / PER_FRAME
    for path in sorted(root.rglob("*.npy")):
        name = path.relative_to(root).with_suffix("").as_posix()
        rows = np.load(path, allow_pickle=False)
        of_frame = sorted(regions.get(name, []), key=_order_of_rows)
        if rows.ndim != 2 or len(rows) != len(of_frame):
            raise ValueError(
                f"{path} has the shape {rows.shape}, but {folder / PER_REGION} has "
                f"{len(of_frame)} regions of this frame; export the features again"
            )
        frame_of += [len(names)] * len(rows)
        names.append(name)
        values.append(rows)
        found += of_frame
    table = np.array(found, dtype=np.int64).reshape(-1, 6)
    width = values[0].shape[1] if values else 0
    return Features(
        values=np.concatenate(values) if values else np.zeros((0, width), dtype=np.float32),
        classes=table[:, 0],
        boxes=table[:, 2:],
        frame_of=np.array(frame_of, dtype=np.int64),
        frames=tuple(names),
    )


def _regions_of_frames(folder: Path) -> dict[str, list[tuple[int, ...]]]:
    """Class, index, x1, y1, x2 and y2 of the regions of each frame, which the names of their files
    tell: `seq_1/frame010_{class}_{index}_{x1},{y1},{x2},{y2}.npz`."""
    regions: dict[str, list[tuple[int, ...]]] = {}
    for path in folder.rglob("*.npz"):
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            frame, class_id, index, box = name.rsplit("_", 3)
            region = (int(class_id), int(index), *(int(side) for side in box.split(",")))
        except ValueError:
            raise ValueError(f"{path} is not named as `surgcam export features` does") from None
        regions.setdefault(frame, []).append(region)
    return regions


def _order_of_rows(region: tuple[int, ...]) -> tuple[Any, ...]:
    """The order of rows in a frame's array: by class, then by box (y1, x1, y2, x2)."""
    class_id, _index, x1, y1, x2, y2 = region
    return class_id, y1, x1, y2, x2

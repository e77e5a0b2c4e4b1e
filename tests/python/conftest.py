"""What the tests of the Python side share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

WIDTH = 512

#: A region: class, index in its class, and x1, y1, x2, y2.
Region = tuple[int, int, int, int, int, int]


@pytest.fixture
def export(tmp_path: Path) -> Callable[[str, dict[str, list[Region]]], Path]:
    """Writes an export of features as docs/contract.md describes it: rows in the order that is
    given, each with its class in its first number. Gives the folder of the cell."""

    def write(cell: str, frames: dict[str, list[Region]]) -> Path:
        folder = tmp_path / "exported" / cell
        for frame, regions in frames.items():
            rows = np.zeros((len(regions), WIDTH), dtype=np.float32)
            for row, (class_id, index, *box) in zip(rows, regions):
                row[0] = class_id
                row[1:5] = box
                corners = ",".join(map(str, box))
                region = folder / "per_region" / f"{frame}_{class_id}_{index}_{corners}.npz"
                region.parent.mkdir(parents=True, exist_ok=True)
                np.savez(region, feat=row)
            array = folder / "per_frame" / f"{frame}.npy"
            array.parent.mkdir(parents=True, exist_ok=True)
            np.save(array, rows)
        return folder

    return write


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in the place of the program. Gives the file in which each of its command
    lines becomes a line."""

    def replace(script: str) -> Path:
        said, program = tmp_path / "commands", tmp_path / "surgcam"
        program.write_text(f'#!/bin/sh\necho "$@" >> "{said}"\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("SURGCAM_PROGRAM", str(program))
        return said

    return replace


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project with an experiment `small`, which takes seconds, made by the real program."""
    import surgcam

    if "SURGCAM_PROGRAM" not in os.environ:
        pytest.skip("SURGCAM_PROGRAM does not name the program; scripts/python-check does")
    for name in ("SURGCAM_STORE", "SURGCAM_RESULTS", "SURGCAM_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    surgcam._program.ask(["init", str(folder)])
    (folder / "experiments/small.toml").write_text(SMALL)
    return folder


SMALL = """
[experiment]
name = "small"
speed = false
tables = ["classification", "extraction"]

[data.drawn]
extends = "sample-endovis18"
train = [2]
validation = [1]
frames_per_sequence = 6
picture_size = [64, 80]
image_size = [64, 80]

[model.tiny]
backbone = "resnet10"
data = "drawn"
init = "random"
epochs = 1
batch_size = 3

[matrix]
model = ["tiny"]
extraction = ["l-fe", "sl-fe"]
"extraction.roi_threshold" = [0.3]
"""

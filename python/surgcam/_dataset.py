"""Features as a dataset of torch, which only this file imports."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from ._features import Features


class FeatureDataset(Dataset[dict[str, Any]]):
    """The regions of `Features`, in their order.

    Each is a dictionary: `features` (f32 [512]), `class` (i64), `box` (i64 [4]: x1, y1, x2, y2) and
    `frame` (a text, as in `seq_1/frame010`).
    """

    def __init__(self, features: Features) -> None:
        self._values = torch.from_numpy(features.values)
        self._classes = torch.from_numpy(features.classes)
        self._boxes = torch.from_numpy(features.boxes)
        self._frames = [features.frames[place] for place in features.frame_of]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "features": self._values[index],
            "class": self._classes[index],
            "box": self._boxes[index],
            "frame": self._frames[index],
        }

"""What flows from data to training: one labelled picture, and a batch of training crops.

Masks and charts are labelled per cell of the stride-4 grid that the network predicts on, at the cell's centre.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

IGNORE = 255  # in an instance map: people that are neither to be found nor to be called background (crowds, slivers)
UNLABELLED = 255  # in a part map: nothing is known about this cell
UNKNOWN_UV = 0  # U and V both, where the chart is known: where on it is not


def named(instance: np.ndarray) -> np.ndarray:
    """An instance map of those people alone who are to be found: nobody (0) in the place of IGNORE."""
    return np.where(instance == IGNORE, 0, instance)


def knows_uv(uv: np.ndarray | Tensor) -> np.ndarray | Tensor:
    """[...] bool of U and V [..., 2]: whether it is known where on the chart a place lies."""
    return (uv != UNKNOWN_UV).any(-1)


@dataclass(frozen=True)
class Sample:
    """A picture with its labels, as a dataset gives it.

    image: [H, W, 3] uint8 RGB. instance: [H, W] uint8, 0 = nobody, 1..n = person, IGNORE. dense: [H, W] bool, what dense
    pose covers of the people. has_dense: [n] bool, people whose part of `dense` was annotated.
    Charts come either as maps (part [H, W] uint8, a chart, 0, UNLABELLED or a choice (`choices`); uv [H, W, 2] uint8 holding
    255 u and 255 v), or as points [P, 5] float32 (x, y in px, I, U, V).
    """

    image: np.ndarray
    instance: np.ndarray
    dense: np.ndarray
    has_dense: np.ndarray
    part: np.ndarray | None = None
    uv: np.ndarray | None = None
    points: np.ndarray | None = None

    @classmethod
    def without_people(cls, image: np.ndarray) -> Sample:
        nobody = np.zeros(image.shape[:2], np.uint8)
        return cls(
            image, nobody, nobody.astype(bool), np.zeros(0, bool), nobody, np.zeros((*nobody.shape, 2), np.uint8)
        )


@dataclass(frozen=True)
class Crop:
    """One training picture of S x S px with its labels on the grid of h = S/4 cells, numpy.

    image: [S, S, 3] uint8 RGB. instance: [h, h] uint8. owner: [h, h] uint8, the sites that the IUV branch works on and the
    person each belongs to (the instances, perhaps a little wider). part: [h, h] uint8. uv: [h, h, 2] float32.
    dense: [h, h] bool. boxes: [n, 4] xyxy px of person 1..n. has_dense: [n] bool.
    """

    image: np.ndarray
    instance: np.ndarray
    owner: np.ndarray
    part: np.ndarray
    uv: np.ndarray
    dense: np.ndarray
    boxes: np.ndarray
    has_dense: np.ndarray


@dataclass(frozen=True)
class Batch:
    """B crops as tensors, channels first, and their N people in one list.

    images: [B, 3, S, S] uint8. instance, owner, part: [B, h, w] uint8. uv: [B, 2, h, w] float32. dense: [B, h, w] bool.
    boxes: [N, 4] xyxy px. image_index, person: [N] int64, the crop a person is in and its number there (1..).
    has_dense: [N] bool.
    """

    images: Tensor
    instance: Tensor
    owner: Tensor
    part: Tensor
    uv: Tensor
    dense: Tensor
    boxes: Tensor
    image_index: Tensor
    person: Tensor
    has_dense: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})

    def pin_memory(self) -> Batch:
        return Batch(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


def collate(crops: list[Crop]) -> Batch:
    """Put crops of one size together."""

    def stack(name: str, channels_first: bool = False) -> Tensor:
        maps = torch.from_numpy(np.stack([getattr(crop, name) for crop in crops]))
        return maps.permute(0, 3, 1, 2).contiguous() if channels_first else maps

    counts = [len(crop.boxes) for crop in crops]
    return Batch(
        images=stack("image", channels_first=True),
        instance=stack("instance"),
        owner=stack("owner"),
        part=stack("part"),
        uv=stack("uv", channels_first=True),
        dense=stack("dense"),
        boxes=torch.from_numpy(np.concatenate([crop.boxes for crop in crops]).astype(np.float32)),
        image_index=torch.repeat_interleave(torch.arange(len(crops)), torch.tensor(counts)),
        person=torch.cat([torch.arange(1, n + 1) for n in counts]),
        has_dense=torch.from_numpy(np.concatenate([crop.has_dense for crop in crops])),
    )

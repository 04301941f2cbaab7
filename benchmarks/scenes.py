"""Pictures with as many people as wanted on as much of the picture as wanted, made from the example clip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch

from benchmarks.settings import CLIP
from ddp_video.decode import decode
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model
from ddp_video.structures import FrameBatch
from ddp_video.video import VideoReader

ROUNDS = 14  # of bisection
PERSON_HEIGHT = 400  # px, of a person at scale 1


@dataclass(frozen=True)
class Scene:
    """picture: [H, W, 3] uint8 RGB. masks: [N, H, W] bool, what is seen of each person; nobody hides anybody entirely."""

    picture: np.ndarray
    masks: np.ndarray

    @property
    def share(self) -> float:
        """Of the picture that is people."""
        return float(self.masks.any(0).mean())

    @property
    def boxes_xyxy(self) -> torch.Tensor:
        """[N, 4] float32 px."""
        rows, columns = self.masks.any(2), self.masks.any(1)
        height, width = self.masks.shape[1:]
        first, last = (
            [line.argmax(1) for line in (columns, rows)],
            [line[:, ::-1].argmax(1) for line in (columns, rows)],
        )
        return torch.from_numpy(np.stack([*first, width - last[0], height - last[1]], 1)).float()

    def batch(self) -> FrameBatch:
        """The picture as a batch of one frame."""
        return FrameBatch.of_picture(self.picture)


def make_scene(size: tuple[int, int], people: int, share: float) -> Scene:
    """People of one scale, one in each cell of a grid, over a blurred room; scaled until they cover `share` of `size` (H, W)."""
    small, large = 0.0, 8.0
    for _ in range(ROUNDS):
        scale = (small + large) / 2
        scene = _paste(size, people, scale)
        small, large = (scale, large) if scene.share < share else (small, scale)
    return scene


def _paste(size: tuple[int, int], people: int, scale: float) -> Scene:
    height, width = size
    backdrop, cutouts = _cast()
    picture = cv2.resize(backdrop, (width, height))
    masks = np.zeros((people, height, width), bool)
    rows = max(
        1, round((people * height / width / 2) ** 0.5)
    )  # a standing person's cell is twice as high as it is wide
    columns = -(-people // rows)
    for person in range(people):
        image, mask = cutouts[person % len(cutouts)]
        row, column = divmod(person, columns)
        centre = (column + 0.5) * width / columns, (row + 0.5) * height / rows
        scaled = max(2, round(image.shape[1] * scale)), max(2, round(image.shape[0] * scale))
        left, top = round(centre[0] - scaled[0] / 2), round(centre[1] - scaled[1] / 2)
        here = slice(max(top, 0), min(top + scaled[1], height)), slice(max(left, 0), min(left + scaled[0], width))
        there = tuple(
            slice(part.start - start, part.stop - start) for part, start in zip(here, (top, left), strict=True)
        )
        covers = cv2.resize(mask.astype(np.uint8), scaled, interpolation=cv2.INTER_NEAREST)[there] > 0
        picture[here][covers] = cv2.resize(image, scaled)[there][covers]
        masks[(slice(None), *here)] &= ~covers
        masks[(person, *here)] |= covers
    return Scene(picture, masks)


@cache
def _cast() -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """The clip's room, blurred, and the people of its first frame, of one height, as (picture, mask)."""
    batch = next(VideoReader(CLIP).batches(1))
    frame = batch.data[0].permute(1, 2, 0).numpy()
    instance = decode(DDPPredictor(load_model("ddp_lite")).predict(batch)[0]).instance.numpy()
    cutouts = []
    for person in range(1, instance.max() + 1):
        left, top, width, height = cv2.boundingRect((instance == person).astype(np.uint8))
        box = slice(top, top + height), slice(left, left + width)
        scaled = round(width * PERSON_HEIGHT / height), PERSON_HEIGHT
        mask = cv2.resize((instance[box] == person).astype(np.uint8), scaled, interpolation=cv2.INTER_NEAREST) > 0
        cutouts.append((cv2.resize(frame[box], scaled), mask))
    return cv2.GaussianBlur(frame, (0, 0), 40), cutouts

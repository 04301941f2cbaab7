"""People's masks at the size of the video, for tools that know nothing of our grid."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ddp_video import rle
from ddp_video.structures import Grid, Instances


def person_runs(instances: Instances, grid: Grid) -> list[np.ndarray]:
    """COCO run lengths, uint32, of each person's whole mask at `grid.frame_size`: where the interpolated logit is above 0."""
    logits = instances.mask_logits.float().numpy()
    return [_runs(plane, grid) for plane in logits]


def _runs(logits: np.ndarray, grid: Grid) -> np.ndarray:
    """logits: [rows, columns] of one person. Only the rectangle that can be above 0 is interpolated."""
    positive = logits > 0
    if not positive.any():
        return rle.encode(np.zeros((0, 0), bool), grid.frame_size)
    (cells_y, top, down), (cells_x, left, across) = (
        _rectangle(np.flatnonzero(positive.any(1 - axis)), _interpolation(grid, axis)) for axis in (0, 1)
    )
    mask = down @ logits[cells_y, cells_x] @ across.T > 0
    return rle.encode(mask, grid.frame_size, top, left)


def _rectangle(cells: np.ndarray, matrix: np.ndarray) -> tuple[slice, int, np.ndarray]:
    """Cells around the given ones, the first pixel that sees one of the given, and the interpolation between them."""
    near = slice(max(cells[0] - 1, 0), cells[-1] + 2)
    pixels = np.flatnonzero(matrix[:, cells[0] : cells[-1] + 1].any(1))
    return near, int(pixels[0]), matrix[pixels[0] : pixels[-1] + 1, near]


@lru_cache(maxsize=8)
def _interpolation(grid: Grid, axis: int) -> np.ndarray:
    """[pixels, cells] bilinear weights along one axis, align_corners=False, clamped at the borders."""
    pixels, cells = grid.frame_size[axis], grid.size[axis]
    position = np.clip((np.arange(pixels) + 0.5) / grid.pixels_per_cell[axis] - 0.5, 0, cells - 1)
    return np.maximum(1 - np.abs(position[:, None] - np.arange(cells)), 0).astype(np.float32)

"""People's masks at the size of the video, for tools that know nothing of our grid."""

from __future__ import annotations

import numpy as np

from ddp_video import rle
from ddp_video.interpolation import Window
from ddp_video.structures import Grid, Instances


def person_runs(instances: Instances, grid: Grid) -> list[np.ndarray]:
    """COCO run lengths, uint32, of each person's whole mask at `grid.frame_size`: where the interpolated logit is above 0."""
    logits = instances.mask_logits.float().numpy()
    return [_runs(plane, grid) for plane in logits]


def _runs(logits: np.ndarray, grid: Grid) -> np.ndarray:
    """logits: [rows, columns] of one person. Only the rectangle that can be above 0 is interpolated."""
    window = Window.around(logits > 0, grid)
    if window is None:
        return rle.encode(np.zeros((0, 0), bool), grid.frame_size)
    rows, columns = window.pixels
    return rle.encode(window.enlarge(logits, grid) > 0, grid.frame_size, rows.start, columns.start)

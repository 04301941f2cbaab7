"""From the stride-4 grid to the pixels of the frame: bilinear interpolation, align_corners=False.

The centre of frame pixel y lies at (y + 0.5) / pixels_per_cell - 0.5 on the grid, clamped to it. A person covers little of a
frame, so maps are interpolated within a window; and one axis after the other, each pixel from two cells.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ddp_video.structures import Grid


class Axis(NamedTuple):
    """Pixel p of one axis reads cells `low[p]` and `low[p]` + 1 with weights 1 - `high[p]`, `high[p]`; at the last cell `high`
    is 0."""

    low: np.ndarray
    high: np.ndarray

    def stretch(self, values: np.ndarray, cells: slice, pixels: slice) -> np.ndarray:
        """The values [n, m] of some cells of this axis at some of its pixels, which read no others."""
        low, last = self.low[pixels] - np.int32(cells.start), len(values) - 1
        found, above = values.take(low.clip(0, last), 0), values.take((low + 1).clip(0, last), 0)
        above -= found
        above *= self.high[pixels, None]
        found += above
        return found


@lru_cache(maxsize=8)
def axes(grid: Grid) -> tuple[Axis, Axis]:
    """Vertical and horizontal interpolation of a grid."""

    def axis(pixels: int, cells: int, pixels_per_cell: float) -> Axis:
        position = np.clip((np.arange(pixels) + 0.5) / pixels_per_cell - 0.5, 0, cells - 1)
        low = position.astype(np.int32)
        return Axis(low, (position - low).astype(np.float32))

    return tuple(axis(*of) for of in zip(grid.frame_size, grid.size, grid.pixels_per_cell, strict=True))


class Window(NamedTuple):
    """A rectangle of the frame, as (vertical, horizontal) slices of its pixels, and of the cells that they read."""

    cells: tuple[slice, slice]
    pixels: tuple[slice, slice]

    @classmethod
    def around(cls, positive: np.ndarray, grid: Grid) -> Window | None:
        """Where an interpolated map can be above 0 that is so at the cells `positive` [rows, columns] bool; None if nowhere."""
        if not positive.any():
            return None
        found = [
            _covered(np.flatnonzero(positive.any(1 - axis)), grid.pixels_per_cell[axis], grid.frame_size[axis])
            for axis in (0, 1)
        ]
        return cls(*zip(*found, strict=True))

    def enlarge(self, values: np.ndarray, grid: Grid) -> np.ndarray:
        """A map [rows, columns] float32 of the grid at this window's pixels."""
        vertical, horizontal = axes(grid)
        (cells_y, cells_x), (pixels_y, pixels_x) = self.cells, self.pixels
        wide = horizontal.stretch(values[cells_y, cells_x].T, cells_x, pixels_x)
        return vertical.stretch(wide.T, cells_y, pixels_y)


def _covered(cells: np.ndarray, pixels_per_cell: float, pixels: int) -> tuple[slice, slice]:
    """The pixels of one axis strictly between the neighbours of the given cells, and the cells that they read."""
    first, last = cells[0] - 1, cells[-1] + 1
    start, stop = (math.ceil((cell + 0.5) * pixels_per_cell - 0.5) for cell in (first, last))
    return slice(max(first, 0), last + 1), slice(max(start, 0), min(stop, pixels))

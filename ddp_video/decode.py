"""From the stride-4 prediction of a frame to its dense pose at full size (DESIGN section 3, last point).

No full-size 75-channel map is ever made. Masks are interpolated inside the rectangle that they cover; the 24 chart
logits only at pixels whose surrounding sites disagree about the chart (a convex combination cannot change the winner
where they agree, so this is exact); U and V only of the chart that won. Work follows the number of person pixels, not
the number of people.

Interpolation is bilinear with align_corners=False: the centre of frame pixel y lies at (y + 0.5) / pixels_per_cell - 0.5
on the grid, clamped to it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ddp_video.charts import NUM_CLASSES
from ddp_video.structures import DensePose, FramePrediction, Grid, Instances, SparseIUV

# Inside M_dp the chart is the best of classes 1..24: where dense pose ends is decided by M_dp alone. With 0 here, class
# 0 of I could punch holes into it.
FIRST_CLASS = 1

# A pixel reads the sites of its own person. Sites of somebody else count this much, which matters only where there
# are no others: two people's charts and coordinates never mix.
FOREIGN_WEIGHT = 1e-6

UNDECIDED = 255  # no chart yet


def decode(prediction: FramePrediction) -> DensePose:
    """Full-size dense pose of one frame.

    A pixel belongs to the person whose interpolated M_ins logit, if positive, plus log(score) is highest (ties: the
    higher score). It has a chart where that person's M_dp is positive too and an active site is near; U and V are
    clamped to 0..1. Elsewhere part, u and v are 0.
    """
    grid = prediction.grid
    instance, dense = _claim_pixels(prediction.instances, grid)
    part = np.zeros(grid.frame_size, np.uint8)
    uv = np.zeros((2, *grid.frame_size), np.float32)
    if len(prediction.iuv):
        pixels = np.flatnonzero(dense).astype(np.int32)
        corners = _corners(pixels, instance.ravel()[pixels] - 1, prediction.iuv, grid)
        chart = _charts(corners, prediction.iuv.logits)
        part[dense] = chart
        for plane, values in zip(uv, _coordinates(corners, chart, prediction.iuv.logits), strict=True):
            plane[dense] = values
    return DensePose(torch.from_numpy(part), torch.from_numpy(uv), torch.from_numpy(instance))


class Axis(NamedTuple):
    """Interpolation along one axis: pixel p reads cells `low[p]` and `low[p]` + 1 with weights 1 - `high[p]`, `high[p]`.

    `matrix` [pixels, cells] holds the same weights for products with whole maps.
    """

    low: np.ndarray
    high: np.ndarray
    matrix: np.ndarray


@lru_cache(maxsize=8)
def _axes(grid: Grid) -> tuple[Axis, Axis]:
    """Vertical and horizontal interpolation of a grid."""

    def axis(pixels: int, cells: int, pixels_per_cell: float) -> Axis:
        position = np.clip((np.arange(pixels) + 0.5) / pixels_per_cell - 0.5, 0, cells - 1)
        low = position.astype(np.int32)
        high = (position - low).astype(np.float32)
        matrix = np.zeros((pixels, cells + 1), np.float32)  # at the last cell `high` is 0: one column to spare
        matrix[np.arange(pixels), low] = 1 - high
        matrix[np.arange(pixels), low + 1] = high
        return Axis(low, high, np.ascontiguousarray(matrix[:, :cells]))

    return tuple(axis(*of) for of in zip(grid.frame_size, grid.size, grid.pixels_per_cell, strict=True))


def _covered(positive: np.ndarray, pixels_per_cell: float, pixels: int) -> tuple[slice, slice]:
    """Cells and pixels of one axis outside which the interpolated mask cannot be positive. positive: [cells] bool."""
    cells = np.flatnonzero(positive)
    first, last = cells[0] - 1, cells[-1] + 1
    start = max(int((first + 0.5) * pixels_per_cell - 0.5), 0)
    stop = min(int((last + 0.5) * pixels_per_cell + 0.5) + 1, pixels)
    return slice(max(first, 0), last + 1), slice(start, stop)


def _claim_pixels(instances: Instances, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Who owns each pixel (int32, 0 nobody, else 1 + row) and whether dense pose covers it (bool); both [H, W]."""
    vertical, horizontal = _axes(grid)
    (rows, columns), (height, width) = grid.pixels_per_cell, grid.frame_size
    instance = np.zeros(grid.frame_size, np.int32)
    dense = np.zeros(grid.frame_size, bool)
    best = np.full(grid.frame_size, -np.inf, np.float32)
    person_logits = instances.mask_logits.float().numpy()
    dense_logits = instances.dense_mask_logits.float().numpy()
    log_scores = instances.scores.float().clamp(min=1e-6).log().tolist()
    for row, log_score in enumerate(log_scores):
        positive = person_logits[row] > 0
        if not positive.any():
            continue
        cells_y, pixels_y = _covered(positive.any(1), rows, height)
        cells_x, pixels_x = _covered(positive.any(0), columns, width)
        down, right = vertical.matrix[pixels_y, cells_y], horizontal.matrix[pixels_x, cells_x].T
        person = down @ (person_logits[row, cells_y, cells_x] @ right)
        claim = person + log_score
        box = pixels_y, pixels_x
        won = (person > 0) & (claim > best[box])
        np.copyto(best[box], claim, where=won)
        np.copyto(instance[box], row + 1, where=won)
        np.copyto(dense[box], down @ (dense_logits[row, cells_y, cells_x] @ right) > 0, where=won)
    return instance, dense


class Corners(NamedTuple):
    """The four sites around each of N pixels.

    sites: [N, 4] int32 rows of `SparseIUV`, its length where there is none. weights: [N, 4] float32, summing to 1, or
    all 0 where there is no site. agreed: [N] uint8, the chart that all of them name, UNDECIDED where they differ or
    there is none.
    """

    sites: torch.Tensor
    weights: torch.Tensor
    agreed: np.ndarray


def _corners(pixels: np.ndarray, rows: np.ndarray, iuv: SparseIUV, grid: Grid) -> Corners:
    """pixels: [N] int32 flat positions in the frame. rows: [N] the people that they belong to."""
    vertical, horizontal = _axes(grid)
    padded = grid.size[0] + 1, grid.size[1] + 1  # one row and column without sites for `low` + 1 at the last cell
    cell = (iuv.sites[:, 1].long() * padded[1] + iuv.sites[:, 2].long()).numpy()

    def around(values, fill, dtype) -> np.ndarray:
        """[cells, 4] the value of each cell, and of those to its right, below, and below right."""
        out = np.full(padded[0] * padded[1], fill, dtype)
        out[cell] = values
        return np.stack([np.roll(out, -step) for step in (0, 1, padded[1], padded[1] + 1)], axis=1)

    sites = around(np.arange(len(iuv)), len(iuv), np.int32)
    owners = around(iuv.owner.numpy(), -1, np.int32)
    charts = around(iuv.logits[:, FIRST_CLASS:NUM_CLASSES].argmax(1).numpy() + FIRST_CLASS, UNDECIDED, np.uint8)
    lowest = charts.min(1)
    agreed = np.where(((charts == lowest[:, None]) | (charts == UNDECIDED)).all(1), lowest, UNDECIDED)
    one_owner = (owners[:, 0] >= 0) & (owners == owners[:, :1]).all(1)

    y, x = np.divmod(pixels, np.int32(grid.frame_size[1]))
    base = vertical.low[y] * np.int32(padded[1]) + horizontal.low[x]
    high_y, high_x = vertical.high[y], horizontal.high[x]
    both = high_y * high_x
    weights = np.empty((len(pixels), 4), np.float32)
    weights[:, 0] = 1 - high_y - high_x + both
    weights[:, 1] = high_x - both
    weights[:, 2] = high_y - both
    weights[:, 3] = both

    border = np.flatnonzero(~one_owner[base])
    owned_by = owners[base[border]]
    trust = np.where(owned_by == rows[border, None], np.float32(1), np.float32(FOREIGN_WEIGHT)) * (owned_by >= 0)
    trusted = weights[border] * trust
    weights[border] = trusted / np.maximum(trusted.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    return Corners(torch.from_numpy(sites.take(base, axis=0)), torch.from_numpy(weights), agreed[base])


def _charts(corners: Corners, logits: torch.Tensor) -> np.ndarray:
    """[N] uint8 chart of each pixel; 0 where there is no site around it."""
    chart = corners.agreed.copy()
    mixed = np.flatnonzero(chart == UNDECIDED)
    if len(mixed):
        rows = torch.from_numpy(mixed)
        table = F.pad(logits[:, FIRST_CLASS:NUM_CLASSES].float(), (0, 0, 0, 1))  # last row: no site
        weights = corners.weights[rows]
        blended = F.embedding_bag(corners.sites[rows], table, per_sample_weights=weights, mode="sum")
        chart[mixed] = ((blended.argmax(1) + FIRST_CLASS) * weights.any(1)).numpy()
    return chart


def _coordinates(corners: Corners, chart: np.ndarray, logits: torch.Tensor) -> np.ndarray:
    """[2, N] float32 u and v of each pixel's chart, 0 where it has none."""
    coordinates = logits[:, NUM_CLASSES:].float().unflatten(1, (2, NUM_CLASSES)).transpose(1, 2)
    table = F.pad(coordinates, (0, 0, 0, 0, 0, 1))
    table[:, 0] = 0  # the background has no coordinates
    rows = corners.sites * NUM_CLASSES + torch.from_numpy(chart.astype(np.int32))[:, None]
    uv = F.embedding_bag(rows, table.flatten(0, 1), per_sample_weights=corners.weights, mode="sum")
    return uv.T.clamp(0, 1).contiguous().numpy()

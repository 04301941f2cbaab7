"""From the stride-4 prediction of a frame to its dense pose at full size.

No full-size 75-channel map is ever made. Masks are interpolated inside the rectangle that they cover; the 24 chart
logits only at pixels whose surrounding sites disagree about the chart (a convex combination cannot change the winner
where they agree, so this is exact); U and V only of the chart that won. Work follows the number of person pixels, not
the number of people.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ddp_video.charts import NUM_CLASSES
from ddp_video.interpolation import Window, axes
from ddp_video.structures import DensePose, FramePrediction, Grid, Instances

# Inside M_dp the chart is the best of classes 1..24: where dense pose ends is decided by M_dp alone. With 0 here, class
# 0 of I could punch holes into it.
FIRST_CLASS = 1

# A pixel reads the sites of its own person. Sites of somebody else count this much, which matters only where there
# are no others: two people's charts and coordinates never mix. Whose a site is follows from the masks as for pixels, and
# not from `SparseIUV.owner`: where two detections fight over one person, the territories of both stay in one piece.
FOREIGN_WEIGHT = 1e-6

UNDECIDED = 255  # no chart yet
NO_SITE = -2  # in the place of a person


def decode(prediction: FramePrediction) -> DensePose:
    """Full-size dense pose of one frame.

    A pixel belongs to the person for whom score * sigmoid(interpolated M_ins logit) is highest (ties: the higher score),
    among those whose logit is positive there. It has a chart where that person's M_dp is positive too and an active site is near; U and V are
    clamped to 0..1. Elsewhere part, u and v are 0.
    """
    grid = prediction.grid
    instance, dense = _claim_pixels(prediction.instances, grid)
    part = np.zeros(grid.frame_size, np.uint8)
    uv = np.zeros((2, *grid.frame_size), np.float32)
    if len(prediction.iuv):
        sites = Sites.of(prediction)
        pixels = np.flatnonzero(dense).astype(np.int32)
        chart, coordinates = _read(sites, pixels, instance[dense] - 1, grid)
        part[dense] = chart
        uv[0][dense], uv[1][dense] = coordinates
    return DensePose(torch.from_numpy(part), torch.from_numpy(uv), torch.from_numpy(instance))


def whose(mask_logits: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """[...] int64: the person, a row of mask_logits [N, ...] and scores [N], that each place belongs to; -1 nobody."""
    if not len(scores):
        return torch.full(mask_logits.shape[1:], -1)
    logits = mask_logits.float()
    claims = logits.sigmoid() * scores.float().view(-1, *[1] * (logits.ndim - 1))
    best, row = claims.masked_fill(logits <= 0, -1).max(0)
    return row.masked_fill(best < 0, -1)


def _claim_pixels(instances: Instances, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Who owns each pixel (int32, 0 nobody, else 1 + row) and whether dense pose covers it (bool); both [H, W]."""
    instance = np.zeros(grid.frame_size, np.int32)
    dense = np.zeros(grid.frame_size, bool)
    best = np.full(grid.frame_size, -1, np.float32)
    person_logits = instances.mask_logits.float().numpy()
    dense_logits = instances.dense_mask_logits.float().numpy()
    for row, score in enumerate(instances.scores.float().tolist()):
        window = Window.around(person_logits[row] > 0, grid)
        if window is None:
            continue
        person = window.enlarge(person_logits[row], grid)
        claim = np.float32(score) / (1 + np.exp(-np.maximum(person, 0)))  # of a logit < 0 it counts for nothing
        won = (person > 0) & (claim > best[window.pixels])
        np.copyto(best[window.pixels], claim, where=won)
        np.copyto(instance[window.pixels], row + 1, where=won)
        np.copyto(dense[window.pixels], window.enlarge(dense_logits[row], grid) > 0, where=won)
    return instance, dense


class Sites(NamedTuple):
    """The active sites as lookup tables over the cells of the grid; `C` of them, row by row.

    Each cell stands for itself and its neighbours to the right, below, and below right: the corners around the pixels
    whose `low` cell it is. The last row of `chart_logits` and `coordinates` is the site that is not there.
    """

    columns: int  # one more than the grid has, so that `low` + 1 exists at the last one
    site: np.ndarray  # [C, 4] int32, rows of the two tables below
    person: np.ndarray  # [C, 4] int32, row of `Instances` that a site belongs to
    chart: np.ndarray  # [C] uint8, what all sites there name, or UNDECIDED
    undivided: np.ndarray  # [C] bool, four sites of one person
    chart_logits: torch.Tensor  # [M + 1, classes] float32
    coordinates: torch.Tensor  # [(M + 1) * 25, 2] float32, u and v of class c of site m at m * 25 + c

    @classmethod
    def of(cls, prediction: FramePrediction) -> Sites:
        grid, iuv, people = prediction.grid, prediction.iuv, prediction.instances
        rows, columns = grid.size[0] + 1, grid.size[1] + 1
        y, x = iuv.sites[:, 1].long(), iuv.sites[:, 2].long()
        cell = (y * columns + x).numpy()

        def corners(values, fill, dtype) -> np.ndarray:
            out = np.full(rows * columns, fill, dtype)
            out[cell] = values
            return np.stack([np.roll(out, -step) for step in (0, 1, columns, columns + 1)])  # [4, C]

        chart_logits = iuv.logits[:, FIRST_CLASS:NUM_CLASSES].float()
        chart = corners(chart_logits.argmax(1).numpy() + FIRST_CLASS, UNDECIDED, np.uint8)
        first = chart.min(0)
        agreed = ((chart == first) | (chart == UNDECIDED)).all(0)
        person = corners(whose(people.mask_logits[:, y, x], people.scores).numpy(), NO_SITE, np.int32)
        coordinates = F.pad(iuv.logits[:, NUM_CLASSES:].float().unflatten(1, (2, NUM_CLASSES)), (0, 0, 0, 0, 0, 1))
        coordinates[:, :, 0] = 0  # the background has none
        return cls(
            columns,
            np.ascontiguousarray(corners(np.arange(len(iuv)), len(iuv), np.int32).T),
            np.ascontiguousarray(person.T),
            np.where(agreed, first, UNDECIDED),
            (person[0] != NO_SITE) & (person == person[0]).all(0),
            F.pad(chart_logits, (0, 0, 0, 1)),
            coordinates.transpose(1, 2).flatten(0, 1),
        )


def _read(sites: Sites, pixels: np.ndarray, rows: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Chart [N] uint8 (0 where no site is near) and u, v [2, N] float32 of some pixels.

    pixels: [N] int32 flat positions in the frame. rows: [N] int32 the people that they belong to.
    """
    vertical, horizontal = axes(grid)
    y, x = np.divmod(pixels, np.int32(grid.frame_size[1]))
    cell = vertical.low.take(y) * np.int32(sites.columns) + horizontal.low.take(x)
    high_y, high_x = vertical.high.take(y), horizontal.high.take(x)
    both = high_y * high_x
    weights = np.stack([1 - high_y - high_x + both, high_x - both, high_y - both, both], axis=1)

    border = np.flatnonzero(~sites.undivided.take(cell))
    person = sites.person.take(cell[border], axis=0)
    trust = np.where(person == rows[border, None], np.float32(1), np.float32(FOREIGN_WEIGHT)) * (person != NO_SITE)
    trusted = weights[border] * trust
    weights[border] = trusted / np.maximum(trusted.sum(1, keepdims=True), np.finfo(np.float32).tiny)

    weights = torch.from_numpy(weights)
    site = torch.from_numpy(sites.site.take(cell, axis=0))
    chart = sites.chart.take(cell)
    mixed = np.flatnonzero(chart == UNDECIDED)
    if len(mixed):
        at = torch.from_numpy(mixed)
        logits = F.embedding_bag(site[at], sites.chart_logits, per_sample_weights=weights[at], mode="sum")
        chart[mixed] = ((logits.argmax(1) + FIRST_CLASS) * weights[at].any(1)).numpy()
    entry = site * NUM_CLASSES + torch.from_numpy(chart.astype(np.int32))[:, None]
    uv = F.embedding_bag(entry, sites.coordinates, per_sample_weights=weights, mode="sum")
    return chart, uv.clamp_(0, 1).T.numpy()

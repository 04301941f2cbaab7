"""From the charts in boxes to the global IUV map on the stride-4 grid (paper section 3.4), where smoothing works."""

from __future__ import annotations

import torch
from torch import Tensor

from ddp_video.model.densepose_rcnn.network import Detections
from ddp_video.structures import STRIDE, Grid, SparseIUV

OUTSIDE = -20.0  # mask logit where a box says nothing: a probability of 2e-9


def paste(detections: Detections, grid: Grid) -> tuple[Tensor, SparseIUV]:
    """Lays the people's charts onto the grid; where several claim a cell, the best-scoring one owns it.

    A box's cells are read at the centres of the grid's cells, bilinearly, as detectron2 reads them at pixels. As there,
    a cell is a person's where a coarse class beats the coarse background, and its chart is the best of the 25 fine ones.

    Returns:
        mask_logits [N, rows, columns] (best coarse class minus background, `OUTSIDE` outside the box), and the IUV
        logits on the union of the masks. Frame index 0.
    """
    charts = detections.charts
    person, y, x = _cells_inside(detections.boxes_xyxy, grid)
    coarse = _sample(charts.coarse, detections.boxes_xyxy, person, y, x)
    masks = coarse.new_full((len(detections.boxes_xyxy), *grid.size), OUTSIDE)
    masks[person, y, x] = coarse[:, 1:].amax(dim=1) - coarse[:, 0]

    claimed = masks > 0
    y, x = claimed.any(dim=0).nonzero(as_tuple=True)
    owner = claimed[:, y, x].byte().argmax(dim=0) if len(claimed) else y  # the first: people are sorted by score
    iuv = torch.cat([charts.fine, charts.u, charts.v], dim=1)
    sites = torch.stack([torch.zeros_like(y), y, x], dim=1).int()
    return masks, SparseIUV(sites, _sample(iuv, detections.boxes_xyxy, owner, y, x), owner)


def _cells_inside(boxes: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """(person, y, x) [P] of the grid cells whose centres lie in a person's box."""
    rows, columns = (STRIDE * (torch.arange(count, device=boxes.device) + 0.5) for count in grid.size)
    in_rows = (rows >= boxes[:, 1, None]) & (rows < boxes[:, 3, None])
    in_columns = (columns >= boxes[:, 0, None]) & (columns < boxes[:, 2, None])
    return (in_rows[:, :, None] & in_columns[:, None, :]).nonzero(as_tuple=True)


def _sample(maps: Tensor, boxes: Tensor, person: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear values [P, C] of people's maps [N, C, S, S] at grid cells, with edges repeated (align_corners=False)."""
    size = maps.shape[-1]
    left_top, extent = boxes[person, :2], boxes[person, 2:] - boxes[person, :2]
    at = (STRIDE * (torch.stack([x, y], dim=1) + 0.5) - left_top) / extent * size - 0.5
    at = at.clamp(0, size - 1)
    low = at.long().clamp(max=size - 2)
    (wx, wy), (x0, y0) = (at - low).T[..., None], low.T
    maps = maps.permute(0, 2, 3, 1)
    top = maps[person, y0, x0] * (1 - wx) + maps[person, y0, x0 + 1] * wx
    bottom = maps[person, y0 + 1, x0] * (1 - wx) + maps[person, y0 + 1, x0 + 1] * wx
    return top * (1 - wy) + bottom * wy

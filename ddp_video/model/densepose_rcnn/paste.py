"""From the charts in boxes to the global IUV map on the stride-4 grid (paper section 3.4), where smoothing works."""

from __future__ import annotations

import torch
from torch import Tensor

from ddp_video.model.densepose_rcnn.heads import Charts
from ddp_video.structures import STRIDE, Grid, SparseIUV

OUTSIDE = -20.0  # mask logit where a box says nothing


def paste(boxes: Tensor, scores: Tensor, charts: Charts, grid: Grid) -> tuple[Tensor, Tensor, SparseIUV]:
    """Lays people's charts onto the grid.

    A box's cells are read at the centres of the grid's cells, bilinearly, as detectron2 reads them at pixels. A cell is
    a person's where the best coarse class beats the coarse background (M_ins), and has a chart where moreover the best
    of the 24 fine classes beats the fine background (M_dp): together detectron2's label. Of several people who claim a
    cell, the one with the highest M_ins logit + log(score) owns it, which is how `decode` gives pixels to people.

    Args:
        boxes: [N, 4] xyxy px of the network's input. scores: [N]. charts: of N boxes.
    Returns:
        mask logits M_ins and M_dp, [N, rows, columns], `OUTSIDE` where the box is not; and the IUV logits on the union
        of the people's masks, frame index 0.
    """
    person, y, x = _cells_inside(boxes, grid)
    coarse = _sample(charts.coarse, boxes, person, y, x)
    fine = _sample(charts.fine, boxes, person, y, x)
    covered = coarse[:, 1:].amax(dim=1) - coarse[:, 0]
    masks = covered.new_full((2, len(boxes), *grid.size), OUTSIDE)
    masks[0, person, y, x] = covered
    masks[1, person, y, x] = torch.minimum(covered, fine[:, 1:].amax(dim=1) - fine[:, 0])

    claimed = masks[0] > 0
    y, x = claimed.any(dim=0).nonzero(as_tuple=True)
    claims = masks[0] + scores.clamp(min=1e-6).log()[:, None, None]
    claims = claims.masked_fill(~claimed, -torch.inf)[:, y, x]
    owner = claims.argmax(dim=0) if len(y) else y
    logits = torch.cat([_sample(maps, boxes, owner, y, x) for maps in (charts.fine, charts.u, charts.v)], dim=1)
    sites = torch.stack([torch.zeros_like(y), y, x], dim=1).int()
    return masks[0], masks[1], SparseIUV(sites, logits, owner)


def _cells_inside(boxes: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """(person, y, x) [P] of the grid cells whose centres lie in a person's box."""
    rows, columns = (STRIDE * (torch.arange(count, device=boxes.device) + 0.5) for count in grid.size)
    in_rows = (rows >= boxes[:, 1, None]) & (rows < boxes[:, 3, None])
    in_columns = (columns >= boxes[:, 0, None]) & (columns < boxes[:, 2, None])
    return (in_rows[:, :, None] & in_columns[:, None, :]).nonzero(as_tuple=True)


def _sample(maps: Tensor, boxes: Tensor, person: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear values [P, C] of people's maps [N, C, S, S] at grid cells, edges repeated (align_corners=False)."""
    size = maps.shape[-1]
    corner, extent = boxes[person, :2], boxes[person, 2:] - boxes[person, :2]
    at = (STRIDE * (torch.stack([x, y], dim=1) + 0.5) - corner) / extent * size - 0.5
    at = at.clamp(0, size - 1)
    low = at.long().clamp(max=size - 2)
    (wx, wy), (x0, y0) = (at - low).T[..., None], low.T
    maps = maps.permute(0, 2, 3, 1)
    top = maps[person, y0, x0] * (1 - wx) + maps[person, y0, x0 + 1] * wx
    bottom = maps[person, y0 + 1, x0] * (1 - wx) + maps[person, y0 + 1, x0 + 1] * wx
    return top * (1 - wy) + bottom * wy

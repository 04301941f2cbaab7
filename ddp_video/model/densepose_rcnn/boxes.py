"""Boxes of the R-CNN: anchors, decoding, pooling; [.., 4] xyxy in px of the network's input."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.ops import roi_align

from ddp_video.hardware import full_precision

STRIDES = (4, 8, 16, 32, 64)  # of p2 ... p6
ANCHOR_SIZES = (32, 64, 128, 256, 512)  # square root of an anchor's area, one a level
ASPECT_RATIOS = (0.5, 1.0, 2.0)  # height / width

MAX_LOG_SCALE = math.log(1000 / 16)  # a box grows at most this much over its anchor
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 4  # a box of 224 x 224 px is pooled from p4 (FPN paper, equation 1)
SAMPLES_PER_BIN = 2


def level_anchors(level: int, rows: int, columns: int, device: torch.device) -> Tensor:
    """Anchors of one pyramid level, [rows * columns * 3, 4]; those of cell (y, x) are centred on its top left corner."""
    ratios = torch.tensor(ASPECT_RATIOS, dtype=torch.float64)
    widths = ANCHOR_SIZES[level] / ratios.sqrt()
    half = torch.stack([widths, widths * ratios], dim=1) / 2
    cell = torch.cat([-half, half], dim=1).to(device, torch.float32)
    y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    corners = torch.stack([x, y, x, y], dim=-1) * STRIDES[level]
    return (corners[:, :, None] + cell).view(-1, 4)


def apply_deltas(deltas: Tensor, boxes: Tensor, weights: tuple[float, float]) -> Tensor:
    """Moves boxes [..., 4] by deltas [..., 4] (dx, dy, dw, dh), that were scaled by `weights` (centre, size)."""
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + size / 2
    centre = centre + deltas[..., :2] / weights[0] * size
    half = size * (deltas[..., 2:] / weights[1]).clamp(max=MAX_LOG_SCALE).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes cut at the borders of an image of `size` (h, w)."""
    height, width = size
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def nonempty(boxes: Tensor) -> Tensor:
    """[N] bool."""
    return (boxes[:, 2:] > boxes[:, :2]).all(dim=1)


def as_rois(boxes: list[Tensor]) -> Tensor:
    """Boxes of each image -> [K, 5] (image, x0, y0, x1, y1)."""
    image = [box.new_full((len(box), 1), index) for index, box in enumerate(boxes)]
    return torch.cat([torch.cat(image), torch.cat(boxes)], dim=1)


def pool(pyramid: list[Tensor], rois: Tensor, size: int) -> Tensor:
    """Features of each box, [K, C, size, size], from the level (from p2 on) that fits the box's area.

    Pixel centres are taken at whole coordinates (`aligned=False`), as the published models were trained.
    """
    sizes = ((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])).sqrt()
    levels = (CANONICAL_LEVEL + (sizes / CANONICAL_SIZE + 1e-8).log2()).floor().clamp(2, 1 + len(pyramid)).long() - 2
    pooled = rois.new_zeros(len(rois), pyramid[0].shape[1], size, size)
    for level, features in enumerate(pyramid):
        here = (levels == level).nonzero().squeeze(1)
        pooled[here] = roi_align(
            full_precision(features),
            rois[here],
            size,
            1 / STRIDES[level],
            sampling_ratio=SAMPLES_PER_BIN,
            aligned=False,
        )
    return pooled

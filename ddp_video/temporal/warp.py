"""Warping along optical flow, and where it can be trusted.

Pixel (x, y) has its centre at +0.5 (align_corners=False), so on index coordinates a frame covers [-0.5, W-0.5]. Frame s
warped by `t_to_s` lies on frame t's grid. Flows are in px of the grid they lie on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddp_video.structures import Flow


def bilinear_taps(t_to_s: Tensor) -> tuple[Tensor, Tensor]:
    """The four cells of frame s that every cell of frame t reads, and their bilinear weights.

    Args:
        t_to_s: [B, 2, H, W] displacement (dx, dy) in px.
    Returns:
        index [B, H*W, 4] int64 into a flattened frame s (always legal), weight [B, H*W, 4] float32, zero on taps outside
        frame s. The weights of a cell whose flow stays inside sum to 1.
    """
    batch, _, height, width = t_to_s.shape
    x = t_to_s[:, 0].float() + torch.arange(width, device=t_to_s.device)
    y = t_to_s[:, 1].float() + torch.arange(height, device=t_to_s.device)[:, None]
    # Flow that is not finite or absurdly long reads outside; the bound keeps the integers small.
    x = x.nan_to_num(-2.0).clamp(-2, width + 1)
    y = y.nan_to_num(-2.0).clamp(-2, height + 1)
    left, top = x.floor(), y.floor()
    x_weight, y_weight = x - left, y - top
    columns = torch.stack([left, left + 1], -1)
    rows = torch.stack([top, top + 1], -1)
    column_weight = torch.stack([1 - x_weight, x_weight], -1) * ((columns >= 0) & (columns < width))
    row_weight = torch.stack([1 - y_weight, y_weight], -1) * ((rows >= 0) & (rows < height))
    columns = columns.clamp(0, width - 1).to(torch.int64)
    rows = rows.clamp(0, height - 1).to(torch.int64)
    index = rows[..., :, None] * width + columns[..., None, :]
    weight = row_weight[..., :, None] * column_weight[..., None, :]
    return index.reshape(batch, height * width, 4), weight.reshape(batch, height * width, 4)


def inside(t_to_s: Tensor) -> Tensor:
    """[B, H, W] bool: where the flow [B, 2, H, W] ends within frame s."""
    _, _, height, width = t_to_s.shape
    x = t_to_s[:, 0] + torch.arange(width, device=t_to_s.device)
    y = t_to_s[:, 1] + torch.arange(height, device=t_to_s.device)[:, None]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def warp(source: Tensor, t_to_s: Tensor) -> Tensor:
    """Resample frame s onto the pixel grid of frame t (paper eq. 5).

    Args:
        source: [B, C, H, W] values on frame s.
        t_to_s: [B, 2, H, W] displacement (dx, dy) in px.
    Returns:
        [B, C, H, W], zero outside frame s (a tap outside counts as zero). Zero flow gives `source` bit by bit.
    """
    if source.ndim != 4 or t_to_s.shape != (source.shape[0], 2, *source.shape[2:]):
        raise ValueError(
            f"warp needs source [B,C,H,W] and a flow [B,2,H,W] of its size, got {list(source.shape)} and {list(t_to_s.shape)}"
        )
    index, weight = bilinear_taps(t_to_s)
    batch, channels, height, width = source.shape
    flat = source.reshape(batch, channels, height * width)
    out = torch.zeros_like(flat)
    for tap in range(4):
        values = flat.gather(2, index[:, None, :, tap].expand(-1, channels, -1))
        out += values * weight[:, None, :, tap].to(values.dtype)
    return out.view_as(source)


def consistent(t_to_s: Tensor, s_to_t: Tensor, pixel_size: float = 1.0) -> Tensor:
    """Where following the flow there and back returns to the start: neither occluded nor badly estimated.

    |f + b_w|^2 <= 0.01 (|f|^2 + |b_w|^2) + 0.5 with b_w the backward flow warped to frame t, in image px.

    Args:
        t_to_s, s_to_t: [B, 2, H, W] px of their grid.
        pixel_size: image px per px of that grid.
    Returns:
        [B, H, W] bool, False where the flow leaves frame s.
    """
    forward = t_to_s * pixel_size
    backward = warp(s_to_t, t_to_s) * pixel_size
    error = (forward + backward).square().sum(1)
    length = forward.square().sum(1) + backward.square().sum(1)
    return (error <= 0.01 * length + 0.5) & inside(t_to_s)


def chain(a_to_b: Flow, b_to_c: Flow) -> Flow:
    """The flow a -> c through b; valid where both steps are."""
    validity = warp(b_to_c.valid[:, None].float(), a_to_b.t_to_s)[:, 0]
    return Flow(a_to_b.t_to_s + warp(b_to_c.t_to_s, a_to_b.t_to_s), a_to_b.valid & (validity >= 0.5))

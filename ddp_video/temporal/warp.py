"""Warping along optical flow, and where it can be trusted.

Pixel (x, y) has its centre at +0.5 (align_corners=False), so on index coordinates a frame covers [-0.5, W-0.5]. Frame s
warped by `t_to_s` lies on frame t's grid. Flows are in px of the grid they lie on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddp_video.structures import Flow


class Sampler:
    """Reads frames s at the places that the cells of frame t flow to; made once a flow, used for all that is warped.

    index: [B, P, 4] int64, the four cells of a flattened frame s that every cell of frame t reads (always legal).
    weight: [B, P, 4] float32 bilinear weights, zero on taps outside frame s; of a cell whose flow stays inside they sum
    to 1. P = H * W.
    """

    def __init__(self, t_to_s: Tensor):
        """t_to_s: [B, 2, H, W] displacement (dx, dy) in px."""
        height, width = t_to_s.shape[2:]
        x, y = _landing(t_to_s)
        # Flow that is not finite or absurdly long reads outside; the bound keeps the integers small.
        x = x.nan_to_num(-2.0).clamp(-2, width + 1)
        y = y.nan_to_num(-2.0).clamp(-2, height + 1)
        left, top = x.floor(), y.floor()
        x_weight, y_weight = x - left, y - top
        left, top = left.to(torch.int64), top.to(torch.int64)
        columns, column_weights = _axis(left, x_weight, width)
        rows, row_weights = _axis(top, y_weight, height)
        self.index = torch.stack([row * width + column for row in rows for column in columns], -1)
        self.weight = torch.stack([row * column for row in row_weights for column in column_weights], -1)
        self.index, self.weight = self.index.flatten(1, 2), self.weight.flatten(1, 2)

    def __call__(self, source: Tensor) -> Tensor:
        """[B, C, H, W] of frame s -> the same on frame t's grid; a tap outside frame s counts as zero."""
        channels = source.shape[1]
        flat = source.flatten(2)
        out = torch.zeros_like(flat)
        for tap in range(4):
            values = flat.gather(2, self.index[:, None, :, tap].expand(-1, channels, -1))
            out += values * self.weight[:, None, :, tap].to(values.dtype)
        return out.view_as(source)


def inside(t_to_s: Tensor) -> Tensor:
    """[B, H, W] bool: where the flow [B, 2, H, W] ends within frame s."""
    x, y = _landing(t_to_s)
    return (x >= -0.5) & (x <= t_to_s.shape[3] - 0.5) & (y >= -0.5) & (y <= t_to_s.shape[2] - 0.5)


def warp(source: Tensor, t_to_s: Tensor) -> Tensor:
    """Resample frame s onto the pixel grid of frame t (paper eq. 5).

    Args:
        source: [B, C, H, W] values on frame s.
        t_to_s: [B, 2, H, W] displacement (dx, dy) in px.
    Returns:
        [B, C, H, W], zero outside frame s. Zero flow gives `source` bit by bit.
    """
    if source.ndim != 4 or t_to_s.shape != (source.shape[0], 2, *source.shape[2:]):
        raise ValueError(
            f"warp needs source [B,C,H,W] and a flow [B,2,H,W] of its size, got {list(source.shape)} and {list(t_to_s.shape)}"
        )
    return Sampler(t_to_s)(source)


def consistent(t_to_s: Tensor, s_to_t: Tensor, pixel_size: float = 1.0, sampler: Sampler | None = None) -> Tensor:
    """Where following the flow there and back returns to the start: neither occluded nor badly estimated.

    |f + b_w|^2 <= 0.01 (|f|^2 + |b_w|^2) + 0.5 with b_w the backward flow warped to frame t, in image px.

    Args:
        t_to_s, s_to_t: [B, 2, H, W] px of their grid.
        pixel_size: image px per px of that grid.
        sampler: of t_to_s, if there is one already.
    Returns:
        [B, H, W] bool, False where the flow leaves frame s.
    """
    forward = t_to_s * pixel_size
    backward = (sampler or Sampler(t_to_s))(s_to_t) * pixel_size
    error = (forward + backward).square().sum(1)
    length = forward.square().sum(1) + backward.square().sum(1)
    return (error <= 0.01 * length + 0.5) & inside(t_to_s)


def likeness(t: Tensor, s: Tensor, sampler: Sampler, tolerance: float) -> Tensor:
    """How well frame s, warped, shows what frame t shows: exp(-|difference|^2 / (2 tolerance^2)).

    Flow that lost somebody small or fast agrees with itself on the ground behind him; the picture does not.

    Args:
        t, s: [1, C, H, W] the pictures on the grid of the flow. sampler: of t_to_s. tolerance: in units of the pictures.
    Returns:
        [1, H, W] in 0..1.
    """
    return torch.exp((sampler(s) - t).square().sum(1) / (-2 * tolerance**2))


def chain(a_to_b: Flow, b_to_c: Flow, sampler: Sampler | None = None) -> Flow:
    """The flow a -> c through b; valid where both steps are. sampler: of a_to_b, if there is one already."""
    sampler = sampler or Sampler(a_to_b.t_to_s)
    step = sampler(torch.cat([b_to_c.t_to_s, b_to_c.valid[:, None].to(b_to_c.t_to_s.dtype)], 1))
    return Flow(a_to_b.t_to_s + step[:, :2], a_to_b.valid & (step[:, 2] >= 0.5))


def _landing(t_to_s: Tensor) -> tuple[Tensor, Tensor]:
    """x and y [B, H, W] in frame s of every cell of frame t, in index coordinates."""
    _, _, height, width = t_to_s.shape
    x = t_to_s[:, 0] + torch.arange(width, device=t_to_s.device)
    y = t_to_s[:, 1] + torch.arange(height, device=t_to_s.device)[:, None]
    return x, y


def _axis(low: Tensor, high_weight: Tensor, size: int) -> tuple[list[Tensor], list[Tensor]]:
    """The two cells along one axis and their weights; one outside is moved to a legal place and weighs nothing."""
    high = low + 1
    weights = [(1 - high_weight) * ((low >= 0) & (low < size)), high_weight * ((high >= 0) & (high < size))]
    return [low.clamp(0, size - 1), high.clamp(0, size - 1)], weights

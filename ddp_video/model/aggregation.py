"""Feature aggregation (paper section 3.2, after Panoptic FPN): all levels brought to stride 4 and summed."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ddp_video.model.normalization import group_norm


@dataclass(frozen=True)
class Features:
    """What both branches read. agg: X_agg [B, C, H/4, W/4]. pyramid: stride (8, 16, 32, 64) -> [B, C, h, w]."""

    agg: Tensor
    pyramid: dict[int, Tensor]


class Aggregation(nn.Module):
    """Each pyramid level goes to stride 4 by [3x3 conv, GroupNorm, ReLU, bilinear x2] steps; the sum is X_agg.

    Stride 4 itself has one conv and nothing to double.
    """

    def __init__(self, channels: int, num_levels: int = 4):
        super().__init__()
        self.levels = nn.ModuleList(_steps(channels, max(doublings, 1)) for doublings in range(num_levels))

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """Levels at strides 4, 8, 16, 32 -> X_agg [B, C, H/4, W/4]."""
        finest, *coarser = (level(x) for level, x in zip(self.levels, pyramid, strict=True))
        # The coarser levels have arrived at stride 8. The last doubling is linear, so their sum is doubled, once.
        return finest + F.interpolate(sum(coarser[1:], coarser[0]), scale_factor=2, mode="bilinear")


def _steps(channels: int, count: int) -> nn.Sequential:
    """`count` steps, without the doubling of the last one."""
    layers: list[nn.Module] = []
    for i in range(count):
        if i:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
        layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), group_norm(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)

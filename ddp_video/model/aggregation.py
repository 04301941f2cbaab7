"""Feature aggregation (paper section 3.2, after Panoptic FPN): all levels brought to stride 4 and summed."""

from __future__ import annotations

from torch import Tensor, nn

from ddp_video.model.normalization import group_norm


class Aggregation(nn.Module):
    """Each pyramid level goes to stride 4 by [3x3 conv, GroupNorm, ReLU, bilinear x2] steps; the sum is X_agg."""

    def __init__(self, channels: int, num_levels: int = 4):
        super().__init__()
        self.levels = nn.ModuleList(self._to_stride_4(channels, doublings) for doublings in range(num_levels))

    @staticmethod
    def _to_stride_4(channels: int, doublings: int) -> nn.Sequential:
        steps: list[nn.Module] = []
        for _ in range(max(doublings, 1)):  # stride 4 itself has one conv and nothing to double
            steps += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), group_norm(channels), nn.ReLU(True)]
            if doublings:
                steps.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
        return nn.Sequential(*steps)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """Levels at strides 4, 8, 16, 32 -> X_agg [B, C, H/4, W/4]."""
        return sum(level(x) for level, x in zip(self.levels, pyramid, strict=True))

"""Normalisation: by channel groups on maps, by person on active sites (paper section 3.4, eqs. 2-4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS_PER_GROUP = 8


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation: unlike batch statistics it gives a frame the same result alone and in a batch."""
    return nn.GroupNorm(max(channels // CHANNELS_PER_GROUP, 1), channels)


class InstanceAwareNorm(nn.Module):
    """IAN: mean and variance over each instance's own sites, one gamma and beta for all (eqs. 2-4).

    Epsilon stands inside the root (the paper's eq. 4 has it outside), so an instance of one site, whose variance is
    zero, gives beta and a finite gradient.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor, segment: Tensor, num_segments: int) -> Tensor:
        """Normalise [M, C] features by segment.

        Args:
            features: [M, C], any float type; statistics are taken in float32.
            segment: [M] int64 in 0..num_segments-1, the instance of each site; segments may be empty.
        Returns:
            [M, C] of the features' dtype.
        """
        return _SegmentNorm.apply(features, self.weight, self.bias, segment, num_segments, self.eps)


class _SegmentNorm(torch.autograd.Function):
    """Keeps only the input and [S, C] statistics for backward."""

    @staticmethod
    def forward(ctx, features, weight, bias, segment, num_segments, eps):
        x = features.float()
        count = torch.bincount(segment, minlength=num_segments).clamp(min=1)[:, None].float()
        mean = _segment_sum(x, segment, num_segments) / count
        centred = x - mean.index_select(0, segment)
        variance = _segment_sum(centred.square(), segment, num_segments) / count
        inverse = torch.rsqrt(variance + eps)
        ctx.save_for_backward(features, weight, segment, count, mean, inverse)
        out = centred.mul_((inverse * weight).index_select(0, segment)).add_(bias)
        return out.to(features.dtype)

    @staticmethod
    def backward(ctx, grad):
        features, weight, segment, count, mean, inverse = ctx.saved_tensors
        num_segments, grad = len(count), grad.float()
        unit = (features.float() - mean.index_select(0, segment)).mul_(inverse.index_select(0, segment))
        grad_sum = _segment_sum(grad, segment, num_segments)
        grad_unit_sum = _segment_sum(grad * unit, segment, num_segments)
        scale = inverse * weight
        grad_features = grad * scale.index_select(0, segment)
        grad_features -= (scale * grad_sum / count).index_select(0, segment)
        grad_features -= unit.mul_((scale * grad_unit_sum / count).index_select(0, segment))
        return grad_features.to(features.dtype), grad_unit_sum.sum(0), grad_sum.sum(0), None, None, None


def _segment_sum(values: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """[M, C] -> [S, C]."""
    return values.new_zeros(num_segments, values.shape[1]).index_add_(0, segment, values)

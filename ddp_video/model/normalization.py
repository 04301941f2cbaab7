"""Normalisation: by channel groups on maps, by person on active sites (paper section 3.4, eqs. 2-4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS_PER_GROUP = 8
CHUNK_ELEMENTS = 1 << 17  # 512 KiB of float32


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
    """Keeps only the input and [S, C] statistics for backward. Works through float32 copies of a few rows at a time."""

    @staticmethod
    def forward(ctx, features, weight, bias, segment, num_segments, eps):
        count = torch.bincount(segment, minlength=num_segments).clamp(min=1)[:, None].float()
        mean = features.new_zeros(num_segments, features.shape[1], dtype=torch.float32)
        variance = torch.zeros_like(mean)
        for rows, owner in _chunks(features, segment):
            mean.index_add_(0, owner, features[rows].float())
        mean /= count
        for rows, owner in _chunks(features, segment):
            variance.index_add_(0, owner, (features[rows].float() - mean.index_select(0, owner)).square_())
        variance /= count
        inverse = torch.rsqrt(variance + eps)
        scale = inverse * weight
        out = torch.empty_like(features)
        for rows, owner in _chunks(features, segment):
            centred = features[rows].float() - mean.index_select(0, owner)
            out[rows] = torch.addcmul(bias, centred, scale.index_select(0, owner))
        ctx.save_for_backward(features, weight, segment, count, mean, inverse)
        return out

    @staticmethod
    def backward(ctx, grad):
        features, weight, segment, count, mean, inverse = ctx.saved_tensors
        grad_sum, grad_unit_sum = torch.zeros_like(mean), torch.zeros_like(mean)

        def unit(rows, owner):
            """The normalised features before gamma and beta."""
            return (features[rows].float() - mean.index_select(0, owner)).mul_(inverse.index_select(0, owner))

        for rows, owner in _chunks(features, segment):
            chunk = grad[rows].float()
            grad_sum.index_add_(0, owner, chunk)
            grad_unit_sum.index_add_(0, owner, unit(rows, owner).mul_(chunk))
        scale = inverse * weight
        offset, slope = scale * grad_sum / count, scale * grad_unit_sum / count
        grad_features = torch.empty_like(features)
        for rows, owner in _chunks(features, segment):
            out = grad[rows].float().mul(scale.index_select(0, owner))
            out -= offset.index_select(0, owner)
            grad_features[rows] = out.sub_(unit(rows, owner).mul_(slope.index_select(0, owner)))
        return grad_features, grad_unit_sum.sum(0), grad_sum.sum(0), None, None, None


def _chunks(features: Tensor, segment: Tensor):
    """Yields (rows, their segments) until all rows are done; on CPU few enough rows to stay in cache."""
    step = CHUNK_ELEMENTS // features.shape[1] if features.device.type == "cpu" else max(len(features), 1)
    for start in range(0, len(features), step):
        rows = slice(start, start + step)
        yield rows, segment[rows]

"""Global IUV branch (paper section 3.4): background suppression, sparse residual FCN, 75 logits a site."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddp_video.charts import IUV_CHANNELS
from ddp_video.model.body_context import BodyContext
from ddp_video.model.config import ModelConfig
from ddp_video.model.normalization import InstanceAwareNorm
from ddp_video.sparse import ActiveSites, submanifold_conv

NUM_BLOCKS = 3


class SparseSubBlock(nn.Module):
    """Submanifold 3x3 convolution, instance-aware normalisation, ReLU (paper figure 3)."""

    def __init__(self, channels: int):
        super().__init__()
        # No bias: the normalisation would take it away again.
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        self.norm = InstanceAwareNorm(channels)

    def forward(self, x: Tensor, active: ActiveSites, segment: Tensor, num_segments: int, backend: str) -> Tensor:
        x = submanifold_conv(x, self.weight, None, active, backend)
        return F.relu(self.norm(x, segment, num_segments), inplace=True)


class SparseResidualBlock(nn.Module):
    """Two sub-blocks with a skip around them, then a third sub-block, except in the last block."""

    def __init__(self, channels: int, third: bool):
        super().__init__()
        self.first = SparseSubBlock(channels)
        self.second = SparseSubBlock(channels)
        self.third = SparseSubBlock(channels) if third else None

    def forward(self, x: Tensor, *where) -> Tensor:
        x = x + self.second(self.first(x, *where), *where)
        return x if self.third is None else self.third(x, *where)


class IUVBranch(nn.Module):
    """X_agg and the active sites -> I 25 | U 25 | V 25 logits at each site."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.backend = "torch" if config.sparse else "dense"  # of `submanifold_conv`
        self.sparse = config.sparse
        self.instance_aware_norm = config.instance_aware_norm
        self.body_context = BodyContext(config.channels) if config.body_context else None
        self.blocks = nn.ModuleList(
            SparseResidualBlock(config.channels, third=i < NUM_BLOCKS - 1) for i in range(NUM_BLOCKS)
        )
        self.predictor = nn.Linear(config.channels, IUV_CHANNELS)  # the final 1x1 convolution

    def forward(self, agg: Tensor, sites: Tensor, segment: Tensor, num_segments: int) -> Tensor:
        """Predict the IUV logits of the active sites.

        Args:
            agg: [B, C, H/4, W/4].
            sites: [M, 3] integer (image, y, x), sorted: the union of the instances' masks (eq. 1).
            segment: [M] int64, the instance that owns each site, unique over the batch.
            num_segments: number of instances of the batch.
        Returns:
            [M, 75] float32 logits.
        """
        batch, _, height, width = agg.shape
        active = ActiveSites(sites, (batch, height, width))
        if not self.sparse:
            return self._dense(agg, active, segment, num_segments)
        return self._residual_fcn(agg, active, segment, num_segments)

    def _dense(self, agg: Tensor, suppressed: ActiveSites, segment: Tensor, num_segments: int) -> Tensor:
        """The ablation without sparsity: no suppression, every cell is computed and masked only at the end.

        An image's background is treated as if it were one more instance.
        """
        batch, _, height, width = agg.shape
        image = torch.arange(batch, device=agg.device).repeat_interleave(height * width)
        everywhere = (num_segments + image).index_copy(0, suppressed.flat, segment)
        cells = torch.cartesian_prod(*(torch.arange(n, device=agg.device) for n in (batch, height, width)))
        logits = self._residual_fcn(agg, ActiveSites(cells, (batch, height, width)), everywhere, num_segments + batch)
        return logits.index_select(0, suppressed.flat)

    def _residual_fcn(self, agg: Tensor, active: ActiveSites, segment: Tensor, num_segments: int):
        if torch.is_autocast_enabled(agg.device.type):
            agg = agg.to(torch.get_autocast_dtype(agg.device.type))
        x = active.gather(agg)
        if self.body_context is not None:
            x = self.body_context(x, active.sites, segment, num_segments)
        if not self.instance_aware_norm:
            segment, num_segments = active.sites[:, 0].long(), len(agg)
        for block in self.blocks:
            x = block(x, active, segment, num_segments, self.backend)
        # In bf16 U and V would come in steps of 1/256.
        with torch.autocast(agg.device.type, enabled=False):
            return F.linear(x.float(), self.predictor.weight.float(), self.predictor.bias.float())

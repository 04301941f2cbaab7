"""The reference backend: an ordinary conv2d over the whole grid, read at the sites."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ddp_video.sparse.sites import ActiveSites


def dense_conv(features: Tensor, weight: Tensor, bias: Tensor | None, active: ActiveSites) -> Tensor:
    return active.gather(F.conv2d(active.scatter(features), weight, bias, padding=1))

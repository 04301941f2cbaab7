"""Direct Dense Pose (paper figure 2): one network, its two branches, and what joins them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddp_video.model.aggregation import Aggregation
from ddp_video.model.backbone import FPN, FPN_STRIDES, Backbone
from ddp_video.model.config import ModelConfig
from ddp_video.model.instance_branch import InstanceBranch
from ddp_video.model.iuv_branch import IUVBranch


@dataclass(frozen=True)
class Features:
    """agg: X_agg [B, C, H/4, W/4]. pyramid: stride (8, 16, 32, 64) -> [B, C, H/stride, W/stride]."""

    agg: Tensor
    pyramid: dict[int, Tensor]


class DDP(nn.Module):
    """Direct Dense Pose. Images are RGB 0..255, [B, 3, H, W], H and W multiples of 64."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.fpn = FPN(self.backbone.channels, config.channels, config.fpn_output_convs)
        self.aggregation = Aggregation(config.channels)
        self.instance_branch = InstanceBranch(config)
        self.iuv_branch = IUVBranch(config)
        self.register_buffer("image_mean", torch.tensor(config.image_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(config.image_std).view(3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)

    def freeze_backbone(self, stages: int = 2) -> None:
        """Keep the backbone down to stride 2**stages as it is during training: 2 = the stem and all up to stride 4."""
        self.backbone.freeze(stages)

    def extract(self, images: Tensor) -> Features:
        """uint8 or float 0..255 RGB [B, 3, H, W] -> features shared by both branches."""
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % 64 or images.shape[3] % 64:
            raise ValueError(f"images must be [B,3,H,W] with H and W multiples of 64, got {list(images.shape)}")
        x = (images.to(memory_format=torch.channels_last) - self.image_mean) / self.image_std
        pyramid = self.fpn(self.backbone(x))
        agg = self.aggregation(pyramid[:4])
        return Features(agg, dict(zip(FPN_STRIDES[1:], pyramid[1:], strict=True)))

"""Backbone (timm) and feature pyramid."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm import create_model
from torch import Tensor, nn

from ddp_video.model.depthwise import replace_depthwise
from ddp_video.model.folding import fold

STRIDES = (4, 8, 16, 32)
FPN_STRIDES = (*STRIDES, 64)


class Backbone(nn.Module):
    """A timm classifier's trunk, cut into five stages that each halve the resolution (strides 2, 4, 8, 16, 32).

    Its BatchNorm keeps the statistics of its ImageNet training also while it is trained: a detector's batches are too
    small and too alike to estimate better ones.
    """

    def __init__(self, name: str):
        super().__init__()
        trunk = create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
        self.channels = tuple(trunk.feature_info.channels())
        self.stages = nn.ModuleList(nn.Sequential(*modules) for modules in _stages(trunk, name))
        replace_depthwise(self.stages)
        self.num_frozen = 0

    def freeze(self, stages: int) -> None:
        """Exclude the first `stages` stages from training: no gradients, nothing kept for backward."""
        self.num_frozen = stages
        for i, stage in enumerate(self.stages):
            stage.requires_grad_(i >= stages)

    def fold_batchnorm(self) -> None:
        """The same function, cheaper, for inference only (`folding.fold`)."""
        fold(self.stages)

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] normalised -> maps at strides 4, 8, 16, 32."""
        maps, x = [], images
        for i, stage in enumerate(self.stages):
            with torch.set_grad_enabled(torch.is_grad_enabled() and i >= self.num_frozen):
                x = stage(x)
            maps.append(x)
        return maps[1:]


def _stages(trunk: nn.Module, name: str) -> list[list[nn.Module]]:
    if hasattr(trunk, "blocks"):  # the EfficientNet family
        blocks = list(trunk.blocks)
        stem = [trunk.conv_stem, trunk.bn1, blocks[0]]
        return [stem, [blocks[1]], [blocks[2]], blocks[3:5], blocks[5:]]
    if hasattr(trunk, "layer1"):  # the ResNet family
        stem = [trunk.conv1, trunk.bn1, trunk.act1]
        return [stem, [trunk.maxpool, trunk.layer1], [trunk.layer2], [trunk.layer3], [trunk.layer4]]
    raise ValueError(f"backbone {name!r} is not supported, needed an EfficientNet or a ResNet of timm")


class FPN(nn.Module):
    """Feature pyramid: 1x1 laterals, top-down nearest-neighbour additions, stride 64 by a strided conv.

    Output convs follow from stride 8 on: stride 4 is read by the aggregation alone, which begins with such a conv.
    """

    def __init__(self, in_channels: tuple[int, ...], channels: int, output_convs: bool):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.outputs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) if output_convs and level else nn.Identity()
            for level in range(len(in_channels))
        )
        self.coarsest = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps at strides 4..32 -> [B, C, h, w] at strides 4, 8, 16, 32, 64."""
        merged = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for i in range(len(merged) - 2, -1, -1):
            merged[i] = merged[i] + F.interpolate(merged[i + 1], scale_factor=2.0, mode="nearest")
        pyramid = [output(x) for output, x in zip(self.outputs, merged, strict=True)]
        return [*pyramid, self.coarsest(pyramid[-1])]

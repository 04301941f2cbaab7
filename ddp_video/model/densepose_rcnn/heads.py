"""What is done inside a box: the chart heads of DensePose R-CNN.

Submodules bear the checkpoints' names, so that a state dict loads as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddp_video.charts import NUM_CLASSES
from ddp_video.hardware import full_precision
from ddp_video.model.densepose_rcnn.backbone import NormedConv
from ddp_video.model.densepose_rcnn.config import RCNNConfig

NORM_GROUPS = 32
ASPP_DILATIONS = (6, 12, 56)
MIN_CONFIDENCE = 0.01


@dataclass(frozen=True)
class Charts:
    """What is predicted in each of K boxes, on S x S cells that divide the box evenly (S = 112; legacy 56).

    coarse: [K, 2 or 15, S, S] logits, channel 0 = background. fine: [K, 25, S, S] logits. u, v: [K, 25, S, S],
    coordinates in 0..1 on each chart, as regressed (not clamped).
    """

    coarse: Tensor
    fine: Tensor
    u: Tensor
    v: Tensor

    def split(self, counts: list[int]) -> list[Charts]:
        return [Charts(*of_image) for of_image in zip(*(m.split(counts) for m in vars(self).values()), strict=True)]


class ReLUConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(super().forward(x))


class Decoder(nn.Module):
    """Brings p2 ... p5 to stride 4 and sums them (as Panoptic FPN does), then mixes them by a 1x1 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        for level in (2, 3, 4, 5):
            steps = nn.Sequential()
            for _ in range(max(1, level - 2)):
                steps.append(ReLUConv(channels, channels, 3, padding=1))
                if level > 2:
                    steps.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            self.add_module(f"p{level}", steps)
        self.predictor = nn.Conv2d(channels, channels, 1)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        steps = (self.p2, self.p3, self.p4, self.p5)
        return self.predictor(sum(step(features) for step, features in zip(steps, pyramid, strict=True)))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling of DeepLabV3 with group normalisation."""

    def __init__(self, channels: int):
        super().__init__()

        def branch(*front: nn.Module) -> nn.Sequential:
            return nn.Sequential(*front, nn.GroupNorm(NORM_GROUPS, channels), nn.ReLU(inplace=True))

        point = nn.Conv2d(channels, channels, 1, bias=False)
        atrous = [nn.Conv2d(channels, channels, 3, padding=d, dilation=d, bias=False) for d in ASPP_DILATIONS]
        context = nn.Conv2d(channels, channels, 1, bias=False)
        self.convs = nn.ModuleList([branch(point), *map(branch, atrous), branch(nn.AdaptiveAvgPool2d(1), context)])
        self.project = nn.Sequential(nn.Conv2d(5 * channels, channels, 1, bias=False), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        # The last branch gives one cell, the mean over the box.
        return self.project(torch.cat([conv(x).expand(-1, -1, *x.shape[2:]) for conv in self.convs], dim=1))


class DensePoseHead(nn.Module):
    """Eight 3x3 convolutions on a box's features; the DeepLab variant has ASPP before them and normalises them."""

    def __init__(self, config: RCNNConfig):
        super().__init__()
        deeplab = config.head == "deeplab"
        self.ASPP = ASPP(config.fpn_channels) if deeplab else nn.Identity()
        self.convs = config.head_convs
        channels = config.fpn_channels
        for index in range(self.convs):
            if deeplab:
                norm = nn.GroupNorm(NORM_GROUPS, config.head_channels)
                conv = NormedConv(channels, config.head_channels, 3, norm)
            else:
                conv = nn.Conv2d(channels, config.head_channels, 3, padding=1)
            self.add_module(f"body_conv_fcn{index + 1}", conv)
            channels = config.head_channels

    def forward(self, x: Tensor) -> Tensor:
        x = self.ASPP(x)
        for index in range(self.convs):
            x = F.relu_(self.get_submodule(f"body_conv_fcn{index + 1}")(x))
        return x


class ChartPredictor(nn.Module):
    """Head features [K, C, s, s] -> charts on 4s x 4s cells, in float32 or finer: U and V need more than bfloat16's 8 bits."""

    def __init__(self, config: RCNNConfig):
        super().__init__()

        def doubling(channels: int) -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(config.head_channels, channels, 4, stride=2, padding=1)

        self.ann_index_lowres = doubling(config.coarse_channels)
        self.index_uv_lowres = doubling(NUM_CLASSES)
        self.u_lowres = doubling(NUM_CLASSES)
        self.v_lowres = doubling(NUM_CLASSES)
        self.confident = config.segmentation_confidence
        if self.confident:
            self.coarse_segm_confidence_lowres = doubling(1)
            self.fine_segm_confidence_lowres = doubling(1)

    def forward(self, x: Tensor) -> Charts:
        def predict(layer: nn.Module) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                return F.interpolate(layer(full_precision(x)), scale_factor=2, mode="bilinear", align_corners=False)

        coarse, fine = predict(self.ann_index_lowres), predict(self.index_uv_lowres)
        if self.confident:
            coarse = coarse * (F.softplus(predict(self.coarse_segm_confidence_lowres)) + MIN_CONFIDENCE)
            fine = fine * (F.softplus(predict(self.fine_segm_confidence_lowres)) + MIN_CONFIDENCE)
        return Charts(coarse, fine, predict(self.u_lowres), predict(self.v_lowres))

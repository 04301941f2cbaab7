"""Instance branch (paper section 3.3, after FCOS and CondInst): who is where, and each person's two masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddp_video.model.aggregation import Features
from ddp_video.model.backbone import FPN_STRIDES
from ddp_video.model.config import ModelConfig
from ddp_video.model.controller import Controller, GeneratedParameters
from ddp_video.model.normalization import group_norm

# Stride 4 would cost more than all these together.
HEAD_STRIDES = FPN_STRIDES[1:]
SIZE_OF_INTEREST_PER_STRIDE = 8  # 64, 128, 256, 512 px
CLASS_PRIOR = 0.01
MASK_FEATURES = 8
MASK_STRIDE = 8
# (inputs, outputs) of the dynamic head's three 1x1 convolutions; the last gives M_ins and M_dp.
MASK_LAYERS = ((MASK_FEATURES + 2, 8), (8, 8), (8, 2))
NUM_MASK_PARAMETERS = sum(i * o + o for i, o in MASK_LAYERS)  # 178


@dataclass(frozen=True)
class InstanceOutput:
    """Dense predictions at the L locations of all levels, finest first, and the maps that masks are made from.

    locations: [L, 2] px (x, y), centres of cells. strides: [L] px. class_logits, centerness_logits: [B, L].
    boxes_ltrb: [B, L, 4] px >= 0, distances from the location to the left, top, right and bottom.
    controller: parameters of the mask heads, `controller[image, location]` -> [K, 178]. mask_features: [B, 8, H/8, W/8].
    """

    locations: Tensor
    strides: Tensor
    class_logits: Tensor
    boxes_ltrb: Tensor
    centerness_logits: Tensor
    controller: GeneratedParameters
    mask_features: Tensor


class Tower(nn.Sequential):
    """3x3 convolutions shared by all levels."""

    def __init__(self, channels: int, depth: int):
        super().__init__()
        for _ in range(depth):
            self.append(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
            self.append(group_norm(channels))
            self.append(nn.ReLU(inplace=True))


class MaskFeatures(nn.Sequential):
    """X_agg -> X_D [B, 8, H/8, W/8]: one stride-2 convolution and three of stride 1 (the paper's Down Sample Conv).

    The strided one comes first: the other three then cost a quarter and see twice as far.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        for i in range(3):
            self.append(nn.Conv2d(width if i else channels, width, 3, stride=1 if i else 2, padding=1, bias=False))
            self.append(group_norm(width))
            self.append(nn.ReLU(inplace=True))
        self.append(nn.Conv2d(width, MASK_FEATURES, 3, padding=1))


class InstanceBranch(nn.Module):
    """FCOS heads, the controller that generates mask heads, and those dynamic heads themselves."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        channels = config.channels
        self.mask_features = MaskFeatures(channels, config.mask_channels)
        self.class_tower = Tower(channels, config.tower_depth)
        self.box_tower = Tower(channels, config.tower_depth)
        self.class_logits = nn.Conv2d(channels, 1, 3, padding=1)
        self.box_and_centerness = nn.Conv2d(channels, 5, 3, padding=1)
        self.controller = Controller(channels, NUM_MASK_PARAMETERS)
        self.box_scale = nn.Parameter(torch.ones(len(HEAD_STRIDES)))
        for head in (self.class_logits, self.box_and_centerness):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.class_logits.bias, -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR))
        # A box starts at the middle of its level's range: four strides from its centre to each side.
        nn.init.constant_(self.box_and_centerness.bias[:4], 4.0)

    def forward(self, features: Features) -> InstanceOutput:
        """Features -> predictions at every location."""
        classes, boxes, centerness, box_maps, locations, strides = [], [], [], [], [], []
        for level, stride in enumerate(HEAD_STRIDES):
            x = features.pyramid[stride]
            box_features = self.box_tower(x)
            geometry = _flatten(self.box_and_centerness(box_features)).float()
            classes.append(_flatten(self.class_logits(self.class_tower(x)))[..., 0].float())
            # softplus: never negative, never dead, linear for large people.
            boxes.append(stride * F.softplus(self.box_scale[level] * geometry[..., :4]))
            centerness.append(geometry[..., 4])
            box_maps.append(box_features)
            locations.append(cell_centres(x.shape[2:], stride, x.device))
            strides.append(torch.full((x.shape[2] * x.shape[3],), float(stride), device=x.device))
        return InstanceOutput(
            locations=torch.cat(locations),
            strides=torch.cat(strides),
            class_logits=torch.cat(classes, 1),
            boxes_ltrb=torch.cat(boxes, 1),
            centerness_logits=torch.cat(centerness, 1),
            controller=self.controller(box_maps),
            mask_features=self.mask_features(features.agg),
        )

    @staticmethod
    def masks(mask_features: Tensor, params: Tensor, locations: Tensor, strides: Tensor, image_index: Tensor) -> Tensor:
        """Run K generated mask heads at once.

        Args:
            mask_features: [B, 8, H/8, W/8].
            params: [K, 178]. locations: [K, 2] px (x, y). strides: [K] px. image_index: [K] int64.
        Returns:
            [K, 2, H/4, W/4] float32 logits: 0 = M_ins (the whole person), 1 = M_dp (what dense pose covers).
        """
        # The dynamic parameters multiply coordinates: bf16 would move mask edges.
        with torch.autocast(params.device.type, enabled=False):
            params, mask_features = params.float(), mask_features.float()
            height, width = mask_features.shape[2:]
            pixels = cell_centres((height, width), MASK_STRIDE, params.device)
            relative = locations[:, :, None] - pixels.T
            relative = relative / (SIZE_OF_INTEREST_PER_STRIDE * strides)[:, None, None]
            x = torch.cat([mask_features.flatten(2).index_select(0, image_index), relative], 1)
            sizes = [n for i, o in MASK_LAYERS for n in (i * o, o)]
            weights_and_biases = params.split(sizes, 1)
            for i, (inputs, outputs) in enumerate(MASK_LAYERS):
                # A grouped 1x1 convolution with one group an instance is a batched matmul.
                weight = weights_and_biases[2 * i].reshape(-1, outputs, inputs)
                x = torch.baddbmm(weights_and_biases[2 * i + 1][:, :, None], weight, x)
                if i < len(MASK_LAYERS) - 1:
                    x = F.relu(x)
            return F.interpolate(x.unflatten(2, (height, width)), scale_factor=2.0, mode="bilinear")


def cell_centres(size: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """[h*w, 2] px (x, y) centres of a grid's cells, row by row."""
    y = (torch.arange(size[0], device=device) + 0.5) * stride
    x = (torch.arange(size[1], device=device) + 0.5) * stride
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def _flatten(x: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, h*w, C]."""
    return x.flatten(2).transpose(1, 2)

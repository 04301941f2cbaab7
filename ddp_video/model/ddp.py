"""Direct Dense Pose (paper figure 2): one network, its two branches, and what joins them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ddp_video.model.aggregation import Aggregation, Features
from ddp_video.model.backbone import FPN, FPN_STRIDES, Backbone
from ddp_video.model.config import ModelConfig
from ddp_video.model.detection import Detections, detect
from ddp_video.model.duplicates import merge_duplicates
from ddp_video.model.instance_branch import InstanceBranch
from ddp_video.model.iuv_branch import IUVBranch
from ddp_video.model.suppression import Foreground, suppress_background
from ddp_video.structures import STRIDE, UNTRACKED, Instances, SparseIUV

SIZE_MULTIPLE = 32  # the coarsest level that the pyramid adds to a finer one


class DDP(nn.Module):
    """Direct Dense Pose. Images are RGB 0..255, [B, 3, H, W], H and W multiples of 32."""

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
        if images.ndim != 4 or images.shape[1] != 3 or any(n % SIZE_MULTIPLE or not n for n in images.shape[2:]):
            raise ValueError(
                f"images must be [B,3,H,W], H and W multiples of {SIZE_MULTIPLE}, got {list(images.shape)}"
            )
        x = (images.to(memory_format=torch.channels_last) - self.image_mean) / self.image_std
        pyramid = self.fpn(self.backbone(x))
        agg = self.aggregation(pyramid[:4])
        return Features(agg, dict(zip(FPN_STRIDES[1:], pyramid[1:], strict=True)))

    @torch.no_grad()
    def forward(
        self, images: Tensor, size: tuple[int, int] | None = None, score_threshold: float = 0.0
    ) -> list[tuple[Instances, SparseIUV]]:
        """Find the people of each image and their dense pose (paper figure 2).

        Args:
            images: uint8 or float 0..255 RGB [B, 3, H, W].
            size: (h, w) px, the upper left part of the images that is not padding; all of them by default.
            score_threshold: least score of a person, 0..1.
        Returns:
            For each image its people, boxes in px of the image, and its IUV logits, both on the stride-4 grid of
            `size`: ceil(h / 4) x ceil(w / 4). Site indices begin with 0, the image's own.
        """
        features = self.extract(images)
        size = size or (images.shape[2], images.shape[3])
        rows, columns = (-(-n // STRIDE) for n in size)

        heads = self.instance_branch(features)
        people = detect(heads, size, score_threshold)
        masks = self.instance_branch.masks(
            heads.mask_features,
            heads.controller[people.image, people.location],
            heads.locations[people.location],
            heads.strides[people.location],
            people.image,
        )[:, :, :rows, :columns]
        people, masks = merge_duplicates(people, masks)
        foreground = suppress_background(masks[:, 0], people.image, len(images))
        logits = self.iuv_branch(features.agg, foreground.sites, foreground.owner, len(people))

        return [_one_image(people, masks, foreground, logits, image) for image in range(len(images))]


def _one_image(people: Detections, masks: Tensor, foreground: Foreground, logits: Tensor, image: int):
    """The rows of one image out of a batch's, counted from zero."""
    mine = (people.image == image).nonzero()[:, 0]
    here = (foreground.sites[:, 0] == image).nonzero()[:, 0]
    first = int(mine[0]) if len(mine) else 0
    instances = Instances(
        boxes_xyxy=people.boxes_xyxy[mine],
        scores=people.scores[mine],
        mask_logits=masks[mine, 0],
        dense_mask_logits=masks[mine, 1],
        track_id=torch.full_like(mine, UNTRACKED),
    )
    sites = foreground.sites[here]
    sites[:, 0] = 0
    return instances, SparseIUV(sites, logits[here], foreground.owner[here] - first)

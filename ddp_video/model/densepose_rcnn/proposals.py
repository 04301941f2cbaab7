"""Region proposal network: pyramid in, up to 1000 candidate boxes an image out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from ddp_video.hardware import full_precision
from ddp_video.model.densepose_rcnn.boxes import ASPECT_RATIOS, apply_deltas, clip, level_anchors, nonempty

PER_LEVEL = 1000  # best candidates of each level that go into NMS
PER_IMAGE = 1000  # that come out
NMS_IOU = 0.7


class RPNHead(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness_logits = nn.Conv2d(channels, len(ASPECT_RATIOS), 1)
        self.anchor_deltas = nn.Conv2d(channels, 4 * len(ASPECT_RATIOS), 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, h, w] -> objectness logits [B, h*w*A] and deltas [B, h*w*A, 4], in the order of the anchors."""
        hidden = F.relu_(self.conv(features))
        logits, deltas = (full_precision(layer(hidden)) for layer in (self.objectness_logits, self.anchor_deltas))
        return logits.permute(0, 2, 3, 1).flatten(1), deltas.permute(0, 2, 3, 1).reshape(len(deltas), -1, 4)


class ProposalGenerator(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.rpn_head = RPNHead(channels)

    def forward(self, pyramid: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """Candidate boxes of each image, [N, 4] best first, inside the unpadded `size` (h, w)."""
        boxes, scores, levels = [], [], []
        for level, features in enumerate(pyramid):
            logits, deltas = self.rpn_head(features)
            top, index = logits.topk(min(PER_LEVEL, logits.shape[1]), dim=1)
            anchors = level_anchors(level, *features.shape[2:], features.device)[index]
            deltas = deltas.gather(1, index[:, :, None].expand(-1, -1, 4))
            boxes.append(apply_deltas(deltas, anchors, (1.0, 1.0)))
            scores.append(top)
            levels.append(torch.full_like(index, level))
        return [
            _select(*of_image, size)
            for of_image in zip(torch.cat(boxes, 1), torch.cat(scores, 1), torch.cat(levels, 1), strict=True)
        ]


def _select(boxes: Tensor, scores: Tensor, levels: Tensor, size: tuple[int, int]) -> Tensor:
    finite = boxes.isfinite().all(dim=1) & scores.isfinite()
    boxes = clip(boxes, size)
    keep = finite & nonempty(boxes)
    boxes, scores, levels = boxes[keep], scores[keep], levels[keep]
    return boxes[batched_nms(boxes, scores, levels, NMS_IOU)[:PER_IMAGE]]

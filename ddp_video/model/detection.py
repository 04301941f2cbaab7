"""From dense predictions to the people of each image (paper section 3.3, test time)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms

from ddp_video.model.instance_branch import InstanceOutput

CONFIDENCE_THRESHOLD = 0.05  # on class probability times centerness
MAX_CANDIDATES = 1000  # of an image, over all levels, before NMS
NMS_IOU = 0.6
MAX_INSTANCES = 100


@dataclass(frozen=True)
class Detections:
    """K people of a batch, image by image, best score first.

    image, location: [K] int64, where their mask heads are generated. boxes_xyxy: [K, 4] px. scores: [K].
    """

    image: Tensor
    location: Tensor
    boxes_xyxy: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: Tensor) -> Detections:
        return Detections(self.image[keep], self.location[keep], self.boxes_xyxy[keep], self.scores[keep])


def detect(heads: InstanceOutput, size: tuple[int, int], score_threshold: float = 0.0) -> Detections:
    """Score, threshold, suppress.

    Args:
        size: (h, w) px that boxes are clipped to.
        score_threshold: least final score, sqrt(class probability * centerness).
    """
    confidence = heads.class_logits.sigmoid() * heads.centerness_logits.sigmoid()
    threshold = max(CONFIDENCE_THRESHOLD, score_threshold**2)
    # Image by image: shifting boxes apart to suppress a whole batch at once rounds them, and a frame would then not
    # always get the same people alone as in a batch.
    return _join([_detect_one(heads, i, scores, size, threshold) for i, scores in enumerate(confidence)])


def _detect_one(heads: InstanceOutput, image: int, confidence: Tensor, size: tuple[int, int], threshold: float):
    location = (confidence > threshold).nonzero()[:, 0]
    best = confidence[location].sort(descending=True, stable=True).indices[:MAX_CANDIDATES]
    location = location[best]
    centre, ltrb = heads.locations[location], heads.boxes_ltrb[image, location]
    height, width = size
    limit = torch.tensor([width, height, width, height], dtype=ltrb.dtype, device=ltrb.device)
    boxes = torch.cat([centre - ltrb[:, :2], centre + ltrb[:, 2:]], 1).clamp(min=0).minimum(limit)
    scores = confidence[location].sqrt()
    keep = nms(boxes, scores, NMS_IOU)[:MAX_INSTANCES]
    return Detections(torch.full_like(location, image), location, boxes, scores).select(keep)


def _join(parts: list[Detections]) -> Detections:
    return Detections(*(torch.cat([getattr(p, name) for p in parts]) for name in Detections.__dataclass_fields__))

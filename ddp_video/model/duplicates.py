"""People who were detected more than once become one.

Box NMS keeps two detections of one person whose boxes differ, the upper body and the whole. As two people they share his
pixels between them, differently in every frame, and identities jump from one to the other.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ddp_video.model.detection import Detections

# Masks show what is seen of a person, so those of two people hardly overlap, even where one hides the other. Of .4 and
# .7, .5 and .8, .6 and .9 on labelled clips, the first left fewest switches of identity, and none took a person away.
DUPLICATE_IOU = 0.4
DUPLICATE_SHARE = 0.7  # of the smaller mask that lies in the other


def merge_duplicates(people: Detections, masks: Tensor) -> tuple[Detections, Tensor]:
    """Detections of one person joined into the best of them.

    Args:
        people: K detections. masks: [K, 2, rows, columns] logits of M_ins and M_dp.
    Returns:
        the best detection of each person, its box around all of his, and the masks [K', 2, rows, columns], highest logit of
        all: what is covered stays covered.
    """
    if len(people) < 2:
        return people, masks
    first = first_of_each(masks[:, 0] > 0, people.image)
    boxes = people.boxes_xyxy
    low, high = boxes[:, :2].clone(), boxes[:, 2:].clone()
    joined = masks.clone()
    for later in (first != torch.arange(len(first), device=first.device)).nonzero()[:, 0].tolist():
        best = first[later]
        joined[best] = joined[best].maximum(masks[later])
        low[best], high[best] = low[best].minimum(boxes[later, :2]), high[best].maximum(boxes[later, 2:])
    kept = first.unique()
    return replace(people, boxes_xyxy=torch.cat([low, high], 1)).select(kept), joined[kept]


def first_of_each(masks: Tensor, image: Tensor) -> Tensor:
    """[K] int64: the detection of the same person that comes first, itself where it is that one.

    Args:
        masks: [K, rows, columns] bool, best score first within an image. image: [K] int64; nobody is in two images.
    """
    iou = (one_person(masks, masks) * (image[:, None] == image)).cpu()
    first = torch.arange(len(masks))
    for later in range(1, len(masks)):
        fits = iou[later, :later] * (first[:later] == torch.arange(later))
        if fits.any():
            first[later] = fits.argmax()
    return first.to(masks.device)


def one_person(a: Tensor, b: Tensor) -> Tensor:
    """[K, L] float32: the IoU of masks a [K, rows, columns] and b [L, rows, columns], bool, that show the same person, else 0."""
    a, b = a.flatten(1).float(), b.flatten(1).float()
    with torch.autocast(a.device.type, enabled=False):  # pixels are counted, and bf16 cannot count beyond 256
        shared = a @ b.T
    area_a, area_b = a.sum(1)[:, None], b.sum(1)
    iou = shared / (area_a + area_b - shared).clamp(min=1)
    return iou * ((iou > DUPLICATE_IOU) | (shared > DUPLICATE_SHARE * torch.minimum(area_a, area_b).clamp(min=1)))

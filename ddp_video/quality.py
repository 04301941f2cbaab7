"""How good somebody's dense pose is expected to be, by how sure the network is of its own answer.

A score says whether somebody is there; how well he is outlined and charted is another matter, and the logits know it. Score
times expected quality ranks people better than the score alone, as in Mask Scoring R-CNN (Huang et al. 2019), but with no head
that would have to be trained for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddp_video.charts import NUM_CLASSES
from ddp_video.structures import FramePrediction


def expected_quality(prediction: FramePrediction) -> Tensor:
    """[N] float32 in 0..1 for N people: the IoU expected of the mask, times the share of its sites expected on their chart.

    Both take every cell's probability at its word, and cells for independent. 0 for somebody without a mask or sites.
    """
    people, iuv = prediction.instances, prediction.iuv
    return _expected_iou(people.mask_logits) * _expected_agreement(iuv.logits, iuv.owner, len(people))


def _expected_iou(mask_logits: Tensor) -> Tensor:
    """E |truth and mask| / E |truth or mask|, the mask being where the truth is likelier than not."""
    probability = mask_logits.float().sigmoid().flatten(1)
    inside = probability > 0.5
    shared = (probability * inside).sum(1)
    either = torch.where(inside, 1.0, probability).sum(1)
    return shared / either.clamp(min=1e-12)  # probabilities may round to zero, all of them


def _expected_agreement(logits: Tensor, owner: Tensor, count: int) -> Tensor:
    """The mean, over the sites of each of `count` people, of the likeliest chart's probability."""
    likeliest = logits[:, :NUM_CLASSES].float().softmax(1)[:, 1:].amax(1)
    total = torch.zeros(count, device=logits.device).index_add_(0, owner, likeliest)
    return total / torch.bincount(owner, minlength=count).clamp(min=1)

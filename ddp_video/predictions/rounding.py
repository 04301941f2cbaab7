"""What a prediction is before it is stored or smoothed: logits rounded to float16, masks cut to their person."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ddp_video.structures import FramePrediction

OUTSIDE = -20.0  # mask logit off a person's crop: probability 2e-9
_EDGE = -4.0  # mask logits above this (probability 0.02) belong to the crop,
_MARGIN = 2  # with so many cells around, so that interpolation sees no edge


def round_to_half(prediction: FramePrediction) -> FramePrediction:
    """Logits as the store holds them: values of float16 (in float32 tensors), masks OUTSIDE off each person's crop.

    Smoothing what comes from the network and smoothing what comes from the store are the same because of this.
    """
    instances = prediction.instances
    if len(instances):
        mask, dense = instances.mask_logits, instances.dense_mask_logits
        inside = _box(torch.maximum(mask, dense) > _EDGE, _MARGIN)
        instances = replace(instances, mask_logits=_crop(mask, inside), dense_mask_logits=_crop(dense, inside))
    return replace(
        prediction, instances=instances, iuv=replace(prediction.iuv, logits=prediction.iuv.logits.half().float())
    )


def _crop(logits: Tensor, inside: Tensor) -> Tensor:
    return torch.where(inside, logits.clamp(min=OUTSIDE).half().float(), OUTSIDE)


def _box(wanted: Tensor, margin: int) -> Tensor:
    """[N, h, w] bool: the bounding box of each plane's True cells, grown by `margin`."""

    def span(axis: int) -> Tensor:
        line = wanted.any(axis).float()
        if margin:
            line = torch.nn.functional.max_pool1d(line[:, None], 2 * margin + 1, 1, margin)[:, 0]
        before, after = line.cumsum(1) > 0, line.flip(1).cumsum(1).flip(1) > 0
        return before & after

    return span(2)[:, :, None] & span(1)[:, None, :]

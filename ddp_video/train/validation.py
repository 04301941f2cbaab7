"""A quick look at how well the network does on held-out pictures, and a sheet of them to look at."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ddp_video.charts import MIRROR, NUM_CLASSES
from ddp_video.data.choices import is_chart
from ddp_video.data.sample import Batch, knows_uv
from ddp_video.model.ddp import DDP
from ddp_video.structures import STRIDE
from ddp_video.train.criterion import active_sites
from ddp_video.train.losses import split_iuv
from ddp_video.train.targets import assign

# Spread in hue so that neighbouring charts, and left and right, differ.
PALETTE = cv2.cvtColor(
    np.array([[(0, 0, 0)] + [(i * 67 % 180, 220, 255 - 70 * (i % 2)) for i in range(1, NUM_CLASSES)]], np.uint8),
    cv2.COLOR_HSV2RGB,
)[0]


@torch.no_grad()
def validate(model: DDP, batches: list[Batch]) -> dict[str, float]:
    """Figures over true people's sites and true people, all in 0..1.

    part: share of charted sites with the right chart. swapped: share with the chart of the other side of the body.
    uv_error: mean absolute error of U and V on the true chart. mask_iou: mean over people of the IoU between the true mask and
    that of the best-scoring of their locations; person_score is its score. false_score: mean over crops of the best score
    of any location where nobody is.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def add(name: str, values: Tensor) -> None:
        sums[name] = sums.get(name, 0) + values.double().sum()
        counts[name] = counts.get(name, 0) + values.numel()

    mirror = torch.tensor(MIRROR, device=batches[0].images.device)
    for batch in batches:
        features = model.extract(batch.images)
        heads = model.instance_branch(features)
        target = assign(batch, heads.locations, heads.strides)
        score = (heads.class_logits.sigmoid() * heads.centerness_logits.sigmoid()).sqrt()
        for person in range(len(batch.boxes)):
            image = batch.image_index[person : person + 1]
            mine = target.person[image[0]] == person
            if not mine.any():
                continue
            best = torch.where(mine, score[image[0]], -1).argmax()[None]
            logits = model.instance_branch.masks(
                heads.mask_features, heads.controller[image, best], heads.locations[best], heads.strides[best], image
            )
            mask, true = logits[0, 0] > 0, batch.instance[image[0]] == batch.person[person]
            add("mask_iou", ((mask & true).sum() / (mask | true).sum().clamp(min=1))[None])
            add("person_score", score[image, best])
        cell = (heads.locations / STRIDE).long()
        nobody = batch.instance[:, cell[:, 1], cell[:, 0]] == 0
        add("false_score", torch.where(nobody, score, 0).amax(1))

        sites, owner = active_sites(batch)
        image, y, x = sites.unbind(1)
        i, u, v = split_iuv(model.iuv_branch(features.agg, sites, owner, max(len(batch.boxes), 1)).float())
        part = batch.part[image, y, x].long()
        charted = is_chart(part)
        true, said = part[charted], i[charted].argmax(1)
        add("part", said == true)
        add("swapped", (said == mirror[true]) & (said != true))
        uv, true_uv = torch.stack([u, v], 2)[charted, true], batch.uv[image, :, y, x][charted]
        add("uv_error", (uv - true_uv).abs().mean(1)[knows_uv(true_uv)])
    return {name: float(total / max(counts[name], 1)) for name, total in sums.items()}


@torch.no_grad()
def picture_sheet(model: DDP, batch: Batch, count: int = 6) -> np.ndarray:
    """[3 S, count S, 3] uint8 RGB: crops, their true charts, and the charts predicted at the true sites."""
    features = model.extract(batch.images)
    sites, owner = active_sites(batch)
    logits = model.iuv_branch(features.agg, sites, owner, max(len(batch.boxes), 1))
    predicted = torch.zeros_like(batch.part)
    predicted[tuple(sites.unbind(1))] = split_iuv(logits)[0].argmax(1).to(predicted.dtype)
    true = torch.where(is_chart(batch.part), batch.part, 0)
    images = batch.images[:count].permute(0, 2, 3, 1).cpu().numpy()
    rows = [np.concatenate(list(images), 1)]
    for parts in (true, predicted):
        charts = parts[:count].cpu().numpy().repeat(STRIDE, 1).repeat(STRIDE, 2)
        painted = np.where(charts[..., None] > 0, 0.35 * images + 0.65 * PALETTE[charts], images).astype(np.uint8)
        rows.append(np.concatenate(list(painted), 1))
    return np.concatenate(rows)

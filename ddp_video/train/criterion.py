"""From a batch to the terms of L_all (paper eqs. 7-9): the network's branches, their targets and their losses."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ddp_video.data.choices import is_chart
from ddp_video.data.sample import IGNORE, UNLABELLED, Batch, knows_uv
from ddp_video.model.ddp import DDP
from ddp_video.model.instance_branch import InstanceOutput
from ddp_video.sparse import ActiveSites
from ddp_video.train import losses
from ddp_video.train.targets import Assignment, assign, rows_of_people

# lambda_1, lambda_2, lambda_3 of the paper; the side's is ours.
WEIGHTS = {"class": 1, "box": 1, "centerness": 1, "mask": 5, "dense_mask": 5}
WEIGHTS |= {"part": 1, "side": 2, "uv": 10, "smooth": 1}
# The mask heads of so many positive locations a picture are run: neighbours of one person would say nearly the same.
MASKS_PER_PICTURE = 16


class Criterion(nn.Module):
    """The model with its losses as one module, so that DistributedDataParallel sees all that needs a gradient."""

    def __init__(self, model: DDP):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Every term, weighted; their sum is L_all. Terms without targets are zero."""
        features = self.model.extract(batch.images)
        heads = self.model.instance_branch(features)
        terms = instance_terms(self.model.instance_branch, heads, assign(batch, heads.locations, heads.strides), batch)
        sites, owner = active_sites(batch)
        logits = self.model.iuv_branch(features.agg, sites, owner, max(len(batch.boxes), 1)).float()
        terms |= iuv_terms(logits, sites, owner, batch, self.model.config.smoothness_loss)
        return {name: WEIGHTS[name] * term for name, term in terms.items()}


def instance_terms(branch: nn.Module, heads: InstanceOutput, target: Assignment, batch: Batch) -> dict[str, Tensor]:
    """L_fcos, L_Mins and L_Mdp (eqs. 8, 10, 11)."""
    positive = target.person >= 0
    image, location = torch.nonzero(positive, as_tuple=True)
    count = _mean_over_processes(positive.sum()).clamp(min=1)
    centerness_sum = _mean_over_processes(target.centerness.sum()).clamp(min=1e-6)
    box = losses.giou_loss(heads.boxes_ltrb[image, location], target.boxes_ltrb)
    terms = {
        "class": losses.focal_loss(heads.class_logits[target.counted], positive[target.counted].float()) / count,
        "box": (box * target.centerness).sum() / centerness_sum,
        "centerness": F.binary_cross_entropy_with_logits(
            heads.centerness_logits[image, location], target.centerness, reduction="sum"
        )
        / count,
    }
    chosen = torch.randperm(len(image), device=image.device)[: MASKS_PER_PICTURE * len(batch.images)]
    image, location = image[chosen], location[chosen]
    masks = branch.masks(
        heads.mask_features,
        heads.controller[image, location],
        heads.locations[location],
        heads.strides[location],
        image,
    )
    person = target.person[image, location]
    whole = batch.instance[image] == batch.person[person, None, None]
    covered = (whole & batch.dense[image]).float()
    counted = batch.instance[image] != IGNORE
    known = batch.has_dense[person]
    terms["mask"] = losses.dice_loss(masks[:, 0], whole.float(), counted).sum() / max(len(chosen), 1)
    dense_mask = losses.dice_loss(masks[known, 1], covered[known], counted[known])
    terms["dense_mask"] = dense_mask.sum() / known.sum().clamp(min=1)
    return terms


def active_sites(batch: Batch) -> tuple[Tensor, Tensor]:
    """Ground truth for background suppression: sites [M, 3] int64 (image, y, x) in order, and the owner [M] of each."""
    sites = torch.nonzero(batch.owner)
    image, y, x = sites.unbind(1)
    return sites, rows_of_people(batch)[image, batch.owner[image, y, x].long()]


def iuv_terms(logits: Tensor, sites: Tensor, owner: Tensor, batch: Batch, smooth: bool) -> dict[str, Tensor]:
    """L_I, L_UV and L_s (eqs. 9, 12), and the sides'."""
    image, y, x = sites.unbind(1)
    part = batch.part[image, y, x].long()
    i, u, v = losses.split_iuv(logits)
    uv = batch.uv[image, :, y, x]
    labelled = part != UNLABELLED
    placed = is_chart(part) & knows_uv(uv)
    nothing = logits.sum() * 0  # keeps the branch in the graph
    terms = {
        "part": losses.part_loss(i[labelled], part[labelled], owner[labelled]),
        "side": losses.side_loss(i[labelled], part[labelled], owner[labelled]),
        "uv": losses.uv_loss(u[placed], v[placed], part[placed], uv[placed]) if placed.any() else nothing,
    }
    if smooth:
        first, second = ActiveSites(sites, (len(batch.images), *batch.owner.shape[1:])).adjacent()
        terms["smooth"] = losses.smoothness_loss(logits, first, second, owner, max(len(batch.boxes), 1))
    return terms


def _mean_over_processes(value: Tensor) -> Tensor:
    """Every process of a distributed run divides by the same number, so that gradients average rightly."""
    value = value.detach().float()
    if dist.is_initialized():
        value = value.clone()
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return value

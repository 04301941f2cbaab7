"""The terms of the training loss (paper section 5): pure functions of logits and targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddp_video.charts import ARM, LEG, NUM_CLASSES, SIDES, side_charts
from ddp_video.data.choices import ALLOWED, JOINTS

# The sets of charts that lie on one side of the body: limbs, and what meets at a joint; that of the left, then its twin. A
# value of a part map belongs to the smallest that holds all its charts.
_ONE_SIDED = [
    side_charts(side, *names) for names in (*((limb,) for limb in ARM + LEG), *JOINTS.values()) for side in SIDES
]
_SET_OF_VALUE = [
    next((n for n, charts in enumerate(_ONE_SIDED) if allowed.any() and allowed.sum() == allowed[charts].sum()), -1)
    for allowed in ALLOWED
]


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sum over all entries of the sigmoid focal loss (RetinaNet eq. 5); targets are 0 or 1."""
    p = torch.sigmoid(logits)
    p_true = p * targets + (1 - p) * (1 - targets)
    weight = (alpha * targets + (1 - alpha) * (1 - targets)) * (1 - p_true) ** gamma
    return (weight * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")).sum()


def giou_loss(predicted_ltrb: Tensor, target_ltrb: Tensor) -> Tensor:
    """[P, 4] distances (left, top, right, bottom) from one common location, >= 0 -> [P] 1 - GIoU, in 0..2."""

    def area(ltrb):
        return (ltrb[:, 0] + ltrb[:, 2]) * (ltrb[:, 1] + ltrb[:, 3])

    overlap = area(torch.minimum(predicted_ltrb, target_ltrb))
    hull = area(torch.maximum(predicted_ltrb, target_ltrb)).clamp(min=1e-7)
    union = area(predicted_ltrb) + area(target_ltrb) - overlap
    return 1 - overlap / union.clamp(min=1e-7) + (hull - union) / hull


def dice_loss(logits: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """[K, h, w] logits, 0/1 targets and the bool cells that count -> [K]: 1 - 2 sum(xy) / (sum(x^2) + sum(y^2) + 1e-5)."""
    x, y = ((value * counted).flatten(1) for value in (logits.sigmoid(), targets))
    return 1 - 2 * (x * y).sum(1) / (x.square().sum(1) + y.square().sum(1) + 1e-5)


def part_loss(logits: Tensor, part: Tensor, owner: Tensor) -> Tensor:
    """Cross-entropy of the charts, where every label of a person weighs the root of its sites; 0 without sites.

    A choice (`data.choices`) asks for the likelihood of any of the charts that it allows. The weights are not in the paper: among
    all sites a forearm before a trunk is an exception, and the network learns to say trunk.

    Args:
        logits: [M, 25]. part: [M] int64, charts in 0..24 or choices. owner: [M] int64, 0 or more.
    """
    allowed = torch.from_numpy(ALLOWED).to(part.device)[part]
    loss = logits.logsumexp(1) - logits.masked_fill(~allowed, -torch.inf).logsumexp(1)
    return _mean_by_roots(loss, owner * len(ALLOWED) + part)


def side_loss(logits: Tensor, part: Tensor, owner: Tensor) -> Tensor:
    """Cross-entropy of left against right, given the kind of limb, where every limb of a person weighs the root of its sites.

    Not in the paper. Among all sites the mean cross-entropy of charts is that of trunks and thighs; here a foot of 16 sites
    counts a fifth of a thigh of 400. 0 where there are no limbs.

    Args:
        logits: [M, 25]. part: [M] int64, charts in 0..24 or choices. owner: [M] int64, 0 or more.
    """
    one_sided = part.new_tensor(_SET_OF_VALUE)[part]
    on_limb = one_sided >= 0
    logits, owner, one_sided = logits[on_limb], owner[on_limb], one_sided[on_limb]
    evidence = torch.stack([logits[:, charts].logsumexp(1) for charts in _ONE_SIDED], 1)
    other_side = one_sided ^ 1
    odds = evidence.gather(1, other_side[:, None]) - evidence.gather(1, one_sided[:, None])
    return _mean_by_roots(F.softplus(odds[:, 0]), owner * len(_ONE_SIDED) + one_sided)


def _mean_by_roots(loss: Tensor, group: Tensor) -> Tensor:
    """The mean of [M] losses where every group ([M] int64) weighs the root of its size; 0 of none."""
    _, group, count = torch.unique(group, return_inverse=True, return_counts=True)
    weight = count.to(loss).rsqrt()[group]  # of one of the group: its root over its size
    return (loss * weight).sum() / count.to(loss).sqrt().sum().clamp(min=1)


def uv_loss(u: Tensor, v: Tensor, part: Tensor, uv: Tensor) -> Tensor:
    """Mean over the M sites of smooth-L1 in U plus smooth-L1 in V, on the true chart's channel.

    u, v: [M, 25]. part: [M] int64 in 1..24. uv: [M, 2] in 0..1.
    """
    predicted = torch.stack([u, v], 1).gather(2, part[:, None, None].expand(-1, 2, 1))[..., 0]
    return F.smooth_l1_loss(predicted, uv) * 2


def smoothness_loss(logits: Tensor, first: Tensor, second: Tensor, owner: Tensor, num_people: int) -> Tensor:
    """Edge-aware smoothness of C (eq. 12) over pairs of neighbouring active sites.

    A pair counts for the person that owns its first site; |grad M| is 1 where its two sites have different owners. The
    absolute differences are averaged over channels and over a person's pairs, then over the people.

    Args:
        logits: [M, 75]. first, second: [P] int64, rows of sites that lie side by side or one above the other.
        owner: [M] int64 in 0..num_people-1.
    """
    change = (logits.index_select(0, first) - logits.index_select(0, second)).abs().mean(1)
    person = owner[first]
    change = change * torch.exp(-(person != owner[second]).to(change))
    count = torch.bincount(person, minlength=num_people)
    total = change.new_zeros(num_people).index_add(0, person, change)
    return (total / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def split_iuv(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[M, 75] -> I, U, V, each [M, 25]."""
    return logits.split(NUM_CLASSES, dim=1)

"""The people of a smoothed frame: who is in it, which neighbours speak for them, and their averaged masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ddp_video.structures import FramePrediction, Instances, SparseIUV
from ddp_video.temporal.warp import Sampler

# Mask logits count up to this: one frame's very sure (or cropped away) mask must not outvote all the others, or neighbours
# that lost a hand take it from the frame that sees it. Of 8, 3 and 2 on labelled clips, 3 kept most of people.
MASK_LOGIT_LIMIT = 3.0

# Flow that lost somebody (small, fast, few frames a second) agrees with itself all the same, on the ground behind him. His
# mask, carried along it, then misses him: below this IoU the neighbour does not count for him.
CARRIED_IOU = 0.6

# So many neighbours that agree with each other, and are the most, outvote a mask of frame t that is unlike them all: where
# people cross, one mask may for a moment swallow both.
LEAST_AGAINST = 3

LEAST_SWALLOWED = 0.7  # of somebody's mask, that such a mask has taken in


@dataclass(frozen=True)
class Neighbour:
    """A frame s = t + offset: how frame t reads it, how far that may be trusted ([P] float32 in 0..1), and its alpha."""

    prediction: FramePrediction
    offset: int
    sampler: Sampler
    trust: Tensor
    alpha: float


def settle(prediction: FramePrediction, neighbours: Sequence[Neighbour]) -> tuple[FramePrediction, Tensor, Tensor]:
    """Who is in frame t, by what its neighbours say: the prediction of those people, `seen` and `witness`.

    In a window that reaches before and after it, those leave whom frame t alone has (they are seldom anybody, unless the
    tracker lost them: then somebody unknown is near in another frame), and those come whom it alone lacks. Whoever has quite
    another mask in frame t than most neighbours agree on, is outvoted: his box is theirs, and of his mask and his sites those
    get what most neighbours give to them.
    seen: [N] bool, who has a mask of frame t; those who came do not. witness: [K, N] bool, the neighbours whose mask of each
    person the flow carries onto that of frame t; of those who came, all that have them.
    """
    people = prediction.instances
    holds = _holds(people, neighbours)
    warped = _warped(people, neighbours)
    own = people.mask_logits.flatten(1) > 0
    witness = holds & _alike(warped, own)
    after = torch.tensor([neighbour.offset > 0 for neighbour in neighbours], device=own.device)
    if after.all() or not after.any():
        return prediction, torch.ones_like(own[:, 0]), witness
    most = _majority(warped, holds)
    against = (holds & _alike(warped, most)).sum(0)
    outvoted = (against >= LEAST_AGAINST) & (2 * against > holds.sum(0)) & ~_alike(own, most)
    outvoted &= holds[after].any(0) & holds[~after].any(0)
    stay = ((holds.any(0) | _near_strangers(people, neighbours)) & ~outvoted).nonzero()[:, 0]
    swallowed = (own & ~most)[outvoted].any(0)
    instances = _put_back(pick(people, stay), neighbours, swallowed)
    number = first_true(people.track_id[:, None] == instances.track_id)
    came = torch.arange(len(instances), device=own.device) >= len(stay)
    witness = torch.cat([witness[:, stay], _holds(pick(instances, came), neighbours)], 1)
    owner = number[prediction.iuv.owner]
    if outvoted.any():
        most = _majority(_warped(instances, neighbours), _holds(instances, neighbours))
        instances = _cut_back(instances, number[outvoted], pick(people, outvoted), most)
        came[number[outvoted]] = False
        owner = _share_out(prediction, owner, outvoted[prediction.iuv.owner], most)
    return replace(prediction, instances=instances, iuv=_owned_by(prediction.iuv, owner)), ~came, witness


def _cut_back(instances: Instances, rows: Tensor, outvoted: Instances, most: Tensor) -> Instances:
    """With the masks that the outvoted, who are `rows` of the people, have in frame t, less what most neighbours ([N, P]
    bool) give to others."""
    others = most.sum(0) - most[rows].int() > 0
    taken = (others & ~most[rows]).view(len(rows), *instances.mask_logits.shape[1:])
    masks = []
    for name in ("mask_logits", "dense_mask_logits"):
        logits = getattr(instances, name).clone()
        logits[rows] = getattr(outvoted, name).masked_fill(taken, -MASK_LOGIT_LIMIT)
        masks.append(logits)
    return replace(instances, mask_logits=masks[0], dense_mask_logits=masks[1])


def _share_out(prediction: FramePrediction, owner: Tensor, outvoted: Tensor, most: Tensor) -> Tensor:
    """[M] owners with the sites of the outvoted ([M] bool) given to whom most neighbours ([N, P] bool) have there, themselves
    before others; what nobody has stays theirs."""
    there = most[:, prediction.iuv.cells(prediction.grid.size[1])]
    themselves = there.gather(0, owner.clamp(min=0)[None])[0]  # the outvoted have a row
    return torch.where(outvoted & there.any(0) & ~themselves, first_true(there.T), owner)


def _owned_by(iuv: SparseIUV, owner: Tensor) -> SparseIUV:
    """The sites with these owners, without those of nobody (-1)."""
    return SparseIUV(iuv.sites[owner >= 0], iuv.logits[owner >= 0], owner[owner >= 0])


def first_true(found: Tensor) -> Tensor:
    """[R] column of the first True in every row of [R, C], -1 where there is none."""
    first = torch.cat([found, found.new_ones(len(found), 1)], 1).int().argmax(1)
    return torch.where(first < found.shape[1], first, -1)


def _near_strangers(people: Instances, neighbours: Sequence[Neighbour]) -> Tensor:
    """[N] bool: whether a neighbour has somebody who is not in frame t within a body's length."""

    def centre(boxes: Tensor) -> Tensor:
        return (boxes[:, :2] + boxes[:, 2:]) / 2

    length = (people.boxes_xyxy[:, 2:] - people.boxes_xyxy[:, :2]).amax(1)
    others = [neighbour.prediction.instances for neighbour in neighbours]
    unknown = ~torch.isin(torch.cat([other.track_id for other in others]), people.track_id)
    strangers = torch.cat([other.boxes_xyxy for other in others])[unknown]
    return (torch.cdist(centre(people.boxes_xyxy), centre(strangers)) < length[:, None]).any(1)


def _holds(people: Instances, neighbours: Sequence[Neighbour]) -> Tensor:
    """[K, N] bool: which neighbours have each of N people."""
    return torch.stack([torch.isin(people.track_id, n.prediction.instances.track_id) for n in neighbours])


def _warped(people: Instances, neighbours: Sequence[Neighbour]) -> Tensor:
    """[K, N, P] bool: the neighbours' masks of N people, carried to frame t; empty where they do not have them."""
    masks = people.mask_logits.flatten(1)
    warped = torch.zeros((len(neighbours), *masks.shape), dtype=torch.bool, device=masks.device)
    for mask, neighbour in zip(warped, neighbours, strict=True):
        theirs = neighbour.prediction.instances
        ours, other = (people.track_id[:, None] == theirs.track_id).nonzero(as_tuple=True)
        theirs_there = (theirs.mask_logits[other].flatten(1) > 0).float()
        mask[ours] = _carry(theirs_there, neighbour.sampler, neighbour.sampler.weight[0]) > 0.5
    return warped


def _majority(warped: Tensor, holds: Tensor) -> Tensor:
    """[N, P] bool: where more than half of the neighbours that have somebody ([K, N]) have his mask ([K, N, P])."""
    return 2 * warped.sum(0) > holds.sum(0)[:, None]


def _carry(values: Tensor, sampler: Sampler, weight: Tensor) -> Tensor:
    """[N, P] of frame t: values [N, P] of a neighbour at the four cells that each cell reads, summed by weight [P, 4]."""
    return F.embedding_bag(sampler.index[0], values.T.contiguous(), per_sample_weights=weight, mode="sum").T


def _put_back(instances: Instances, neighbours: Sequence[Neighbour], swallowed: Tensor) -> Instances:
    """Frame t's people, and after them those that it lacks: whom frames before and after it have, and whom frames on one
    side have where somebody's outvoted mask had taken them in (`swallowed`, [P] bool).

    Their boxes and scores are interpolated; their masks are left for the average.
    """
    nearest: dict[int, dict[bool, tuple[Neighbour, int]]] = {}  # by track, by side of t
    for neighbour in sorted(neighbours, key=lambda neighbour: abs(neighbour.offset)):
        for row, track in enumerate(neighbour.prediction.instances.track_id.tolist()):
            nearest.setdefault(track, {}).setdefault(neighbour.offset > 0, (neighbour, row))
    for track in sorted(nearest.keys() - set(instances.track_id.tolist())):
        sides = [nearest[track][after] for after in (False, True) if after in nearest[track]]
        if len(sides) == 1 and not _lies_in(swallowed, *sides[0]):
            continue
        (before, i), (after, j) = sides[0], sides[-1]
        share = abs(before.offset) / (abs(before.offset) + abs(after.offset))
        earlier, later = before.prediction.instances, after.prediction.instances
        empty = torch.full_like(earlier.mask_logits[:1], -MASK_LOGIT_LIMIT)
        person = Instances(
            torch.lerp(earlier.boxes_xyxy[i : i + 1], later.boxes_xyxy[j : j + 1], share),
            torch.lerp(earlier.scores[i : i + 1], later.scores[j : j + 1], share),
            empty,
            empty,
            earlier.track_id[i : i + 1],
        )
        instances = Instances(*(torch.cat(pair) for pair in zip(_fields(instances), _fields(person), strict=True)))
    return instances


def _lies_in(region: Tensor, neighbour: Neighbour, row: int) -> bool:
    """Whether most of the mask of a neighbour's person, carried to frame t, lies in this region ([P] bool)."""
    if not region.any():
        return False
    mask = _warped(pick(neighbour.prediction.instances, [row]), [neighbour])[0, 0]
    return bool(mask.any() and (mask & region).sum() >= LEAST_SWALLOWED * mask.sum())


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """Whether masks [..., P] bool overlap by CARRIED_IOU."""
    return (a & b).sum(-1) >= CARRIED_IOU * (a | b).sum(-1)


def average_people(instances: Instances, alpha: Tensor, neighbours: Sequence[Neighbour], witness: Tensor) -> Instances:
    """Both masks' logits, over the trusted neighbours that are `witness` ([K, N]) of the same person. alpha: [N] of frame t.

    Scores stay: how sure one frame is tells how good that frame's detection is, and means of them ranked worse.
    """
    count, *size = instances.mask_logits.shape
    own = _masks(instances)
    total = alpha[:, None, None] * _limit(own)
    weight = alpha[:, None].expand(count, own.shape[2]).clone()
    for neighbour, reached in zip(neighbours, witness, strict=True):
        theirs = neighbour.prediction.instances
        same = instances.track_id[:, None] == theirs.track_id
        ours, other = (same & reached[:, None]).nonzero(as_tuple=True)
        if not len(ours):
            continue
        bilinear = neighbour.alpha * neighbour.sampler.weight[0] * neighbour.trust[:, None]
        warped = _carry(_limit(_masks(theirs)[other]).flatten(0, 1), neighbour.sampler, bilinear)
        total[ours] += warped.view(len(ours), 2, -1)
        weight[ours] += bilinear.sum(1)
    mean = torch.where(weight[:, None] > 0, total / weight[:, None], -MASK_LOGIT_LIMIT)
    # Where all agree beyond the limit, frame t's own value stands, if it has one.
    agreed = (mean.abs() >= MASK_LOGIT_LIMIT * (1 - 1e-6)) & (alpha[:, None, None] > 0)
    mean = torch.where(agreed, own, mean).view(count, 2, *size)
    mean = through_half(mean, instances.mask_logits.dtype)
    return replace(instances, mask_logits=mean[:, 0], dense_mask_logits=mean[:, 1])


def pick(instances: Instances, rows: Tensor | list[int]) -> Instances:
    """Those rows (numbers or bool)."""
    return Instances(*(values[rows] for values in _fields(instances)))


def through_half(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Through float16, the precision of the store: so smoothing while inferring and smoothing a store agree."""
    return values.half().to(dtype)


def _fields(instances: Instances) -> list[Tensor]:
    return [getattr(instances, field.name) for field in fields(instances)]


def _masks(instances: Instances) -> Tensor:
    """[N, 2, P] float32."""
    return torch.stack([instances.mask_logits, instances.dense_mask_logits], 1).flatten(2).float()


def _limit(logits: Tensor) -> Tensor:
    return logits.clamp(-MASK_LOGIT_LIMIT, MASK_LOGIT_LIMIT)

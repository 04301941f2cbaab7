"""The weighted sum over a window of warped neighbours: paper eq. 6, and its robust form.

Both gather the four cells that a flow points between, at the sites that come out active, in one weighted sum over all
neighbours; no dense 75-channel map is ever made. Frame t is the one being smoothed, s a neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ddp_video.charts import IUV_CHANNELS, NUM_CLASSES
from ddp_video.structures import UNTRACKED, FramePrediction, SparseIUV
from ddp_video.temporal.people import Neighbour, average_people, first_true, pick, settle, through_half

LEAST_LIKELY = 1e-3  # added to a chart's probability, so that the unlikely ones are plain means


def average_as_paper(prediction: FramePrediction, alpha: float, neighbours: Sequence[Neighbour]) -> FramePrediction:
    """C_temp = sum_j alpha_j Warp(C(t+j), f(t -> t+j)) with C zero off the active sites (eq. 5-6).

    The result is active wherever any frame of the window reaches; a site new to frame t belongs to the person of frame t
    whose mask logit is highest there. A frame without people stays empty, as nobody could own its sites.
    """
    if len(prediction.instances) == 0:
        return prediction
    window = _Window(prediction, alpha, neighbours)
    read = window.weight.any(1)  # not so where a flow points beyond the frame's edge
    owner = prediction.instances.mask_logits.flatten(1)[:, window.cells].argmax(0)
    own_site = window.row[:, 0]
    owner = torch.where(own_site >= 0, prediction.iuv.owner[own_site.clamp(min=0)], owner)
    return replace(prediction, iuv=window.gather(read, window.weight[read], owner[read]))


def average_robust(prediction: FramePrediction, alpha: float, neighbours: Sequence[Neighbour]) -> FramePrediction:
    """The same sum over neighbours as far as they are trusted, divided by their weight; everybody's mask logits likewise.

    At a site a neighbour counts as far as its flow is trusted and the cells it reads are active and belong to the same
    person (`track_id`), whom the flow carries onto himself. Frame t's own sites stay active, and those join that more than
    half of the trusted weight sees as one person of frame t. The owner of a site is the person with most weight. U and V
    are weighted by the probability of their chart as well. Somebody whom frame t misses and the window has before and
    after it is put back; somebody whom frame t alone has leaves.
    """
    if (prediction.instances.track_id == UNTRACKED).any():
        raise ValueError(
            f"frame {prediction.index} holds people without track_id; robust smoothing needs Tracker's ids"
        )
    prediction, seen, witness = settle(prediction, neighbours)
    if len(prediction.instances) == 0:
        return prediction
    window = _Window(prediction, alpha, neighbours)
    weight = window.weight * window.trust
    person = window.person(witness)
    weight = weight * (person >= 0)

    votes = weight.new_zeros(len(weight), len(prediction.instances))
    votes.scatter_add_(1, person.clamp(min=0), weight)
    most, owner = votes.max(1)
    keep = (window.row[:, 0] >= 0) | (most > 0.5 * window.electorate())
    weight, owner = weight[keep], owner[keep]
    weight = weight * (person[keep] == owner[:, None])
    iuv = window.gather(keep, weight / weight.sum(1, keepdim=True), owner, by_chart=True)
    instances = average_people(prediction.instances, alpha * seen, neighbours, witness)
    best_first = instances.scores.argsort(descending=True, stable=True)
    return replace(
        prediction,
        instances=pick(instances, best_first),
        iuv=replace(iuv, owner=best_first.argsort()[iuv.owner]),
    )


class _Window:
    """What the cells of frame t read, where any of it is active: 1 cell of its own and 4 of every neighbour.

    cells: [M] of the flattened grid. row: [M, 1 + 4K] into the sites of all frames one after the other, -1 = inactive.
    weight: [M, 1 + 4K] float32, alpha times bilinear weight, zero where inactive. trust: [M, 1 + 4K] float32.
    """

    def __init__(self, prediction: FramePrediction, alpha: float, neighbours: Sequence[Neighbour]):
        self.prediction, self.neighbours, self.alpha = prediction, neighbours, alpha
        self.frames = [prediction] + [neighbour.prediction for neighbour in neighbours]
        own, *theirs = (_site_rows(frame) for frame in self.frames)
        active = own >= 0
        for sites, neighbour in zip(theirs, neighbours, strict=True):
            active |= (sites >= 0)[neighbour.sampler.index[0]].any(1)
        self.cells = active.nonzero()[:, 0]
        row = [own[self.cells, None]]
        weight = [torch.full_like(row[0], alpha, dtype=torch.float32)]
        trust = [torch.ones_like(row[0], dtype=torch.float32)]
        offset = len(prediction.iuv)
        for sites, neighbour in zip(theirs, neighbours, strict=True):
            read = sites[neighbour.sampler.index[0, self.cells]]
            row.append(torch.where(read >= 0, read + offset, -1))
            weight.append(neighbour.alpha * neighbour.sampler.weight[0, self.cells])
            trust.append(neighbour.trust[self.cells, None].expand(-1, 4))
            offset += len(neighbour.prediction.iuv)
        self.row, self.trust = torch.cat(row, 1), torch.cat(trust, 1)
        self.weight = torch.cat(weight, 1) * (self.row >= 0)

    def electorate(self) -> Tensor:
        """[M]: alpha of frame t and of its neighbours as far as trusted, active or not."""
        total = torch.full_like(self.cells, self.alpha, dtype=torch.float32)
        for neighbour in self.neighbours:
            total += neighbour.alpha * neighbour.trust[self.cells]
        return total

    def person(self, witness: Tensor) -> Tensor:
        """[M, 1 + 4K] row of frame t's instances that the site belongs to, -1 = inactive, or somebody not in frame t or
        of whom the neighbour is no `witness` ([K, N])."""
        ours = self.prediction.instances.track_id
        owners = []
        for frame, reached in zip(self.frames, [torch.ones_like(ours, dtype=torch.bool), *witness], strict=True):
            same = (frame.instances.track_id[:, None] == ours) & reached
            owners.append(first_true(same)[frame.iuv.owner])
        owners.append(torch.full((1,), -1, dtype=torch.int64, device=ours.device))  # what row -1 reads
        return torch.cat(owners)[self.row]

    def gather(self, keep: Tensor, weight: Tensor, owner: Tensor, by_chart: bool = False) -> SparseIUV:
        """The weighted sums at those N cells that `keep` ([M] bool) tells, in the precision of the logits (rounded to float16).

        weight: [N, 1 + 4K]. owner: [N]. by_chart: U and V of a chart count by how likely that chart is at their site;
        elsewhere they were never trained.
        """
        logits = torch.cat([frame.iuv.logits for frame in self.frames]).float()
        if by_chart:
            likely = logits[:, :NUM_CLASSES].softmax(1) + LEAST_LIKELY
            coordinates = logits[:, NUM_CLASSES:].unflatten(1, (2, NUM_CLASSES)) * likely[:, None]
            logits = torch.cat([logits[:, :NUM_CLASSES], coordinates.flatten(1), likely], 1)
        cells = self.cells[keep]
        if len(cells):
            summed = F.embedding_bag(self.row[keep].clamp(min=0), logits, per_sample_weights=weight, mode="sum")
        else:
            summed = logits[:0]
        if by_chart:
            summed, likely = summed.split([IUV_CHANNELS, NUM_CLASSES], dim=1)
            summed[:, NUM_CLASSES:] /= likely.repeat(1, 2)
        columns = self.prediction.grid.size[1]
        first = self.prediction.iuv
        frame = torch.full_like(cells, int(first.sites[0, 0]) if len(first) else 0)
        sites = torch.stack([frame, cells // columns, cells % columns], 1).to(first.sites.dtype)
        return SparseIUV(sites, through_half(summed, first.logits.dtype), owner)


def _site_rows(prediction: FramePrediction) -> Tensor:
    """[P] row of every cell's site, -1 where the cell is not active."""
    rows, columns = prediction.grid.size
    cells = prediction.iuv.cells(columns)
    out = torch.full((rows * columns,), -1, dtype=torch.int64, device=cells.device)
    out[cells] = torch.arange(len(cells), device=cells.device)
    return out

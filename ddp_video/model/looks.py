"""Two looks at a frame, in two sizes, become one: everybody as the look shows him that suits his size (`scale`).

Who is seen in both looks is the mean of them, weighed by his height, so that nothing jumps in a video of somebody who walks
up to the camera. Who is seen in one look only is taken from it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ddp_video.charts import IUV_CHANNELS
from ddp_video.model.duplicates import one_person
from ddp_video.model.scale import heights_in_input, weight_of_usual
from ddp_video.model.suppression import suppress_background
from ddp_video.structures import UNTRACKED, Grid, Instances, SparseIUV

NOBODY = -1


class Look(NamedTuple):
    """What one look shows of a frame: people, their boxes in px of the frame, and IUV, on its grid."""

    grid: Grid
    instances: Instances
    iuv: SparseIUV

    def to(self, device: torch.device | str) -> Look:
        return Look(self.grid, self.instances.to(device), self.iuv.to(device))


def join_looks(usual: Look, larger: Look) -> Look:
    """Both looks as one, on the grid of the usual one, which costs no accuracy that could be measured and keeps all that comes
    after as fast as after one look.

    A site is active where the joined masks are, and where one look has a site of that person; where both have, its logits
    are their mean.
    """
    grid, people, others = usual.grid, usual.instances, larger.instances
    masks, dense_masks = _resize(torch.stack([others.mask_logits, others.dense_mask_logits]), larger.grid, grid)
    weight = weight_of_usual(heights_in_input(people.boxes_xyxy, grid))
    pairs = _pair(one_person(people.mask_logits > 0, masks > 0), weight)

    scores = pairs.mean(people.scores, others.scores)
    order = scores.argsort(descending=True, stable=True)
    pairs = _Pairs(*(values[order] for values in pairs))
    joined = Instances(
        pairs.mean(people.boxes_xyxy, others.boxes_xyxy),
        scores[order],
        pairs.mean(people.mask_logits, masks),
        pairs.mean(people.dense_mask_logits, dense_masks),
        torch.full_like(order, UNTRACKED),
    )
    foreground = suppress_background(joined.mask_logits, torch.zeros_like(order), 1)
    sites, owner = foreground.sites, foreground.owner
    a, seen_a = _logits_of(usual, grid, sites, pairs.usual[owner])
    b, seen_b = _logits_of(larger, grid, sites, pairs.larger[owner])
    weight = torch.where(seen_a & seen_b, pairs.weight[owner], seen_a.float())[:, None]
    seen = seen_a | seen_b
    return Look(grid, joined, SparseIUV(sites[seen], torch.lerp(b, a, weight)[seen], owner[seen]))


class _Pairs(NamedTuple):
    """The people of the joined look: rows [K] of either look, or NOBODY, and how much the usual one counts [K]."""

    usual: Tensor
    larger: Tensor
    weight: Tensor

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """Values [N, ...] of the usual look's people and [L, ...] of the larger one's -> [K, ...]."""
        a, b = (torch.cat([values.float(), values.new_zeros(1, *values.shape[1:])]) for values in (a, b))  # -1: nobody
        return torch.lerp(b[self.larger], a[self.usual], self.weight.view(-1, *[1] * (a.ndim - 1)))


def _pair(overlap: Tensor, weight: Tensor) -> _Pairs:
    """Who is who.

    overlap: [N, L], see `one_person`. weight: [N] how much the usual look counts for each of its people.

    Of somebody in whom the larger look sees several it depends on his size which look is believed, alone: tall people fall
    into pieces in the larger look, small ones stick together in the usual one.
    """
    partner = torch.full(overlap.shape[1:], NOBODY, device=overlap.device)
    if len(overlap):
        best, row = overlap.max(0)
        partner = torch.where(best > 0, row, NOBODY)
    pairs = []
    for row, share in enumerate(weight.tolist()):
        his = (partner == row).nonzero()[:, 0].tolist()
        if len(his) == 1:
            pairs.append((row, his[0], share))
        elif not his or share >= 0.5:
            pairs.append((row, NOBODY, 1.0))
        else:
            pairs += [(NOBODY, other, 0.0) for other in his]
    pairs += [(NOBODY, other, 0.0) for other in (partner == NOBODY).nonzero()[:, 0].tolist()]
    rows = torch.tensor([pair[:2] for pair in pairs], device=overlap.device).view(-1, 2).long()
    return _Pairs(*rows.unbind(1), torch.tensor([pair[2] for pair in pairs], device=overlap.device))


def _logits_of(look: Look, grid: Grid, sites: Tensor, person: Tensor) -> tuple[Tensor, Tensor]:
    """What a look says at sites [M, 3] of a grid of the people who own them: logits [M, 75], and [M] bool where it has any.

    person: [M] rows of the look's people, or NOBODY.
    """
    iuv, columns = look.iuv, look.grid.size[1]
    if not len(iuv):
        return torch.zeros(len(sites), IUV_CHANNELS, device=person.device), torch.zeros_like(person, dtype=torch.bool)
    number = torch.full((look.grid.size[0] * columns,), NOBODY, device=person.device)
    number[iuv.cells(columns)] = torch.arange(len(iuv), device=person.device)
    cells, weight = _taps(look.grid, grid, sites[:, 1:])
    number = number[cells]
    weight = weight * ((number >= 0) & (iuv.owner[number] == person[:, None]))
    total = weight.sum(1, keepdim=True)
    weight = weight / total.clamp(min=torch.finfo(weight.dtype).tiny)
    logits = F.embedding_bag(number.clamp(min=0), iuv.logits.float(), per_sample_weights=weight, mode="sum")
    return logits, total[:, 0] > 0


def _taps(source: Grid, grid: Grid, places: Tensor) -> tuple[Tensor, Tensor]:
    """The four cells of `source` around the centres of cells of another grid over the same frame, and their bilinear weights.

    places: [M, 2] cells (row, column) of `grid`. Returns [M, 4] flat cells, and [M, 4].
    """

    def axis(number: int) -> tuple[Tensor, Tensor, Tensor]:
        last = source.size[number] - 1
        stretch = grid.pixels_per_cell[number] / source.pixels_per_cell[number]
        place = ((places[:, number] + 0.5) * stretch - 0.5).clamp(0, last)
        low = place.long()
        return low, (low + 1).clamp(max=last), place - low

    (top, bottom, down), (left, right, across) = axis(0), axis(1)
    cells = [row * source.size[1] + column for row in (top, bottom) for column in (left, right)]
    weights = [y * x for y in (1 - down, down) for x in (1 - across, across)]
    return torch.stack(cells, 1), torch.stack(weights, 1)


def _resize(maps: Tensor, source: Grid, grid: Grid) -> Tensor:
    """[..., rows, columns] on the source grid -> the same on another grid over the same frame."""
    every = torch.cartesian_prod(*(torch.arange(n, device=maps.device) for n in grid.size))
    cells, weights = _taps(source, grid, every)
    flat = maps.float().flatten(-2)
    return sum(flat[..., cells[:, tap]] * weights[:, tap] for tap in range(4)).unflatten(-1, grid.size)

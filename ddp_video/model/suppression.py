"""Background suppression (paper section 3.4, eq. 1): which cells go on, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A cell is active where an instance's mask logit exceeds this: probability .27 rather than .5, about one more cell
# around each person. Outlines are refined at full size, between cells, and need logits on both sides of them.
ACTIVE_LOGIT = -1.0


@dataclass(frozen=True)
class Foreground:
    """sites: [M, 3] int32 (image, y, x), sorted. owner: [M] int64, the row of the instance that each belongs to."""

    sites: Tensor
    owner: Tensor


def suppress_background(mask_logits: Tensor, image: Tensor, num_images: int) -> Foreground:
    """The union of the instances' masks.

    A site belongs to the highest-scoring instance that covers it; of instances whose mask (logit > 0) covers it if there
    is one, else of those that it borders.

    Args:
        mask_logits: [K, h, w] of M_ins, image by image, best score first.
        image: [K] int64, ascending.
    """
    sites, owner, first = [], [], 0
    for i, logits in enumerate(mask_logits.split(torch.bincount(image, minlength=num_images).tolist())):
        count = len(logits)
        if count:
            # The rank says who wins: first those that cover a cell, by score, then those that border it, by score.
            rank = torch.arange(count, dtype=torch.int16, device=logits.device)[:, None, None]
            rank = torch.where(logits > 0, rank, rank + count).masked_fill_(logits <= ACTIVE_LOGIT, 2 * count)
            best = rank.amin(0)
            y, x = (best < 2 * count).nonzero().unbind(1)
            sites.append(torch.stack([torch.full_like(y, i), y, x], 1))
            owner.append(best[y, x].long() % count + first)
        first += count
    if not sites:
        return Foreground(image.new_zeros(0, 3, dtype=torch.int32), image.new_zeros(0))
    return Foreground(torch.cat(sites).int(), torch.cat(owner))

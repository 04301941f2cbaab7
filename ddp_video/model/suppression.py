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
    count = len(mask_logits)
    nobody = 2 * count
    # The rank says who wins: first those that cover a cell, by score, then those that border it, by score.
    rank = torch.arange(count, device=mask_logits.device)[:, None, None]
    rank = torch.where(mask_logits > 0, rank, torch.where(mask_logits > ACTIVE_LOGIT, rank + count, nobody))
    people = torch.bincount(image, minlength=num_images).tolist()
    empty = rank.new_full((1, *mask_logits.shape[1:]), nobody)
    best = torch.stack([torch.cat([of_image, empty]).amin(0) for of_image in rank.split(people)])
    sites = (best < nobody).nonzero()
    owner = best[sites[:, 0], sites[:, 1], sites[:, 2]] % max(count, 1)
    return Foreground(sites.int(), owner)

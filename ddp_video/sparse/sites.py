"""Which cells of a batch of grids are active, and which active cells are neighbours."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor


class ActiveSites:
    """The active cells of B grids of H x W, the same for every layer of a submanifold network.

    Args:
        sites: [M, 3] integer (image, y, x), distinct. Sorted sites are faster: neighbours then lie close in memory.
        size: (B, H, W).
    """

    def __init__(self, sites: Tensor, size: tuple[int, int, int]):
        if sites.ndim != 2 or sites.shape[1] != 3 or sites.is_floating_point():
            raise ValueError(f"sites must be integer [M,3] (image,y,x), got {sites.dtype} {list(sites.shape)}")
        self.sites = sites
        self.size = size
        self.spconv_pairs: dict = {}  # where spconv keeps its own neighbour tables from layer to layer

    def __len__(self) -> int:
        return len(self.sites)

    @cached_property
    def flat(self) -> Tensor:
        """[M] int64, index of each site in a grid flattened as (B, H, W)."""
        _, height, width = self.size
        image, y, x = self.sites.long().unbind(1)
        return (image * height + y) * width + x

    @cached_property
    def neighbours(self) -> Tensor:
        """[M, 9] int32, row of the site under each tap of a 3x3 kernel (row-major), or M where that cell is inactive."""
        batch, height, width = self.size
        count, device = len(self), self.sites.device
        # One ring of inactive cells around each image: taps that leave the image find nobody, without any test.
        rows, columns = height + 2, width + 2
        grid = torch.full((batch * rows * columns,), count, dtype=torch.int32, device=device)
        image, y, x = self.sites.long().unbind(1)
        centre = (image * rows + y + 1) * columns + x + 1
        grid[centre] = torch.arange(count, dtype=torch.int32, device=device)
        step = torch.arange(-1, 2, device=device)
        taps = (step[:, None] * columns + step).flatten()
        return grid[centre[:, None] + taps]

    def adjacent(self) -> tuple[Tensor, Tensor]:
        """Rows of the sites that lie right next to, or right above, another, and of those others: two [P] int64."""
        table = self.neighbours[:, [5, 7]].long()  # right and below
        first, side = torch.nonzero(table < len(self), as_tuple=True)
        return first, table[first, side]

    def gather(self, dense: Tensor) -> Tensor:
        """[B, C, H, W] -> [M, C], the values at the sites."""
        return dense.permute(0, 2, 3, 1).reshape(-1, dense.shape[1]).index_select(0, self.flat)

    def scatter(self, values: Tensor) -> Tensor:
        """[M, C] -> [B, C, H, W], zero off the sites."""
        batch, height, width = self.size
        dense = values.new_zeros(batch * height * width, values.shape[1]).index_copy(0, self.flat, values)
        return dense.view(batch, height, width, -1).permute(0, 3, 1, 2)

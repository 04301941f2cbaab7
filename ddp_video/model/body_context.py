"""What one part of a body learns from all others: attention over a coarse grid that is laid on each person.

A foot tells little about its side; the face and the trunk do, hundreds of pixels away, further than convolutions look. The
sites of a person are averaged on a grid of GRID x GRID cells that is stretched to that person, small or large; its cells
attend to each other; and what they have learnt is added to the features of the sites. Not in the paper, whose branch sees
parts of a person in their surroundings only. The cost is per person and small: GRID^2 cells, few layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 10
NUM_LAYERS, NUM_HEADS, WIDENING = 2, 4, 2
REACH = 2.1  # standard deviations of the sites from their mean to the middle of the outermost cells


class BodyContext(nn.Module):
    """Adds to each site what the rest of its person's body says; nothing before it is trained."""

    def __init__(self, channels: int):
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(GRID * GRID, channels))  # of a cell within the body
        self.extent = nn.Linear(2, channels)
        self.read = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels))
        self.layers = nn.ModuleList(_Layer(channels) for _ in range(NUM_LAYERS))
        self.write = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels))
        nn.init.zeros_(self.write[1].weight)
        nn.init.zeros_(self.write[1].bias)

    def forward(self, x: Tensor, sites: Tensor, segment: Tensor, num_segments: int) -> Tensor:
        """Features of the sites, each knowing of the others of its segment.

        Args:
            x: [M, C]. sites: [M, 3] integer (image, y, x).
            segment: [M] int64 in 0..num_segments-1, the person who owns each site; segments may be empty.
        Returns:
            [M, C] of x's dtype.
        """
        position, extent = _on_the_body(sites[:, 1:].float(), segment, num_segments)
        nearest = (position + 0.5).long()
        cell = _row(segment, nearest[:, 0], nearest[:, 1])
        total = x.new_zeros(num_segments * GRID * GRID, x.shape[1], dtype=torch.float32).index_add_(0, cell, x.float())
        count = torch.bincount(cell, minlength=len(total))
        mean = (total / count.clamp(min=1)[:, None]).view(num_segments, GRID * GRID, total.shape[1])
        empty = (count == 0).view(num_segments, 1, 1, GRID * GRID)
        tokens = self.read(mean) + self.place + self.extent(extent)[:, None]
        for layer in self.layers:
            tokens = layer(tokens, empty)
        return x + _at(self.write(tokens).flatten(0, 1), position, segment).to(x.dtype)


class _Layer(nn.Module):
    """A transformer's layer, normalised first; empty cells are not attended to."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.to_heads = nn.Linear(channels, 3 * channels)
        self.from_heads = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, WIDENING * channels),
            nn.GELU(),
            nn.Linear(WIDENING * channels, channels),
        )

    def forward(self, x: Tensor, empty: Tensor) -> Tensor:
        query, key, value = (
            self.to_heads(self.norm(x)).unflatten(2, (3, NUM_HEADS, x.shape[2] // NUM_HEADS)).permute(2, 0, 3, 1, 4)
        )
        # Not minus infinity: a segment without sites must not give NaN.
        mask = torch.zeros(empty.shape, dtype=query.dtype, device=x.device).masked_fill_(empty, -1e4)
        heads = F.scaled_dot_product_attention(query, key, value, mask)
        x = x + self.from_heads(heads.transpose(1, 2).flatten(2))
        return x + self.mlp(x)


def _on_the_body(places: Tensor, segment: Tensor, num_segments: int) -> tuple[Tensor, Tensor]:
    """[M, 2] positions (y, x) on the grid, 0..GRID-1; and [S, 2] logarithms of the persons' standard deviations.

    Mean and deviation instead of a box: a few stray sites do not move them.
    """
    zeros = places.new_zeros(num_segments, 2)
    count = torch.bincount(segment, minlength=num_segments).clamp(min=1)[:, None]
    centred = places - (zeros.index_add(0, segment, places) / count).index_select(0, segment)
    deviation = (zeros.index_add(0, segment, centred.square()) / count).sqrt().clamp(min=0.5)
    half = (GRID - 1) / 2
    position = centred / deviation.index_select(0, segment) * (half / REACH) + half
    return position.clamp(0, GRID - 1), deviation.log()


def _row(segment: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Where a cell of a segment's grid stands among the cells of all."""
    return (segment * GRID + row) * GRID + column


def _at(cells: Tensor, position: Tensor, segment: Tensor) -> Tensor:
    """Bilinear interpolation of [S * GRID * GRID, C] at positions [M, 2] of the segments' own grids."""
    low = position.long().clamp(max=GRID - 2)
    beyond = (position - low).to(cells.dtype)
    out = None
    for down in (0, 1):
        for right in (0, 1):
            row = _row(segment, low[:, 0] + down, low[:, 1] + right)
            share = (beyond[:, 0] if down else 1 - beyond[:, 0]) * (beyond[:, 1] if right else 1 - beyond[:, 1])
            part = cells.index_select(0, row) * share[:, None]
            out = part if out is None else out + part
    return out

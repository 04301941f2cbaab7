"""The controller (paper section 3.3): a 3x3 convolution that generates each instance's mask head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Controller(nn.Module):
    """Of thousands of locations only a few become people, so the convolution is evaluated where it is read."""

    def __init__(self, channels: int, num_parameters: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_parameters, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(num_parameters))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, levels: list[Tensor]) -> GeneratedParameters:
        """Features of all levels, [B, C, h, w] each -> parameters to be read at (image, location)."""
        return GeneratedParameters(levels, self.weight, self.bias)


class GeneratedParameters:
    """Reads like a tensor [B, L, P]: `parameters[image_index, location_index]` -> [K, P] float32."""

    def __init__(self, levels: list[Tensor], weight: Tensor, bias: Tensor):
        self.weight, self.bias = weight, bias
        # All levels in one list of cells, each level with a ring of zeros around it, so every location has 9 cells.
        self.cells = torch.cat([F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).flatten(1, 2) for x in levels], 1)
        corners, pitches, start = [], [], 0  # cell of each location's upper left tap; cells from row to row
        for x in levels:
            height, width = x.shape[2:]
            rows = torch.arange(height, device=x.device)[:, None] * (width + 2)
            corners.append((start + rows + torch.arange(width, device=x.device)).flatten())
            pitches.append(torch.full_like(corners[-1], width + 2))
            start += (height + 2) * (width + 2)
        self.corners, self.pitches = torch.cat(corners), torch.cat(pitches)

    def __getitem__(self, index: tuple[Tensor, Tensor]) -> Tensor:
        image, location = index
        tap = torch.arange(3, device=self.cells.device)
        corner = image * self.cells.shape[1] + self.corners[location]
        taps = corner[:, None, None] + tap[:, None] * self.pitches[location][:, None, None] + tap
        patches = self.cells.flatten(0, 1).index_select(0, taps.flatten()).view(len(corner), self.cells.shape[2] * 9)
        matrix = self.weight.permute(0, 2, 3, 1).flatten(1)  # columns ordered (tap, channel) as the patches are
        return F.linear(patches, matrix.to(patches.dtype), self.bias.to(patches.dtype)).float()

"""Which location answers for which person, and what it should say (FCOS)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ddp_video.data.sample import IGNORE, Batch
from ddp_video.structures import STRIDE

CENTRE_RADIUS = 1.5  # strides around a person's mask centroid, along x and along y
# A level answers for people whose box lies at most so far (px) from the location: stride -> (above, up to).
RANGES = {8: (0, 64), 16: (64, 128), 32: (128, 256), 64: (256, float("inf"))}


@dataclass(frozen=True)
class Assignment:
    """person: [B, L] int64, row of the batch's people that a location answers for, -1 = nobody.
    counted: [B, L] bool, False on people that are to be ignored. boxes_ltrb: [P, 4] px and centerness: [P], both for the
    P positive locations in the order of `person >= 0`.
    """

    person: Tensor
    counted: Tensor
    boxes_ltrb: Tensor
    centerness: Tensor


def assign(batch: Batch, locations: Tensor, strides: Tensor) -> Assignment:
    """Match the L locations (px, [L, 2], of `strides` [L]) with the people of every crop.

    A location is positive for a person when it is inside the box and near the mask's centroid, and the box is of its
    level's range; of several people the smallest box wins.
    """
    person = match(batch.boxes, centroids(batch), batch.image_index, locations, strides, len(batch.images))
    image, location = torch.nonzero(person >= 0, as_tuple=True)
    ltrb = distances(locations[location], batch.boxes[person[image, location]])
    cell = (locations / STRIDE).long()
    return Assignment(person, batch.instance[:, cell[:, 1], cell[:, 0]] != IGNORE, ltrb, centerness(ltrb))


def match(
    boxes: Tensor, centres: Tensor, image_index: Tensor, locations: Tensor, strides: Tensor, images: int
) -> Tensor:
    """[N, 4], [N, 2] px, [N], [L, 2], [L] -> [images, L] int64, row of `boxes` or -1."""
    ltrb = distances(locations, boxes[:, None])
    reach = ltrb.amax(-1)
    above, up_to = strides.new_tensor([RANGES[s] for s in strides.tolist()], dtype=torch.float32).unbind(1)
    near = (locations - centres[:, None]).abs().amax(-1) < CENTRE_RADIUS * strides
    fits = near & (ltrb.amin(-1) > 0) & (reach > above) & (reach <= up_to)
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))[:, None].masked_fill(~fits, torch.inf)
    rows = image_index[:, None].expand_as(area)
    shape = (images, len(locations))
    smallest = area.new_full(shape, torch.inf).scatter_reduce(0, rows, area, "amin")
    number = torch.arange(len(boxes), device=boxes.device)[:, None].expand_as(area)
    wins = fits & (area == smallest.gather(0, rows))
    number = torch.where(wins, number, -1)
    return number.new_full(shape, -1).scatter_reduce(0, rows, number, "amax")


def distances(locations: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """[..., 2] and [..., 4] px -> [..., 4] distances to the left, top, right and bottom; negative outside."""
    return torch.cat([locations - boxes_xyxy[..., :2], boxes_xyxy[..., 2:] - locations], -1)


def centerness(ltrb: Tensor) -> Tensor:
    """[P, 4] -> [P] in 0..1: 1 in the middle of the box, 0 at its edge (FCOS eq. 3)."""
    sides = torch.stack([ltrb[:, 0::2], ltrb[:, 1::2]], 1)
    return (sides.amin(-1) / sides.amax(-1)).prod(-1).sqrt()


def centroids(batch: Batch) -> Tensor:
    """[N, 2] px: the mean position of each person's cells."""
    image, y, x = torch.nonzero((batch.instance > 0) & (batch.instance != IGNORE), as_tuple=True)
    row = rows_of_people(batch)[image, batch.instance[image, y, x].long()]
    position = (torch.stack([x, y, torch.ones_like(x)], 1) + x.new_tensor([0.5, 0.5, 0.0], dtype=torch.float32)).float()
    total = position.new_zeros(len(batch.boxes), 3).index_add_(0, row, position)
    return total[:, :2] / total[:, 2:] * STRIDE


def rows_of_people(batch: Batch) -> Tensor:
    """[B, 256] int64: row in the batch's list of the person with a number in a crop; -1 where there is none."""
    table = batch.person.new_full((len(batch.images), 256), -1)
    table[batch.image_index, batch.person] = torch.arange(len(batch.person), device=table.device)
    return table

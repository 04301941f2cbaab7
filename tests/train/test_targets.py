"""FCOS assignment against a loop over locations and people."""

import numpy as np
import pytest
import torch

from ddp_video.data.sample import IGNORE, Crop, collate
from ddp_video.model.instance_branch import cell_centres
from ddp_video.train import targets


def locations(size, strides=(8, 16, 32, 64)):
    levels = [cell_centres((size // s, size // s), s, torch.device("cpu")) for s in strides]
    return torch.cat(levels), torch.cat([torch.full((len(x),), float(s)) for x, s in zip(levels, strides, strict=True)])


def crop_of_rectangles(size, rectangles, ignored=()):
    """Rectangles x0 y0 x1 y1 in grid cells; later ones lie in front."""
    grid = size // 4
    instance = np.zeros((grid, grid), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(rectangles, 1):
        instance[y0:y1, x0:x1] = number
    for x0, y0, x1, y1 in ignored:
        instance[y0:y1, x0:x1] = IGNORE
    empty = np.zeros((grid, grid), np.uint8)
    owner = np.where(instance == IGNORE, 0, instance).astype(np.uint8)
    return Crop(
        np.zeros((size, size, 3), np.uint8),
        instance,
        owner,
        empty,
        np.zeros((grid, grid, 2), np.float32),
        empty.astype(bool),
        np.array(rectangles, np.float32).reshape(-1, 4) * 4,
        np.ones(len(rectangles), bool),
    )


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    crops = []
    for _ in range(3):
        corner, size = rng.integers(0, 56, (6, 2)), rng.integers(3, 70, (6, 2))
        boxes = np.concatenate([corner, np.minimum(corner + size, 80)], 1)
        boxes = boxes[
            np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(1))
        ]  # the smaller in front: nobody is quite hidden
        crops.append(crop_of_rectangles(320, boxes.tolist()))
    return collate([*crops, crop_of_rectangles(320, [])])


def test_match_equals_a_loop(batch):
    where, strides = locations(320)
    centres = targets.centroids(batch)
    got = targets.match(batch.boxes, centres, batch.image_index, where, strides, 4)
    positives = 0
    for image in range(4):
        for i, ((x, y), stride) in enumerate(zip(where.tolist(), strides.tolist(), strict=True)):
            best, best_area = -1, float("inf")
            low, high = targets.RANGES[int(stride)]
            for n, (x0, y0, x1, y1) in enumerate(batch.boxes.tolist()):
                sides = (x - x0, y - y0, x1 - x, y1 - y)
                cx, cy = centres[n].tolist()
                near = abs(x - cx) < 1.5 * stride and abs(y - cy) < 1.5 * stride
                if batch.image_index[n] == image and near and min(sides) > 0 and low < max(sides) <= high:
                    area = (x1 - x0) * (y1 - y0)
                    if area < best_area:
                        best, best_area = n, area
            assert got[image, i] == best
            positives += best >= 0
    assert positives > 20
    assert (got[3] == -1).all()


def test_centroids_are_means_of_cells(batch):
    centres = targets.centroids(batch)
    for n, (image, person) in enumerate(zip(batch.image_index, batch.person, strict=True)):
        y, x = np.nonzero(batch.instance[image].numpy() == int(person))
        assert centres[n].tolist() == pytest.approx([4 * (x.mean() + 0.5), 4 * (y.mean() + 0.5)], rel=1e-5)


def test_assignment_describes_its_positive_locations(batch):
    where, strides = locations(320)
    got = targets.assign(batch, where, strides)
    image, location = torch.nonzero(got.person >= 0, as_tuple=True)
    boxes = batch.boxes[got.person[image, location]]
    corners = torch.cat([where[location] - got.boxes_ltrb[:, :2], where[location] + got.boxes_ltrb[:, 2:]], 1)
    assert torch.allclose(corners, boxes, atol=1e-4)
    assert ((got.centerness > 0) & (got.centerness <= 1)).all()
    assert got.counted.all()


def test_centerness():
    assert targets.centerness(torch.tensor([[5.0, 7, 5, 7]])).item() == 1
    assert targets.centerness(torch.tensor([[1.0, 2, 4, 8]])).item() == pytest.approx((1 / 4 * 2 / 8) ** 0.5)


def test_people_to_ignore_are_not_counted():
    batch = collate([crop_of_rectangles(64, [(0, 0, 4, 4)], ignored=[(8, 0, 16, 16)])])
    where, strides = locations(64)
    counted = targets.assign(batch, where, strides).counted[0]
    finest = strides == 8
    assert (counted[finest] == (where[finest, 0] < 32)).all()

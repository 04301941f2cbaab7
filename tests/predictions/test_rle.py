"""Run lengths: parity with pycocotools, and the masks that they are of."""

import numpy as np
import pytest
import torch

from ddp_video import rle
from ddp_video.predictions.masks import person_runs
from ddp_video.structures import Grid


def masks():
    random = np.random.default_rng(0)
    yield np.zeros((7, 5), bool)
    yield np.ones((7, 5), bool)
    yield np.ones((1, 1), bool)
    yield np.eye(6, dtype=bool)
    yield np.arange(35).reshape(7, 5) % 2 == 0
    for density in (0.02, 0.5, 0.98):
        for size in ((1, 40), (40, 1), (33, 57), (300, 200)):
            yield random.random(size) < density
    yield random.random((600, 700)) < 1e-5  # runs of many characters


@pytest.mark.parametrize("mask", list(masks()))
def test_round_trip(mask):
    counts = rle.encode(mask)
    assert counts.dtype == np.uint32
    assert np.array_equal(rle.decode(counts, mask.shape), mask)
    assert (counts[1:] > 0).all()


@pytest.mark.parametrize("mask", list(masks()))
def test_parity_with_pycocotools(mask):
    coco = pytest.importorskip("pycocotools.mask")
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = {"size": list(mask.shape), "counts": rle.encode(mask).tolist()}
    assert coco.frPyObjects(ours, *mask.shape)["counts"] == expected["counts"]
    assert rle.compress(rle.encode(mask)) == expected["counts"].decode()


@pytest.mark.parametrize("mask", list(masks()))
def test_strings_and_lists_of_counts(mask):
    counts = rle.encode(mask)
    string = rle.compress(counts)
    for given in (string, string.encode()):
        assert np.array_equal(rle.decompress(given), counts)
    for given in (string, string.encode(), counts.tolist()):
        assert np.array_equal(rle.decode(given, mask.shape), mask)


def test_a_string_that_no_mask_can_have():
    with pytest.raises(ValueError, match="no mask can have"):
        rle.decompress("o" * 20 + "0")


def test_a_rectangle_within_a_picture():
    random = np.random.default_rng(1)
    for top, left, h, w in ((0, 0, 20, 9), (3, 4, 5, 6), (0, 2, 20, 3), (15, 28, 5, 2), (4, 4, 0, 0)):
        part = random.random((h, w)) < 0.6
        picture = np.zeros((20, 30), bool)
        picture[top : top + h, left : left + w] = part
        assert np.array_equal(rle.encode(part, (20, 30), top, left), rle.encode(picture))


def test_counts_that_do_not_add_up():
    with pytest.raises(ValueError, match="add up to 7, a mask of 2 x 4 has 8"):
        rle.decode(np.array([3, 4]), (2, 4))


@pytest.mark.parametrize("grid", [Grid((90, 130), (96, 139)), Grid((96, 128), (96, 128)), Grid((201, 77), (67, 26))])
def test_masks_are_those_of_the_whole_interpolated_map(predict, grid):
    instances = predict(0, people=5, grid=grid).instances
    instances.mask_logits[3] = -1  # nobody
    for logits, counts in zip(instances.mask_logits, person_runs(instances, grid), strict=True):
        # Independently: sample the map at each pixel's centre with torch.
        (h, w), (rows, columns), (down, right) = grid.frame_size, grid.size, grid.pixels_per_cell
        y = (torch.arange(h) + 0.5) / down / rows * 2 - 1
        x = (torch.arange(w) + 0.5) / right / columns * 2 - 1
        where = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=2)
        sampled = torch.nn.functional.grid_sample(
            logits[None, None], where[None], mode="bilinear", padding_mode="border", align_corners=False
        )[0, 0]
        mask = rle.decode(counts, grid.frame_size)
        assert np.array_equal(mask[sampled.abs() > 1e-4], (sampled > 0).numpy()[sampled.abs() > 1e-4])

"""Crops: labels stay on their pixels whatever is done to the picture, and mirroring follows the charts' table."""

from dataclasses import replace

import numpy as np
import pytest

from ddp_video import charts
from ddp_video.data import transforms
from ddp_video.data.sample import IGNORE, UNLABELLED, Sample
from ddp_video.data.transforms import Augmentation, draw_count, plain_crop, train_crop
from ddp_video.structures import STRIDE


def painted_sample(height=200, width=260, points=False):
    """A picture whose red is 10 x chart, green 60 x person, blue 255 u: so that labels can be read off the picture."""
    instance = np.zeros((height, width), np.uint8)
    part, uv = instance.copy(), np.zeros((height, width, 2), np.uint8)
    for person, (top, left, h, w) in enumerate([(20, 30, 140, 80), (60, 150, 130, 90)], 1):
        at = np.s_[top : top + h, left : left + w]
        instance[at] = person
        part[at] = 1 + np.arange(h)[:, None] * 24 // h
        uv[at] = np.stack(np.broadcast_arrays(np.arange(w) * 2, np.arange(h)[:, None]), -1)
    image = np.stack([part * 10, instance * 60, uv[..., 0]], -1)
    if not points:
        return Sample(image, instance, part > 0, np.ones(2, bool), part, uv)
    y, x = (a.ravel()[::37] for a in np.nonzero(instance))
    rows = np.stack([x + 0.5, y + 0.5, part[y, x], *(uv[y, x].T / 255)], 1).astype(np.float32)
    return Sample(image, instance, part > 0, np.ones(2, bool), points=rows)


def centres(crop):
    """The picture at the middle of every cell: mean of the four pixels that meet there. [h, h, 3]"""
    image = crop.image.astype(float)
    return (image[1::4, 1::4] + image[1::4, 2::4] + image[2::4, 1::4] + image[2::4, 2::4]) / 4


def agreement(crop, mirrored=False):
    """Share of labelled cells whose chart, person and u can be read off the picture."""
    colours = centres(crop)
    labelled = (crop.part > 0) & (crop.part != UNLABELLED)
    part = np.array(charts.MIRROR)[np.where(labelled, crop.part, 0)] if mirrored else crop.part
    right_part = np.abs(colours[..., 0] - 10.0 * part) < 5
    u = crop.uv[..., 0]
    if mirrored:
        u = np.where(np.isin(crop.part, charts.MIRROR_FLIPS_U), 1 - u, u)
    right_u = np.abs(colours[..., 2] - 255 * u) < 6
    assert labelled.sum() > 20
    return (right_part & right_u)[labelled].mean()


@pytest.fixture
def geometry_only(monkeypatch):
    monkeypatch.setattr(transforms, "photometric", lambda image, rng: image)
    return Augmentation(mirror=0.0, mosaic=0.0, paste=0.0, blend=0.0, hide=0.0, widen_sites=0, ragged=0.0)


def test_labels_stay_on_their_pixels(geometry_only):
    for seed in range(12):
        crop = train_crop([painted_sample()], 128, geometry_only, np.random.default_rng(seed))
        # Not all: cells at chart borders see a mixed colour.
        assert agreement(crop) > 0.75


def test_labels_stay_on_their_pixels_at_any_angle(geometry_only):
    """The charts of the person drawn are numbered from head to foot."""
    lowest_first = []
    for seed in range(12):
        turned = replace(geometry_only, any_angle=1.0)
        crop = train_crop([painted_sample()], 128, turned, np.random.default_rng(seed))
        assert agreement(crop) > 0.75
        rows, columns = np.nonzero((crop.part > 0) & (crop.part != UNLABELLED))
        lowest_first.append(np.polyfit(rows, crop.part[rows, columns].astype(float), 1)[0] < 0)
    assert 2 < sum(lowest_first) < 10


def test_labels_stay_on_their_pixels_where_people_stand_before_others(geometry_only):
    crowded = 0
    for seed in range(12):
        crop = train_crop([painted_sample()] * 2, 128, geometry_only, np.random.default_rng(seed))
        assert agreement(crop) > 0.75
        crowded += len(crop.boxes) > 2  # more than one sample has
    assert crowded > 2


def test_there_is_no_shift_between_picture_and_labels():
    """The crop at the picture's own size takes every label from the pixel under the cell's centre."""
    x = np.arange(128)
    ramp = np.broadcast_to(x, (128, 128)).astype(np.uint8)
    everyone = np.ones((128, 128), np.uint8)
    sample = Sample(
        np.stack([ramp] * 3, -1), everyone, everyone > 0, np.ones(1, bool), everyone, np.stack([ramp, ramp.T], -1)
    )
    crop = plain_crop(sample, 128)
    assert np.array_equal(crop.image, sample.image)
    expected = 4 * np.arange(32) + 1.5  # the pixels 1 and 2 of each cell are equally near
    assert np.abs(crop.uv[..., 0] * 255 - expected).max() <= 0.51
    assert np.abs(crop.uv[..., 1] * 255 - expected[:, None]).max() <= 0.51
    assert crop.boxes.tolist() == [[0, 0, 128, 128]]


def test_mirror_swaps_sides_and_turns_u_on_the_torso(geometry_only):
    mirror = replace(geometry_only, mirror=1.0)
    for seed in range(6):
        plain = train_crop([painted_sample()], 128, geometry_only, np.random.default_rng(seed))
        flipped = train_crop([painted_sample()], 128, mirror, np.random.default_rng(seed))
        assert np.array_equal(flipped.image, plain.image[:, ::-1])
        swapped = np.where(plain.part == UNLABELLED, UNLABELLED, np.array(charts.MIRROR)[plain.part % UNLABELLED])
        assert np.array_equal(flipped.part, swapped[:, ::-1])
        u = np.where(np.isin(swapped, charts.MIRROR_FLIPS_U), 1 - plain.uv[..., 0], plain.uv[..., 0])
        assert np.array_equal(flipped.uv, np.stack([u, plain.uv[..., 1]], -1)[:, ::-1])
        assert agreement(flipped, mirrored=True) > 0.75
        width = plain.image.shape[1]
        assert np.array_equal(np.sort(flipped.boxes[:, 0]), np.sort(width - plain.boxes[:, 2]))


def test_pictures_with_points_are_not_mirrored(geometry_only):
    mirror = replace(geometry_only, mirror=1.0)
    crops = [
        train_crop([painted_sample(points=True)], 128, a, np.random.default_rng(3)) for a in (geometry_only, mirror)
    ]
    assert np.array_equal(crops[0].image, crops[1].image)


def test_points_label_the_cells_that_they_fall_into(geometry_only):
    for seed in range(6):
        crop = train_crop([painted_sample(points=True)], 128, geometry_only, np.random.default_rng(seed))
        labelled = (crop.part != UNLABELLED) & (crop.owner > 0)
        assert 20 < labelled.sum() < (crop.owner > 0).sum()
        u = np.abs(centres(crop)[..., 2] - 255 * crop.uv[..., 0])[labelled & (crop.part > 0)]
        assert np.median(u) < 8  # a cell is 4 px wide, 8 grey levels


@pytest.mark.parametrize("tiles", [2, 3])
def test_boxes_hold_their_people(geometry_only, tiles):
    for seed in range(12):
        crop = train_crop([painted_sample()] * tiles**2, 192, geometry_only, np.random.default_rng(seed))
        assert len(crop.boxes) == len(crop.has_dense) == len(set(np.unique(crop.instance)) - {0, IGNORE})
        for number, (x0, y0, x1, y1) in enumerate(crop.boxes, 1):
            y, x = np.nonzero(crop.instance == number)
            assert len(x) >= 4
            assert (4 * x + 2 >= x0).all() and (4 * x + 2 <= x1).all()
            assert (4 * y + 2 >= y0).all() and (4 * y + 2 <= y1).all()


@pytest.mark.parametrize("tiles", [2, 3])
def test_a_mosaic_shows_its_samples_row_by_row(geometry_only, tiles):
    """Each sample is one person who fills it, all on one chart."""
    chart = np.arange(1, tiles**2 + 1).reshape(tiles, tiles)
    image, everywhere = np.zeros((256, 256, 3), np.uint8), np.ones((256, 256), np.uint8)
    samples = [
        Sample(image, everywhere, everywhere > 0, np.ones(1, bool), everywhere * np.uint8(c), image[..., :2])
        for c in chart.flat
    ]
    crop = train_crop(samples, 192, geometry_only, np.random.default_rng(0))
    middles = 192 // STRIDE // tiles * (np.arange(tiles) + 0.5)
    at = np.ix_(middles.astype(int), middles.astype(int))
    assert np.array_equal(crop.part[at], chart)
    assert np.array_equal(crop.instance[at], chart)  # numbered on from tile to tile


def test_a_mosaic_of_more_people_than_numbers_ignores_the_last(geometry_only):
    """36 people a tile, 324 in all, of whom 254 can be told apart."""
    instance = np.kron(1 + np.arange(36, dtype=np.uint8).reshape(6, 6), np.ones((32, 32), np.uint8))
    image = np.zeros((192, 192, 3), np.uint8)
    part = np.full((192, 192), 2, np.uint8)
    sample = Sample(image, instance, part > 0, np.ones(36, bool), part, image[..., :2])
    whole = replace(geometry_only, around=0.0, zoom=(1.0, 1.0), stretch=0.0, rotation_degrees=0.0, any_angle=0.0)
    crop = train_crop([sample] * 9, 576, whole, np.random.default_rng(0))
    assert len(crop.boxes) == len(crop.has_dense) == 254
    shown = [crop.instance[row : row + 48, column : column + 48] for row in (0, 48, 96) for column in (0, 48, 96)]
    for n, tile in enumerate(shown):
        expected = {min(36 * n + person, IGNORE) for person in range(1, 37)}
        assert set(np.unique(tile).tolist()) == expected


@pytest.mark.parametrize("size, counts", [(128, {1, 2, 4}), (192, {1, 2, 4, 9}), (576, {1, 2, 4, 9})])
def test_crops_of_all_kinds_are_drawn_and_thirds_are_whole_cells(size, counts):
    rng = np.random.default_rng(0)
    assert {draw_count(size, Augmentation(mosaic=0.5, paste=0.5), rng) for _ in range(64)} == counts
    assert {draw_count(size, Augmentation(mosaic=0.0, paste=0.0), rng) for _ in range(64)} == {1}


def test_widened_sites_are_background_next_to_people(geometry_only):
    widened = 0
    for seed in range(6):
        narrow = train_crop([painted_sample()], 128, geometry_only, np.random.default_rng(seed))
        wide = train_crop([painted_sample()], 128, replace(geometry_only, widen_sites=2), np.random.default_rng(seed))
        added = (wide.owner > 0) & (narrow.owner == 0)
        assert (wide.part[added] == 0).all()
        assert np.array_equal(wide.instance, narrow.instance)
        kept = narrow.owner > 0
        assert np.array_equal(wide.owner[kept], narrow.owner[kept])
        widened += added.any()
    assert 0 < widened < 6  # by 0, 1 or 2 cells


def test_ragged_sites_lack_some_of_a_person_or_hold_some_background(geometry_only):
    lacking = holding = 0
    for seed in range(12):
        exact = train_crop([painted_sample()], 128, geometry_only, np.random.default_rng(seed))
        crop = train_crop([painted_sample()], 128, replace(geometry_only, ragged=1.0), np.random.default_rng(seed))
        assert np.array_equal(crop.instance, exact.instance) and np.array_equal(crop.boxes, exact.boxes)
        taken, added = (exact.owner > 0) & (crop.owner == 0), (exact.owner == 0) & (crop.owner > 0)
        assert np.array_equal(crop.owner[~taken & ~added], exact.owner[~taken & ~added])
        assert (crop.instance[added] == 0).all() and (crop.part[added] == 0).all()
        lacking, holding = lacking + taken.any(), holding + added.any()
    assert lacking > 2 and holding > 2


def test_blended_people_take_on_the_colours_around_them():
    rng = np.random.default_rng(0)
    people = np.zeros((128, 128), bool)
    people[30:100, 50:80] = True
    image = np.where(people[..., None], (200, 40, 90), (60, 120, 100)) + rng.integers(-20, 21, (128, 128, 1))
    image = image.astype(np.uint8)
    blended = transforms._blended(image, people, 1.0)
    assert (blended[:, :40] == image[:, :40]).all() and (blended[:, 90:] == image[:, 90:]).all()
    inside = np.s_[40:90, 58:72]
    assert np.abs(blended[inside].mean((0, 1)) - (60, 120, 100)).max() < 8
    texture = (a[inside].astype(float) - a[inside].mean((0, 1)) for a in (image, blended))
    assert np.abs(np.subtract(*texture)).max() < 8
    assert (transforms._blended(image, np.ones_like(people), 1.0) == image).mean() > 0.99  # nothing to blend with


def test_blending_changes_no_label(geometry_only):
    plain, blended = (
        train_crop([painted_sample()], 128, replace(geometry_only, blend=odds), np.random.default_rng(3))
        for odds in (0, 1)
    )
    assert (
        (plain.part == blended.part).all() and (plain.uv == blended.uv).all() and (plain.boxes == blended.boxes).all()
    )
    assert (plain.image != blended.image).any()


def test_hidden_rectangles_take_the_labels_away(geometry_only):
    plain = train_crop([painted_sample()], 128, geometry_only, np.random.default_rng(2))
    hidden = train_crop([painted_sample()], 128, replace(geometry_only, hide=1.0), np.random.default_rng(2))
    covered = np.abs(centres(hidden) - centres(plain)).sum(-1) > 30
    assert covered.any()
    assert (hidden.instance[covered] == 0).all() and not hidden.dense[covered].any()


def test_slivers_are_ignored_and_crowds_stay_out():
    sample = painted_sample()
    instance = sample.instance.copy()
    instance[:10, :10] = 3  # two cells or so
    instance[180:, :] = IGNORE
    crop = plain_crop(replace(sample, instance=instance, has_dense=np.ones(3, bool)), 128)
    assert len(crop.boxes) == 2
    assert (crop.owner[crop.instance == IGNORE] == 0).all()
    assert (crop.part[crop.instance == IGNORE] == UNLABELLED).all()


def test_the_same_seed_gives_the_same_crop():
    first, second = (
        train_crop([painted_sample()] * 4, 128, Augmentation(), np.random.default_rng(7)) for _ in range(2)
    )
    for name in ("image", "instance", "owner", "part", "uv", "dense", "boxes"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_person_is_drawn_at_the_wanted_size(geometry_only, share):
    instance = np.zeros((256, 256), np.uint8)
    instance[100:148, 60:76] = 1
    sample = replace(
        Sample.without_people(np.full((256, 256, 3), 90, np.uint8)), instance=instance, has_dense=np.ones(1, bool)
    )
    exact = replace(geometry_only, around=1.0, person=(share, share), rotation_degrees=0.0, any_angle=0.0, stretch=0.0)
    rng = np.random.default_rng(0)
    sides = [np.ptp(train_crop([sample], 128, exact, rng).boxes.reshape(-1, 2, 2), axis=1).max() for _ in range(20)]
    assert abs(max(sides) - share * 128) <= 2  # those that the crop did not cut off

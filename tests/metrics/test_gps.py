"""GPS, GPSm and mask IoU against loops over points and pixels."""

import math

import numpy as np
import pytest
import torch

from ddp_video.metrics.geodesics import load_body
from ddp_video.metrics.gps import SCALE_OF_CHART, AccuracyEvaluator, LabelledPerson, box_iou, mask_iou, point_similarity
from ddp_video.metrics.labels import people_of_maps
from ddp_video.structures import DensePose

K = {
    "torso": 0.351, "hand": 0.107, "foot": 0.126, "upper leg": 0.237,
    "lower leg": 0.173, "upper arm": 0.142, "lower arm": 0.128, "head": 0.150,
}  # fmt: skip


@pytest.fixture(scope="module")
def body():
    return load_body()


def random_maps(rng, size=(40, 48), people=3):
    """Blocks of people with random charts: instance, part [H, W] and uv [2, H, W]."""
    instance = np.zeros(size, np.int32)
    for number in range(1, people + 1):
        y, x = rng.integers(0, size[0] - 14), rng.integers(0, size[1] - 14)
        instance[y : y + rng.integers(8, 14), x : x + rng.integers(8, 14)] = number
    part = np.where(instance > 0, rng.integers(0, 25, size), 0).astype(np.uint8)
    return instance, part, rng.random((2, *size)).astype(np.float32)


def random_people(rng, size=(40, 48), count=4):
    instance, part, uv = random_maps(rng, size, count)
    people = people_of_maps(instance, part, uv.transpose(1, 2, 0), rng, points_per_person=20, smallest=10)
    x0, y0 = people[0].box_xyxy[:2]
    crowd = LabelledPerson(np.array([x0, y0, x0 + 20, y0 + 20]), 400, instance > 0, crowd=True)
    return [*people, crowd]


def test_k_is_that_of_the_part():
    from ddp_video.charts import NAMES

    for chart, name in enumerate(NAMES[1:], 1):
        assert SCALE_OF_CHART[chart] == next(k for part, k in K.items() if part in name)


@pytest.mark.parametrize("seed", range(3))
def test_gps_equals_a_loop_over_points(body, seed):
    rng = np.random.default_rng(seed)
    people, (instance, part, uv) = random_people(rng), random_maps(rng)
    owner = np.where(part > 0, instance, 0)
    for person in people:
        got = gps(owner, part, uv, 3, person, body)
        for d in range(3):
            total = 0.0
            for (x, y), label, label_uv in zip(person.points.astype(int), person.part, person.uv, strict=True):
                if owner[y, x] != d + 1:
                    continue
                here = body.landmarks(part[y, x : x + 1], uv[:, y, x][None])
                there = body.landmarks(np.array([label]), label_uv[None])
                distance = body.between(here, there)[0]
                total += math.exp(-(distance**2) / (2 * SCALE_OF_CHART[label] ** 2))
            assert got[d] == pytest.approx(total / max(len(person.points), 1))


@pytest.mark.parametrize("seed", range(3))
def test_mask_and_box_iou_equal_counting(seed):
    pycocotools = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    people, (instance, _, _) = random_people(rng), random_maps(rng)
    crowd = [int(person.crowd) for person in people]
    encode = [
        pycocotools.encode(np.asfortranarray(mask, np.uint8)) for mask in (instance == 1, instance == 2, instance == 3)
    ]
    labelled = [pycocotools.encode(np.asfortranarray(person.mask, np.uint8)) for person in people]
    np.testing.assert_allclose(mask_iou(instance, 3, people), pycocotools.iou(encode, labelled, crowd))
    boxes = rng.random((3, 4)) * 20
    boxes[:, 2:] += boxes[:, :2]
    others = np.array([person.box_xyxy for person in people])

    def xywh(b):
        return np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1)

    expected = pycocotools.iou(xywh(boxes), xywh(others), crowd)
    np.testing.assert_allclose(box_iou(boxes, others, np.array(crowd, bool)), expected)


def gps(owner, part, uv, num_detections, person, body):
    pixels = np.tile(np.floor(person.points).astype(int), (num_detections, 1, 1))
    return point_similarity(owner, part, uv, pixels, person, body)


def as_dense_pose(instance, part, uv):
    return DensePose(torch.from_numpy(part), torch.from_numpy(uv), torch.from_numpy(instance))


def boxes_of(instance, count):
    out = np.zeros((count, 4))
    for row in range(count):
        y, x = np.nonzero(instance == row + 1)
        out[row] = x.min(), y.min(), x.max() + 1, y.max() + 1
    return out


@pytest.mark.parametrize("published", [False, True])
def test_the_labels_themselves_score_one(body, published):
    rng = np.random.default_rng(3)
    instance, part, uv = random_maps(rng, (120, 120), people=2)
    uv = (uv * 255).round() / 255
    people = people_of_maps(instance, part, uv.transpose(1, 2, 0), rng, smallest=20)
    evaluator = AccuracyEvaluator(body, published)
    evaluator.add(as_dense_pose(instance, part, uv), boxes_of(instance, 2), np.array([0.9, 0.8]), people)
    for columns in evaluator.table().values():
        assert columns["AP"] == columns["AR"] == 1


def test_half_the_points_on_background_halve_gps(body):
    instance, part, uv = (
        np.ones((40, 40), np.int32),
        np.full((40, 40), 2, np.uint8),
        np.full((2, 40, 40), 0.5, np.float32),
    )
    y, x = np.indices((40, 40)).reshape(2, -1)
    labels = np.full((1600, 2), 0.5)
    person = LabelledPerson(
        np.array([0, 0, 40, 40.0]), 1600, instance > 0, np.stack([x, y], 1), np.full(1600, 2), labels
    )
    part[:, 20:] = 0
    owner = np.where(part > 0, instance, 0)
    assert gps(owner, part, uv, 1, person, body)[0] == pytest.approx(0.5)
    outside = LabelledPerson(person.box_xyxy, 1600, person.mask, person.points - 39, person.part, person.uv)
    assert gps(owner, part, uv, 1, outside, body)[0] == pytest.approx(1 / 1600)


def test_an_image_without_anybody_is_fine(body):
    evaluator = AccuracyEvaluator(body)
    nothing = as_dense_pose(np.zeros((8, 8), np.int32), np.zeros((8, 8), np.uint8), np.zeros((2, 8, 8), np.float32))
    evaluator.add(nothing, np.zeros((0, 4)), np.zeros(0), [])
    assert all(np.isnan(value) for columns in evaluator.table().values() for value in columns.values())


@pytest.mark.parametrize(
    ("point", "box", "clean", "published"),
    [
        ((9.5, 9.5), (0, 0, 9.9, 9.9), 1, 0),  # cut away: the box has nine whole pixels
        ((9.5, 9.5), (0, 0, 10, 10), 1, 1),
        ((3.2, 5), (4, 0, 10, 10), 0, 1),  # less than a pixel to the left: reads the first column
        ((2.9, 5), (4, 0, 10, 10), 0, 0),
    ],
)
def test_published_results_are_read_relative_to_their_box(body, point, box, clean, published):
    columns = np.arange(10)
    instance = np.tile((columns >= box[0]).astype(np.int32), (10, 1))
    part, uv = (instance * 2).astype(np.uint8), np.full((2, 10, 10), 0.5, np.float32)
    labels = np.array([point], float), np.array([2]), np.array([[0.5, 0.5]])
    person = LabelledPerson(np.array([0, 0, 10, 10.0]), 100, instance > 0, *labels)
    for quirks, expected in ((False, clean), (True, published)):
        evaluator = AccuracyEvaluator(body, quirks)
        evaluator.add(as_dense_pose(instance, part, uv), np.array([box], float), np.array([1.0]), [person])
        assert evaluator.table()["GPS"]["AP"] == expected

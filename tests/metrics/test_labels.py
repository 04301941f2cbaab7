"""Ground truth as the accuracy figures see it."""

import json

import cv2
import numpy as np
import pytest

from ddp_video import rle
from ddp_video.data.choices import choice
from ddp_video.data.folder import is_held_out
from ddp_video.data.sample import IGNORE, UNKNOWN_UV, UNLABELLED
from ddp_video.errors import DataError
from ddp_video.metrics.labels import CocoLabels, DenseLabels, coco_person, people_of_maps

SIZE = (60, 80)


def annotation(**changes):
    mask = np.zeros((256, 256), bool)
    mask[64:192, :128] = True
    part = {"size": [256, 256], "counts": rle.encode(mask).tolist()}
    return {
        "id": 1,
        "image_id": 7,
        "category_id": 1,
        "bbox": [10.0, 20.0, 40.0, 20.0],
        "area": 500.0,
        "iscrowd": 0,
        "segmentation": [[10, 20, 50, 20, 50, 40, 10, 40]],
        "dp_x": [0.0, 255.0],
        "dp_y": [127.5, 255.0],
        "dp_I": [2.0, 23.0],
        "dp_U": [0.25, 0.5],
        "dp_V": [0.75, 1.0],
        "dp_masks": [part] + [[]] * 13,
        **changes,
    }


def test_coco_points_span_the_box_by_255ths():
    person = coco_person(annotation(), SIZE)
    np.testing.assert_allclose(person.points, [[10, 30], [50, 40]])
    assert person.part.tolist() == [2, 23] and person.uv.tolist() == [[0.25, 0.75], [0.5, 1.0]]
    assert person.box_xyxy.tolist() == [10, 20, 50, 40] and person.area == 500


def test_coco_mask_is_stretched_over_the_box():
    mask = coco_person(annotation(), SIZE).mask
    y, x = np.nonzero(mask)
    assert (x.min(), x.max(), y.min(), y.max()) == (10, 29, 25, 34)
    assert mask.sum() == 20 * 10


def test_coco_mask_may_leave_the_image():
    mask = coco_person(annotation(bbox=[-20.0, 40.0, 80.0, 40.0]), SIZE).mask
    assert mask.shape == SIZE and mask[50:, :20].all() and mask.sum() == 10 * 20


def test_coco_person_without_dense_pose_is_a_region():
    plain = {k: v for k, v in annotation().items() if not k.startswith("dp_")}
    person = coco_person(plain, SIZE)
    assert len(person.points) == 0
    assert person.mask.sum() == pytest.approx(40 * 20, rel=0.1)


def coco_file(folder, **content):
    default = {
        "images": [
            {"id": i, "file_name": f"{name}.jpg", "height": 60, "width": 80} for i, name in ((8, "b"), (7, "a"))
        ],
        "annotations": [annotation(), annotation(id=2, category_id=3)],
        "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "cat"}],
    }
    file = folder / "people.json"
    file.write_text(json.dumps(default | content))
    return file


def test_coco_images_come_in_the_order_of_their_names_with_people_only(tmp_path):
    labels = CocoLabels(coco_file(tmp_path))
    assert [len(labels.people(index)) for index in range(len(labels))] == [1, 0]
    names = [{"id": number, "file_name": f"{number}.jpg", "height": 60, "width": 80} for number in (1, 10, 7)]
    labels = CocoLabels(coco_file(tmp_path, images=names))  # as `infer` counts, not as text
    assert [len(labels.people(index)) for index in range(len(labels))] == [0, 1, 0]


def test_held_out_coco_images_are_those_that_training_keeps(tmp_path):
    names = [f"{number}.jpg" for number in range(400)]
    images = [{"id": n, "file_name": name, "height": 60, "width": 80} for n, name in enumerate(names)]
    file = coco_file(tmp_path, images=images, annotations=[annotation(image_id=n) for n in range(400)])
    kept = sum(is_held_out(name) for name in names)
    assert 0 < kept < 40 and len(CocoLabels(file, held_out=True)) == kept and len(CocoLabels(file)) == 400


def test_labels_come_in_the_order_of_frames(tmp_path):
    """As `infer` reads them: 9 before 10, a-1.jpg before a.jpg."""
    names = ["1", "2", "9", "10", "11", "a-1", "a"]
    for number, stem in enumerate(names):
        cv2.imwrite(str(tmp_path / f"{stem}.png"), np.full((8, 8, 3), number, np.uint8))
        for name in ("iuv", "inst"):
            cv2.imwrite(
                str(tmp_path / f"{stem}_{name}.png"), np.zeros((8, 8, 3) if name == "iuv" else (8, 8), np.uint8)
            )
    labels = DenseLabels(tmp_path)
    assert [int(labels.image(index)[0, 0, 0]) for index in range(len(labels))] == list(range(len(names)))


@pytest.mark.parametrize("content", [{"annotations": []}, {"categories": None}])
def test_coco_file_without_dense_pose_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="people"):
        CocoLabels(coco_file(tmp_path, **content))


def maps(rng):
    instance = np.zeros((100, 100), np.int32)
    for number, corner in enumerate(((5, 5), (30, 60), (60, 20)), 1):
        instance[corner[0] : corner[0] + 20, corner[1] : corner[1] + 15] = number
    part = np.where(instance > 0, rng.integers(0, 25, instance.shape), 0)
    return instance, part, rng.random((100, 100, 2))


def test_drawn_points_lie_on_labelled_pixels():
    instance, part, uv = maps(np.random.default_rng(0))
    for number, person in enumerate(people_of_maps(instance, part, uv, np.random.default_rng(1), smallest=30), 1):
        x, y = np.floor(person.points).astype(int).T
        assert len(x) == 100 == len({*zip(x, y, strict=True)})
        assert (instance[y, x] == number).all() and (part[y, x] == person.part).all() and person.part.min() > 0
        assert (uv[y, x] == person.uv).all() and person.mask[y, x].all()
        assert person.area == 300


def test_drawn_points_are_the_same_for_the_same_seed():
    first, second, other = (
        people_of_maps(*maps(np.random.default_rng(0)), np.random.default_rng(s), smallest=30) for s in (5, 5, 6)
    )
    assert (first[0].points == second[0].points).all() and (first[0].points != other[0].points).any()


def test_points_are_drawn_only_where_everything_is_known():
    """Of labels that a machine made: no chart, no coordinates, or perhaps a person."""
    instance, part, uv = maps(np.random.default_rng(0))
    part = np.where(instance > 0, 7, 0)
    part[5:15], uv[30:40] = UNLABELLED, UNKNOWN_UV
    instance[instance == 3] = IGNORE
    first, second, crowd = people_of_maps(instance, part, uv, np.random.default_rng(1), smallest=30)
    assert (first.points[:, 1] > 15).all() and first.mask.sum() == 300
    assert (second.points[:, 1] > 40).all() and (second.part == 7).all()
    assert crowd.crowd and not len(crowd.points)


def test_labels_with_gaps_and_choices_are_a_dense_pose_without_them(tmp_path):
    instance, part, uv = np.full((8, 8), 1, np.uint8), np.full((8, 8), 7, np.uint8), np.full((8, 8, 2), 51, np.uint8)
    part[0], part[1], instance[2] = UNLABELLED, choice([7, 9]), IGNORE
    for name, plane in (("", np.zeros((8, 8, 3), np.uint8)), ("_iuv", np.dstack([part, uv])), ("_inst", instance)):
        cv2.imwrite(str(tmp_path / f"1{name}.png"), plane)
    pose = DenseLabels(tmp_path).pose(0)
    assert not pose.part[:2].any() and not pose.instance[2].any()
    assert (pose.part[2:] == 7).all() and (pose.instance[3:] == 1).all() and (pose.uv == 0.2).all()


def test_small_and_uncharted_people_are_ignore_regions():
    instance, part, uv = maps(np.random.default_rng(0))
    instance[0, 0], part[0, 0] = 9, 1
    part[instance == 2] = 0
    people = people_of_maps(instance, part, uv, np.random.default_rng(1), smallest=30)
    assert [len(person.points) for person in people] == [100, 0, 100, 0]
    assert people[3].area == 1 and people[3].box_xyxy.tolist() == [0, 0, 1, 1]

"""People annotated by hand: their left and right are believed, and what nobody marked stays open."""

import json
from dataclasses import replace

import numpy as np
import pytest
from figures import CENTRE, SIZE, standing, undecided

from ddp_video.charts import PART_NAMES
from ddp_video.data.choices import choice
from ddp_video.data.sample import IGNORE
from ddp_video.errors import DataError
from ddp_video.teachers.annotated import LANDMARKS, AnnotatedPerson, correct, heed, read_annotated
from ddp_video.teachers.blazepose import MIRROR
from ddp_video.teachers.fusion import LabelMaps, Sighting, fuse
from ddp_video.teachers.labelling import Labeller
from ddp_video.teachers.skeleton import Skeleton

BOX = np.array([50.0, 25, 190, 290])
LEFT_KNEE, LEFT_ANKLE, LEFT_WRIST = 13, 15, 9  # of COCO's keypoints


def marks(pose, hidden=()):
    """[17, 3] COCO keypoints of a pose."""
    points = np.column_stack([pose.points[LANDMARKS, :2], np.full(17, 2.0)])
    points[list(hidden)] = 0
    return points


def turned(pose):
    """The same place with every left landmark called right."""
    return replace(pose, points=pose.points[list(MIRROR)])


def label(witness):
    own, bodypix = undecided()
    return fuse(SIZE, own, bodypix, [Sighting(BOX, True, witness, own=0)])


@pytest.mark.parametrize("back_view", [False, True])
def test_sides_are_those_of_the_marks_whatever_blazepose_took_them_for(back_view):
    true = standing(back_view)
    witness = correct(turned(true), marks(true))
    assert np.allclose(witness.pose.points, true.points) and witness.settled.all()
    labels = label(witness)
    left, right = (CENTRE - 24, CENTRE + 24) if back_view else (CENTRE + 24, CENTRE - 24)
    assert (labels.part[240, left], labels.part[240, right]) == ((12, 11) if back_view else (14, 13))
    assert labels.part[120, CENTRE] == (1 if back_view else 2)


def test_a_limb_that_nobody_marked_is_of_either_side():
    true = standing()
    labels = label(correct(true, marks(true, hidden=(LEFT_KNEE, LEFT_ANKLE))))
    assert labels.part[240, CENTRE + 24] == choice([11, 12, 13, 14]) and labels.part[240, CENTRE - 24] == 13


@pytest.mark.parametrize("visible", [True, False])
def test_an_arm_that_nothing_hides_is_before_the_torso(visible):
    """Even where our model takes it for the torso."""
    points = marks(standing())
    points[LEFT_WRIST] = (CENTRE + 2, 120, 2 if visible else 1)
    own, bodypix = undecided()
    own.charts[..., 2] += 0.15 * own.person[0]
    labels = fuse(SIZE, own, bodypix, [Sighting(BOX, True, correct(standing(), points), own=0)])
    assert (labels.part[122, CENTRE + 20] in (19, 21)) == visible


def test_fingers_go_where_the_wrist_was_marked():
    true, points = standing(), marks(standing())
    points[LEFT_WRIST, :2] += (5, -3)
    moved = correct(true, points).pose.points - true.points
    assert np.allclose(moved[[15, 17, 19, 21]], (5, -3, 0))
    moved[[15, 17, 19, 21]] = 0
    assert not moved.any()


@pytest.mark.parametrize("back_view", [False, True])
def test_where_blazepose_saw_somebody_else_the_marks_tell_chest_from_back(back_view):
    true = standing(back_view)
    elsewhere = replace(true, points=standing(not back_view).points + np.array([150, 0, 0]))
    witness = correct(elsewhere, marks(true))
    assert np.sign(Skeleton.of(witness.pose).forward[2]) == (1 if back_view else -1)
    hand = list(Skeleton.of(witness.pose).limbs[PART_NAMES.index("left hand")].landmarks)
    assert not witness.settled[hand].all()
    sideways = marks(true)
    sideways[:, 0] = CENTRE + (sideways[:, 0] - CENTRE) / 4
    assert correct(elsewhere, sideways) is None


def test_whom_no_label_names_is_left_open_and_elsewhere_is_nobody():
    instance = np.zeros(SIZE, np.uint8)
    instance[20:60, 20:60] = 1
    instance[20:60, 180:220] = instance[200:220, 200:220] = IGNORE  # nobody is annotated at the latter
    found, missed, crowd = np.array([[20, 20, 60, 60], [180, 20, 220, 60], [20, 200, 100, 300]], np.float32)
    none = np.zeros((17, 3))
    outline = [[190, 30, 210, 30, 210, 50, 190, 50]]
    people = [
        AnnotatedPerson(found, none),
        AnnotatedPerson(missed, none, outline),
        AnnotatedPerson(crowd, none, crowd=True),
    ]
    got = heed(LabelMaps(instance, np.zeros((*SIZE, 2), np.uint8), instance), people).instance
    assert (got[20:60, 20:60] == 1).all() and (got[20:60, 180:220] == IGNORE).all()
    assert (got[200:300, 20:100] == IGNORE).all() and not got[200:220, 200:220].any()


def test_the_labeller_asks_blazepose_about_the_annotated_people(monkeypatch):
    import ddp_video.teachers.labelling as labelling

    own, bodypix = undecided()
    monkeypatch.setattr(labelling, "ask_own_model", lambda predictor, image: own)
    monkeypatch.setattr(labelling, "ask_bodypix", lambda model, image: bodypix)
    asked = []

    def blazepose(image, box):
        asked.append(box.tolist())
        return turned(standing())

    person = AnnotatedPerson(BOX.astype(np.float32), marks(standing()))
    unposed = AnnotatedPerson(np.array([0, 0, 20, 20], np.float32), np.zeros((17, 3)))
    labels = Labeller(None, None, blazepose)(np.zeros((*SIZE, 3), np.uint8), [unposed, person])
    assert asked == [BOX.tolist()]
    assert labels.part[240, CENTRE + 24] == 14 and (labels.instance[:20, :20] == IGNORE).all()


def test_annotations_are_read_with_their_outlines(tmp_path):
    square = [[40, 40, 80, 40, 80, 80, 40, 80]]
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [50, 25, 140, 265], "area": 9.0, "iscrowd": 0}
            | {"keypoints": marks(standing()).ravel().tolist()},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [40, 40, 40, 40], "area": 9.0, "iscrowd": 1}
            | {"segmentation": square},
        ],
    }
    (tmp_path / "k.json").write_text(json.dumps(content))
    person, crowd = read_annotated(tmp_path / "k.json")["a.jpg"]
    assert np.array_equal(person.box, BOX) and person.is_posed and person.outline(SIZE) is None
    assert np.allclose(person.points, marks(standing()))
    assert crowd.crowd and not crowd.is_posed and crowd.outline(SIZE)[45:75, 45:75].all()
    assert person.region(SIZE).sum() == 140 * 265
    content["annotations"][0]["keypoints"].pop()
    (tmp_path / "k.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"annotation 1 is damaged \(keypoints that are not 17 x 3"):
        read_annotated(tmp_path / "k.json")

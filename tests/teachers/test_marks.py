"""Labels that marked joints give by themselves."""

import numpy as np
import pytest

from ddp_video.charts import NAMES
from ddp_video.data.choices import MIRRORED, choice
from ddp_video.data.sample import UNLABELLED
from ddp_video.structures import STRIDE
from ddp_video.teachers.marks import VISIBLE, charts_at_marks, narrowed

CELLS = (40, 40)
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, RIGHT_WRIST = 5, 7, 9, 10


def named(*beginnings):
    return choice(chart for chart, name in enumerate(NAMES) if name.startswith(beginnings))


def label(height_px=60.0, **marks):
    """Joints by number, `k7=(x, y)` in cells; all visible."""
    points = np.zeros((17, 3))
    for name, (x, y) in marks.items():
        points[int(name[1:])] = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE, VISIBLE
    return charts_at_marks(points, height_px, CELLS)


def test_an_arm_is_named_from_below_the_shoulder_to_the_wrist():
    got = label(k5=(10, 10), k7=(10, 20), k9=(20, 20))
    assert (got[:13] == UNLABELLED).all()  # may be trunk
    assert (got[13:19, 10] == named("left upper arm")).all() and (got[20, 12:19] == named("left lower arm")).all()
    assert got[20, 10] == named("left upper arm", "left lower arm") and got[20, 20] == named(
        "left lower arm", "left hand"
    )
    got[13:20, 10] = got[20, 10:21] = UNLABELLED
    got[19:22, 9:12] = got[19:22, 19:22] = UNLABELLED  # the joints' neighbours
    assert (got == UNLABELLED).all()


def test_a_mirrored_person_gets_mirrored_labels():
    left = label(k5=(10, 10), k7=(10, 20), k9=(20, 22))
    right = label(k6=(29, 10), k8=(29, 20), k10=(19, 22))
    assert np.array_equal(MIRRORED[left[:, ::-1]], right)


def test_larger_people_are_labelled_further_from_the_bone():
    near, wide = (label(height, k13=(20, 10), k15=(20, 30)) == named("left lower leg") for height in (60, 600))
    assert near[20].sum() == 1 and wide[20].sum() == 5


@pytest.mark.parametrize("visibility", [0, 1])
def test_guessed_joints_name_nothing(visibility):
    points = np.zeros((17, 3))
    points[LEFT_ELBOW] = 40, 80, VISIBLE
    points[LEFT_WRIST] = 80, 80, visibility
    got = charts_at_marks(points, 60.0, CELLS)
    assert got[20, 10] == named("left upper arm", "left lower arm")
    assert (got[:, 12:] == UNLABELLED).all()


def test_where_bones_cross_nothing_is_said():
    got = label(k7=(10, 10), k9=(30, 30), k8=(30, 10), k10=(10, 30))
    assert got[20, 20] == UNLABELLED
    assert got[15, 15] == named("left lower arm") and got[15, 25] == named("right lower arm")


def test_a_joint_that_is_seen_lies_before_a_bone():
    got = label(k13=(20, 5), k15=(20, 35), k9=(20, 20))
    assert got[20, 20] == named("left lower arm", "left hand") and got[15, 20] == named("left lower leg")


def test_marks_narrow_labels_and_overrule_those_that_contradict():
    wrist, either = named("left lower arm", "left hand"), named("left lower arm", "right lower arm")
    front = named("left lower arm front")
    part = np.array([UNLABELLED, front, named("left lower arm"), either, 2, front], np.uint8)
    marked = np.array([wrist, wrist, wrist, wrist, wrist, UNLABELLED], np.uint8)
    assert narrowed(part, marked).tolist() == [wrist, front, named("left lower arm"), wrist, wrist, front]

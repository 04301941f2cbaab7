"""The skeleton's geometry on made-up landmarks."""

import numpy as np
import pytest
from figures import CENTRE, standing

from ddp_video.charts import PART_NAMES
from ddp_video.teachers.skeleton import HEAD, TORSO, Skeleton

PLACES = {  # x from the middle, y of somebody seen from the front; the left side is on the right of the picture
    "torso": (0, 120),
    "head": (0, 48),
    "left upper arm": (38, 105),
    "right upper arm": (-38, 105),
    "left lower arm": (52, 145),
    "right hand": (-60, 174),
    "left upper leg": (18, 190),
    "right lower leg": (-20, 240),
    "left foot": (24, 276),
}


@pytest.mark.parametrize("name", PLACES)
def test_the_nearest_part_is_the_one_that_is_there(name):
    x, y = PLACES[name]
    distance = Skeleton.of(standing()).distances(np.array([CENTRE + x]), np.array([y]))[:, 0]
    assert PART_NAMES[distance.argmin()] == name


@pytest.mark.parametrize("name", PLACES)
def test_seen_from_behind_left_is_on_the_left(name):
    x, y = PLACES[name]
    distance = Skeleton.of(standing(back_view=True)).distances(np.array([CENTRE - x]), np.array([y]))[:, 0]
    assert PART_NAMES[distance.argmin()] == name


@pytest.mark.parametrize("part", [TORSO, PART_NAMES.index("left upper leg"), PART_NAMES.index("right lower leg")])
def test_the_camera_sees_the_front_of_a_front_view_and_the_back_of_a_back_view(part):
    for pose, sign in ((standing(), 1), (standing(back_view=True), -1)):
        skeleton = Skeleton.of(pose)
        start, end, _ = skeleton._axis(part)
        x, y = (start + end)[:2] / 2
        assert sign * skeleton.facing(part, np.array([x]), np.array([y]))[0] > 0.8


def test_seen_from_the_side_the_torso_is_half_front_half_back():
    pose = standing()
    turned = pose.points - (CENTRE, 0, 0)
    turned = np.stack([-turned[:, 2], turned[:, 1], turned[:, 0]], -1) + np.array(
        [CENTRE, 0, 0]
    )  # the chest to the right
    skeleton = Skeleton(turned, Skeleton.of(pose).size)
    chest, back = skeleton.facing(TORSO, np.array([CENTRE + 20.0, CENTRE - 20.0]), np.array([120.0, 120.0]))
    assert chest > 0.3 and back < -0.3


def test_the_thigh_of_somebody_who_sits_facing_the_camera_shows_its_front():
    points = standing().points.copy()
    for knee, ankle, heel, toe in ((25, 27, 29, 31), (26, 28, 30, 32)):
        points[knee] = points[knee - 2] + (0, 8, -60)
        points[ankle], points[heel], points[toe] = (
            points[knee] + (0, dy, dz) for dy, dz in ((55, 0), (60, 5), (62, -14))
        )
    thigh = PART_NAMES.index("left upper leg")
    start, end, _ = Skeleton(points, 75)._axis(thigh)
    x, y = (start + end)[:2] / 2
    assert Skeleton(points, 75).facing(thigh, np.array([x]), np.array([y]))[0] > 0


def test_head_halves_swap_sides_between_front_and_back_view():
    x, y = np.array([CENTRE - 10.0, CENTRE + 10.0]), np.array([48.0, 48.0])
    front = Skeleton.of(standing()).facing(HEAD, x, y)
    behind = Skeleton.of(standing(back_view=True)).facing(HEAD, x, y)
    assert front[0] < 0 < front[1] and behind[1] < 0 < behind[0]


def test_landmarks_in_one_place_give_finite_numbers():
    skeleton = Skeleton(np.zeros((33, 3)), 1.0)
    x = y = np.array([0.0, 5.0])
    assert np.isfinite(skeleton.distances(x, y)[1:]).all()
    assert np.isfinite(skeleton.facing(TORSO, x, y)).all() and np.isfinite(skeleton.facing(HEAD, x, y)).all()

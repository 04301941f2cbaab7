"""Fusion on made-up landmarks and masks: sides, gaps, and who counts as a person."""

from dataclasses import replace

import numpy as np
import pytest
from figures import CENTRE, GRID, SIZE, silhouette, standing, undecided

from ddp_video.charts import MIRROR, NUM_CLASSES
from ddp_video.data.choices import MIRRORED, choice
from ddp_video.data.sample import IGNORE, UNLABELLED
from ddp_video.structures import STRIDE
from ddp_video.teachers.blazepose import COUNT
from ddp_video.teachers.fusion import Sighting, fuse
from ddp_video.teachers.opinions import OwnOpinion
from ddp_video.teachers.witness import Witness, agree

BOX = np.array([50.0, 25, 190, 290])


def label(pose=None, looked=True, opinions=None, settled=None):
    own, bodypix = opinions or undecided()
    witness = pose and Witness(pose, np.ones(COUNT, bool) if settled is None else settled)
    return fuse(SIZE, own, bodypix, [Sighting(BOX, looked, witness, own=0)])


def at(plane, x, y):
    return plane[y, CENTRE + x]


def test_a_front_view_is_labelled_front_with_the_left_side_on_the_right():
    labels = label(standing())
    assert labels.part.shape == labels.instance.shape == SIZE and labels.uv.shape == (*SIZE, 2)
    assert at(labels.part, 0, 120) == 2
    assert at(labels.part, 24, 200) == 10 and at(labels.part, -24, 200) == 9
    assert at(labels.part, 24, 240) == 14 and at(labels.part, -24, 240) == 13
    assert at(labels.part, 10, 45) == 24 and at(labels.part, -10, 45) == 23
    assert at(labels.part, 60, 180) == 4 and at(labels.part, -60, 180) == 3


def test_a_back_view_is_labelled_back_with_the_left_side_on_the_left():
    labels = label(standing(back_view=True))
    assert at(labels.part, 0, 120) == 1
    assert at(labels.part, -24, 200) == 8 and at(labels.part, 24, 200) == 7
    assert at(labels.part, -10, 45) == 24 and at(labels.part, 10, 45) == 23


@pytest.mark.parametrize("back_view", [False, True])
def test_the_mirrored_picture_gets_the_mirrored_charts(back_view):
    pose = standing(back_view)
    pose.points[:, 0] += 5 * np.sin(np.arange(COUNT))  # nobody is symmetric
    there, back = label(pose), label(pose.mirrored())
    differ = MIRRORED[there.part[:, ::-1]] != back.part
    assert differ.mean() < 0.005  # places that lie exactly on a limit
    assert np.array_equal(there.instance[:, ::-1], back.instance)


def sure_of(chart, in_mirror):
    """Our model finds one chart everywhere on the person, and another (mirrored back) in the mirror image."""
    own, bodypix = undecided()
    looks = [np.eye(NUM_CLASSES, dtype=np.float32)[c] * own.person[0][..., None] for c in (chart, in_mirror)]
    return replace(own, charts=looks[0], in_mirror=looks[1]), bodypix


@pytest.mark.parametrize("looked", [False, True])
def test_a_person_whom_nobody_can_name_is_in_doubt(looked):
    labels = label(None, looked)
    assert not (labels.instance == 1).any() and at(labels.instance, 0, 120) == IGNORE and (labels.part == 0).all()


def test_small_people_have_the_charts_that_our_model_finds_in_the_mirror_too():
    labels = label(None, looked=False, opinions=sure_of(10, 10))
    assert at(labels.instance, 0, 120) == 1 and at(labels.part, 0, 120) == 10
    guessed = label(None, looked=False, opinions=sure_of(10, MIRROR[10]))
    assert at(guessed.instance, 0, 120) == IGNORE and (guessed.part == 0).all()


def test_people_large_enough_for_blazepose_have_no_charts_without_it():
    assert not (label(None, looked=True, opinions=sure_of(10, 10)).instance == 1).any()


def test_a_person_whom_only_our_model_sees_is_in_doubt_until_blazepose_has_looked():
    own, bodypix = undecided()
    nobody = np.zeros_like(bodypix)
    nobody[..., 0] = 1
    small = label(None, looked=False, opinions=(own, nobody))
    assert not (small.instance == 1).any() and at(small.instance, 0, 120) == IGNORE
    denied = label(None, looked=True, opinions=(own, nobody))
    assert (denied.instance == 0).all() and (denied.part == 0).all()


def test_a_person_whom_only_bodypix_sees_is_in_doubt():
    _, bodypix = undecided()
    blank = np.zeros((*GRID, 25), np.float32)
    own = OwnOpinion(
        np.zeros((0, 4)), np.zeros((0, *GRID)), blank, np.zeros((*GRID, 25, 2)), np.zeros(GRID, bool), blank
    )
    labels = fuse(SIZE, own, bodypix, [Sighting(BOX, True, None)])
    assert at(labels.instance, 0, 120) == IGNORE and not (labels.instance == 1).any()


def test_limbs_that_the_two_looks_see_apart_are_of_either_side():
    settled = np.ones(COUNT, bool)
    settled[[25, 27]] = False
    labels = label(standing(), settled=settled)
    assert at(labels.part, 24, 200) == choice([7, 8, 9, 10]) and at(labels.part, -24, 200) == 9


def test_a_pose_beside_the_person_gives_no_charts():
    pose = standing()
    labels = label(replace(pose, points=pose.points + np.array([90, 0, 0])))
    assert set(np.unique(labels.part)) <= {0, UNLABELLED}


@pytest.mark.parametrize("witnessed", [False, True])
def test_where_no_skeleton_names_a_part_the_kind_is_what_our_model_and_bodypix_both_see(witnessed):
    own, bodypix = sure_of(10, 9)
    bodypix[..., 9] = 0.9 * (bodypix[..., 0] == 0)  # the other leg
    outline = own.person[0] > 0.5
    settled = Witness(standing(), np.zeros(COUNT, bool)) if witnessed else None
    labels = fuse(SIZE, own, bodypix, [Sighting(BOX, True, settled, own=0, outline=outline)])
    assert (labels.part[labels.instance == 1] == choice([7, 8, 9, 10])).all()
    bodypix[..., [9, 2]] = bodypix[..., [2, 9]]
    labels = fuse(SIZE, own, bodypix, [Sighting(BOX, True, settled, own=0, outline=outline)])
    assert (labels.part[labels.instance == 1] == UNLABELLED).all()


def test_one_person_found_twice_is_one_person():
    own, bodypix = undecided()
    twice = replace(own, boxes=np.repeat(own.boxes, 2, 0), person=np.repeat(own.person, 2, 0))
    witness = Witness(standing(), np.ones(COUNT, bool))
    labels = fuse(SIZE, twice, bodypix, [Sighting(BOX, True, witness, own=row) for row in (0, 1)])
    assert labels.instance[labels.instance != IGNORE].max() == 1


def test_where_our_model_sees_another_chart_or_nothing_u_and_v_stay_unknown():
    own, bodypix = undecided()
    own.charts[:, :, 2] = 0.5 * own.person[0]
    own.charts[116 // STRIDE :, :, 2] = 0.05 * own.person[0, 116 // STRIDE :]
    own.seen[: 104 // STRIDE] = False
    labels = label(standing(), opinions=(own, bodypix))
    assert [at(labels.part, 0, y) for y in (95, 109, 121)] == [2, 2, 2]
    assert [at(labels.uv, 0, y).tolist() for y in (95, 109, 121)] == [[0, 0], [128, 128], [0, 0]]


def test_an_outline_that_somebody_drew_is_the_person():
    own, bodypix = undecided()
    own.person[:] = bodypix[..., 1:] = 0
    outline = np.zeros(GRID, bool)
    outline[30:50, 20:40] = True
    labels = fuse(SIZE, own, bodypix, [Sighting(BOX, outline=outline)])
    assert np.array_equal(labels.instance[::STRIDE, ::STRIDE] == 1, outline)
    assert np.array_equal(labels.part[::STRIDE, ::STRIDE] == UNLABELLED, outline)


def test_a_frame_without_people_is_background():
    own, bodypix = undecided()
    bodypix[...] = np.eye(25)[0]
    own = replace(own, boxes=own.boxes[:0], person=own.person[:0], seen=np.zeros(GRID, bool))
    labels = fuse(SIZE, own, bodypix, [])
    assert not labels.part.any() and not labels.uv.any() and not labels.instance.any()


def test_two_looks_that_name_the_sides_differently_are_not_trusted():
    pose = standing()
    swapped = replace(pose, points=standing(back_view=True).points)
    settled = agree(pose, swapped).settled
    assert not settled[[11, 12, 13, 14, 15, 16, 23, 24]].any()
    assert agree(pose, pose).settled.all()
    assert (agree(pose, pose).pose.silhouette == silhouette()).all()


def test_a_mirrored_pose_mirrored_again_is_the_same():
    pose = standing()
    again = pose.mirrored().mirrored()
    assert np.allclose(again.points, pose.points) and (again.silhouette == pose.silhouette).all()


def test_what_our_model_alone_adds_beside_a_person_is_background():
    own, bodypix = undecided()
    own.person[0, :, -13:] = 1  # inside the box, where nobody else sees anything
    labels = label(standing(), opinions=(own, bodypix))
    assert at(labels.instance, 72, 120) == 0 and at(labels.instance, 110, 120) == IGNORE

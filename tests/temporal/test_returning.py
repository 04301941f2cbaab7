from dataclasses import replace

import numpy as np
import pytest

from ddp_video.temporal.comparison import Comparison
from ddp_video.temporal.known import KnownPeople
from ddp_video.temporal.returning import CLAIM, PROVISIONAL, doubt, handed_over, recognise

FRAME = 100


def known(seen, age):
    """People 1, 2, ... last seen in these frames, found so many times before."""
    count = len(seen)
    numbers = {name: np.zeros(count, np.int64) for name in ("rival", "doubted")}
    unused = {name: np.zeros((count, 1)) for name in ("box", "velocity", "looks", "size", "mask")}
    return KnownPeople(track_id=np.arange(1, count + 1), seen=np.array(seen), age=np.array(age), **numbers, **unused)


def compared(people, score, colours=None, frame=FRAME):
    score = np.array(score)
    colours = np.zeros_like(score) if colours is None else np.array(colours)
    return Comparison(people, frame - people.seen, np.zeros_like(score), colours, score)


def test_somebody_lost_gets_the_place_of_who_came_since():
    people, column = known([FRAME - 9, FRAME - 1], [50, 3]), np.array([-1, 0])
    assert recognise(compared(people, [[CLAIM], [1.6]]), column) == [(0, 1)]
    assert column.tolist() == [0, -1]


def test_who_was_given_it_at_once_is_the_one_who_came_since_as_well():
    people, column = known([FRAME - 9, FRAME - 1], [50, 3]), np.array([0, -1])
    assert recognise(compared(people, [[1.2], [0.7]]), column) == [(0, 1)]
    assert column.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("seen", "age", "score"),
    [
        (FRAME - 9, 3, CLAIM - 0.01),  # not like enough
        (FRAME - 9, PROVISIONAL, CLAIM),  # no longer new
        (FRAME - 3, 3, CLAIM),  # both were seen at a time
        (FRAME - 1, 3, CLAIM),  # nobody was lost
    ],
)
def test_others_stay_who_they_are(seen, age, score):
    people, column = known([seen, FRAME - 1], [50, age]), np.array([-1, 0])
    assert recognise(compared(people, [[score], [1.6]]), column) == []
    assert column.tolist() == [-1, 0]


def test_nobody_found_is_nobody_recognised():
    assert recognise(compared(known([FRAME - 9, FRAME - 1], [50, 3]), np.zeros((2, 0))), np.full(2, -1)) == []


def test_a_mask_is_handed_over_from_where_the_one_lost_looked_more_like_it():
    """Person 2 is in sight; 1, lost, has looked more like him for two frames when he takes his place; 3 never did."""
    people, column = known([FRAME - 9, FRAME - 1, FRAME - 9], [50, 50, 50]), np.array([-1, 0, -1])
    score, frame = [[0.9], [1.4], [0.9]], FRAME
    for own in (0.6, 0.4, 0.3):
        people = doubt(compared(people, score, [[0.5], [own], [0.1]], frame), column)
        frame += 1
        people = replace(people, seen=np.where(column >= 0, frame - 1, people.seen))
    now = compared(people, score, frame=frame)
    assert handed_over(now, column) == []
    assert handed_over(now, np.array([0, -1, -1])) == [(0, 1, 2)]
    assert handed_over(now, np.array([-1, -1, 0])) == []


def test_who_could_not_be_there_is_no_rival():
    people, column = known([FRAME - 9, FRAME - 1], [50, 50]), np.array([-1, 0])
    people = doubt(compared(people, [[0.0], [1.4]], [[0.9], [0.3]]), column)
    assert people.rival.tolist() == [0, 0]

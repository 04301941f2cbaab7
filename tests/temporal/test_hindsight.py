"""Identities that two people exchanged, and got back once their clothes told."""

from dataclasses import replace

import numpy as np
import torch

from ddp_video.structures import Grid
from ddp_video.temporal.hindsight import LOOK_AHEAD, SLACK, Suspicions, in_hindsight

GRID = Grid(frame_size=(40, 60), input_size=(40, 60))
IDS = np.array([7, 3, 5])
NOBODY = np.zeros(3, bool)
MET = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)  # 7 and 3


def looks(straight, crossed):
    """[3, 3] likeness: 7 and 3 look like themselves as much as `straight`, like each other `crossed`; 5 is himself."""
    return np.array([[straight, crossed, 0], [crossed, straight, 0], [0, 0, 1.0]])


def test_an_exchange_is_certain_once_the_evidence_adds_up_and_counts_from_where_it_began():
    suspicions = Suspicions()
    frames = [looks(0.9, 0.3)] * 3 + [looks(0.3, 0.8)] * 4
    found = [suspicions.update(IDS, frame, MET, NOBODY) for frame in frames]
    assert 2 * (0.5 + 0.5) - 2 * SLACK >= 1.5  # so two such frames are enough
    assert found == [[], [], [], [], [(3, 7, 1)], [], [(3, 7, 1)]]


def test_the_frame_in_which_somebody_was_not_where_he_was_expected_belongs_to_it():
    suspicions = Suspicions()
    jump = np.array([False, True, False])
    assert suspicions.update(IDS, looks(0.6, 0.6), MET, jump) == []
    assert suspicions.update(IDS, looks(0.3, 0.8), MET, NOBODY) == []
    assert suspicions.update(IDS, looks(0.3, 0.8), MET, NOBODY) == [(3, 7, 2)]


def test_frames_in_which_neither_is_seen_count_and_tell_nothing():
    suspicions = Suspicions()
    found = [suspicions.update(IDS, frame, MET, NOBODY) for frame in (looks(0.3, 0.8), looks(0, 0), looks(0.3, 0.8))]
    assert found == [[], [], [(3, 7, 2)]]


def test_evidence_begins_with_a_meeting_and_outlives_it():
    apart = np.eye(3, dtype=bool)
    never_met = Suspicions()
    assert [never_met.update(IDS, looks(0.1, 0.9), apart, NOBODY) for _ in range(5)] == [[]] * 5
    parted = Suspicions()
    found = [parted.update(IDS, looks(0.3, 0.8), met, NOBODY) for met in (MET, apart)]
    assert found == [[], [(3, 7, 1)]]


def test_people_who_look_alike_are_not_suspected():
    suspicions = Suspicions()
    assert not any(suspicions.update(IDS, looks(0.8, 0.9), MET, NOBODY) for _ in range(50))


def test_one_who_came_from_behind_another_is_told_by_his_clothes_too():
    """5 is not in sight: his column is 0."""
    suspicions, hidden = Suspicions(), np.array([[0.2, 0, 0], [0, 1, 0], [0.9, 0, 0.0]])
    near = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], bool)
    found = [suspicions.update(IDS, hidden, near, NOBODY) for _ in range(4)]
    assert found == [[], [], [], [(5, 7, 3)]]


def test_the_state_goes_on_as_if_nothing_had_happened():
    whole = Suspicions()
    whole.update(IDS, looks(0.3, 0.8), MET, NOBODY)
    restored = Suspicions(whole.state())
    assert restored.update(IDS, looks(0.3, 0.8), MET, NOBODY) == [(3, 7, 1)]


def test_frames_that_wait_are_put_right_and_the_others_stay(make_prediction):
    def step(index, ids, exchanges=()):
        prediction = make_prediction(GRID, [(0, 0, 4, 4), (0, 6, 4, 10)], index=index)
        instances = replace(prediction.instances, track_id=torch.tensor(ids))
        return np.full((1, 1, 3), index), replace(prediction, instances=instances), list(exchanges)

    last = LOOK_AHEAD + 6
    steps = [step(n, [1, 2]) for n in range(last)] + [step(last, [2, 1], [(1, 2, 4)])]
    steps += [step(last + 1, [2, 1], [(1, 2, 3 * LOOK_AHEAD)])]
    out = list(in_hindsight(iter(steps)))
    assert [frame[0, 0, 0] for frame, _ in out] == [p.index for _, p in out] == list(range(last + 2))
    ids = [p.instances.track_id.tolist() for _, p in out]
    assert ids[: last + 1 - LOOK_AHEAD] == [[1, 2]] * (last + 1 - LOOK_AHEAD)  # gone when it was found
    assert ids[last + 1 - LOOK_AHEAD : last - 4] == [[2, 1]] * (LOOK_AHEAD - 5)
    assert ids[last - 4 : last] == [[1, 2]] * 4 and ids[last:] == [[1, 2], [2, 1]]  # exchanged twice
    lazy = in_hindsight(iter(steps))
    assert next(lazy)[1].index == 0

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddp_video.errors import PredictionsError
from ddp_video.structures import Grid
from ddp_video.temporal.hindsight import in_hindsight
from ddp_video.temporal.tracking import MAX_OCCLUSION, Tracker

GRID = Grid(frame_size=(160, 240), input_size=(160, 240))
HEIGHT, WIDTH = 24, 10  # of a person, in cells
COLOURS = ((200, 40, 40), (40, 60, 200), (40, 180, 60))


@pytest.fixture
def clip(texture, make_prediction):
    """A function: paths [people][frames] of left edges in cells, None = not detected; first person in front.

    Returns predictions and frames of textured people in clothes of their own colour over a still background.
    """
    background = texture(160, 240, seed=9)
    clothes = [
        np.clip(texture(4 * HEIGHT, 4 * WIDTH, seed=i) * 0.4 + np.array(COLOURS[i % 3]) * 0.6, 0, 255).astype(np.uint8)
        for i in range(3)
    ]

    def make(paths, drawn=None):
        predictions, frames = [], []
        for index in range(len(paths[0])):
            frame = background.copy()
            for person in reversed(range(len(paths))):
                left = (drawn or paths)[person][index]
                if left is not None:
                    frame[32 : 32 + 4 * HEIGHT, 4 * left : 4 * (left + WIDTH)] = clothes[person][:, : 240 - 4 * left]
            lefts = [path[index] for path in paths if path[index] is not None]
            people = [(8, left, 8 + HEIGHT, min(left + WIDTH, GRID.size[1])) for left in lefts]
            predictions.append(make_prediction(GRID, people, index=index))
            frames.append(frame)
        return predictions, frames

    return make


def ids_of(predictions, frames, tracker=None):
    tracker = tracker or Tracker()
    return [tracker.update(*pair).instances.track_id.tolist() for pair in zip(predictions, frames, strict=True)]


def test_ids_stay_and_are_not_shared(clip):
    assert ids_of(*clip([range(2, 22), range(45, 25, -1)])) == [[1, 2]] * 20


def test_the_order_of_detections_does_not_matter(clip):
    predictions, frames = clip([range(2, 14), range(45, 33, -1)])
    expected = ids_of(predictions, frames)

    def turned(prediction):
        instances, owner = prediction.instances, 1 - prediction.iuv.owner
        rows = {name: getattr(instances, name).flip(0) for name in instances.__dataclass_fields__}
        return replace(prediction, instances=replace(instances, **rows), iuv=replace(prediction.iuv, owner=owner))

    mixed = [turned(p) if i % 2 else p for i, p in enumerate(predictions)]
    assert ids_of(mixed, frames) == [ids[::-1] if i % 2 else ids for i, ids in enumerate(expected)]


@pytest.mark.parametrize("gap", [1, 8, MAX_OCCLUSION - 1])
def test_an_id_survives_occlusion(clip, gap):
    """Walks, is hidden for `gap` frames while walking on or standing, and comes back."""
    paths = [[2, 3, 4, 5] + [None] * gap + [min(6 + gap, 30), min(7 + gap, 31)]]
    ids = ids_of(*clip(paths))
    assert ids == [[1]] * 4 + [[]] * gap + [[1]] * 2


@pytest.mark.parametrize("found", ["until little is left", "when little is out"])
def test_who_was_half_hidden_before_or_after_nobody_saw_him_keeps_his_id(clip, make_prediction, found):
    """Walks past behind somebody. What shows of him is found, in one case on one side only until he is whole again."""
    front, behind = 15, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28]
    unseen = range(14, 26) if found == "until little is left" else range(6, 18)
    _, frames = clip([[front] * len(behind), behind])
    predictions = []
    for index, left in enumerate(behind):
        visible = [x for x in range(left, left + WIDTH) if not front <= x < front + WIDTH]
        people = [(8, front, 8 + HEIGHT, front + WIDTH)]
        if left not in unseen:
            people.append((8, visible[0], 8 + HEIGHT, visible[-1] + 1))
        predictions.append(make_prediction(GRID, people, index=index))
    ids = ids_of(predictions, frames)
    assert ids == [[1] if left in unseen else [1, 2] for left in behind]


def test_who_comes_back_by_and_by_is_recognised_when_enough_of_him_shows(clip, make_prediction):
    """Leaves by the border, turns round out of sight, and comes back foot first: of that frame, and of those in which only
    an arm (another colour) showed, he gets his id in hindsight."""
    out, unseen, sliver = range(44, 58, 2), 6, 3
    inwards = [*[57] * sliver, *range(55, 43, -2)]
    lefts = [*out, *[None] * unseen, *inwards]
    predictions, frames = clip(
        [[20] * len(lefts), lefts], drawn=[[20] * len(lefts), [60 if left is None else left for left in lefts]]
    )
    for index, left in enumerate(lefts):
        people = [(8, 20, 8 + HEIGHT, 20 + WIDTH)]
        if left is not None:
            first_seen = index - len(out) - unseen
            top = 20 if 0 <= first_seen < sliver else 8
            people.append((top, left, 8 + HEIGHT, min(left + WIDTH, GRID.size[1])))
            if top == 20:
                frames[index][32:, 4 * left :] = COLOURS[2]
        predictions[index] = make_prediction(GRID, people, index=index)
    tracker = Tracker()
    online = [(f, tracker.update(p, f), tracker.exchanges) for p, f in zip(predictions, frames, strict=True)]
    came = len(out) + unseen
    assert online[came][1].instances.track_id.tolist() == [1, 3]  # a shoe could be anybody's
    assert [p.instances.track_id.tolist() for _, p in in_hindsight(online)] == [
        [1] if left is None else [1, 2] for left in lefts
    ]


def test_somebody_else_who_walks_in_where_one_left_is_not_taken_for_him(clip):
    ids = ids_of(*clip([[5] * 16, [*range(40, 56, 2), *[None] * 8], [*[None] * 9, *range(52, 38, -2)]]))
    assert ids[7] == [1, 2] and ids[-1] == [1, 3]


def test_an_id_does_not_survive_for_ever(clip):
    ids = ids_of(*clip([[5, 5] + [None] * (MAX_OCCLUSION + 1) + [5]]))
    assert ids[-1] == [2]


def test_crossing_people_keep_their_ids(clip):
    """The one behind is not detected while hidden, and comes out on the other side."""
    front, behind = list(range(2, 42, 2)), list(range(42, 2, -2))
    hidden = [None if abs(f - b) < WIDTH * 0.7 else b for f, b in zip(front, behind, strict=True)]
    assert None in hidden and hidden[0] is not None and hidden[-1] is not None
    ids = ids_of(*clip([front, hidden], drawn=[front, behind]))
    for found, b in zip(ids, hidden, strict=True):
        assert found == ([1] if b is None else [1, 2])


@pytest.mark.parametrize("passing", [False, True])
def test_who_parts_from_a_shared_mask_is_known_by_his_clothes(clip, make_prediction, passing):
    """Two meet, are found as one person, and part again: having passed each other, or having turned back."""
    there = list(range(4, 24, 2))
    left = [*there, *[24] * 3, *(range(26, 46, 2) if passing else there[::-1])]
    right = [48 - x for x in left]
    predictions, frames = clip([left, right])
    for index, (a, b) in enumerate(zip(left, right, strict=True)):
        if abs(a - b) < WIDTH:
            together = (8, min(a, b), 8 + HEIGHT, max(a, b) + WIDTH)
            predictions[index] = make_prediction(GRID, [together], index=index)
    ids = ids_of(predictions, frames)
    assert ids[0] == ids[-1] == [1, 2]
    assert all(len(set(found)) == len(found) and set(found) <= {1, 2} for found in ids)


def test_a_mask_tells_more_than_a_box(make_prediction):
    """Where two cross one is found, in the outline of the second and the box of the first."""
    frame = np.full((160, 240, 3), 128, np.uint8)
    first, second, moved = ((8, left, 8 + HEIGHT, left + WIDTH) for left in (8, 14, 16))
    both = [make_prediction(GRID, [first, second], index=index) for index in range(3)]
    found = make_prediction(GRID, [moved], index=3)
    box = both[0].instances.boxes_xyxy[:1]
    found = replace(found, instances=replace(found.instances, boxes_xyxy=box))
    assert ids_of([*both, found], [frame] * 4) == [[1, 2]] * 3 + [[2]]


def test_an_apparition_leaves_no_identity_behind(clip):
    """What was found for one frame does not take the identity of who comes there later, nor lend its own."""
    ids = ids_of(*clip([[20, None, None, 20, 20]]))
    assert ids == [[1], [], [], [2], [2]]


def test_somebody_else_in_the_same_place_gets_another_id(clip):
    """Another colour where a person was lost is another person."""
    paths = [[20] * 3 + [None] * 8, [None] * 8 + [20] * 3]
    assert ids_of(*clip(paths)) == [[1]] * 3 + [[]] * 5 + [[2]] * 3


def test_a_cut_ends_all_tracks(clip):
    predictions, frames = clip([[20] * 6])
    frames = frames[:3] + [frame[::-1, ::-1].copy() for frame in frames[3:]]
    assert ids_of(predictions, frames) == [[1]] * 3 + [[2]] * 3


def test_no_people_and_late_people(clip, make_prediction):
    ids = ids_of(*clip([[None] * 2 + [10, 11], [None] * 3 + [40]]))
    assert ids == [[], [], [1], [1, 2]]


def test_only_track_ids_change(clip):
    predictions, frames = clip([[3], [30]])
    after = Tracker().update(predictions[0], frames[0])
    assert after.iuv is predictions[0].iuv and after.instances.mask_logits is predictions[0].instances.mask_logits
    assert after.instances.track_id.dtype == torch.int64


@pytest.mark.parametrize("at", [0, 1, 5, 9])
def test_restored_tracker_goes_on_as_if_nothing_had_happened(clip, at, tmp_path):
    paths = [range(2, 17), [40, 39, None, None, 36, 35, 34, None, None, 31, 30, 29, 28, 27, 26]]
    predictions, frames = clip(paths)
    expected = ids_of(predictions, frames)
    tracker = Tracker()
    ids_of(predictions[:at], frames[:at], tracker)
    np.savez(tmp_path / "tracker.npz", **tracker.state())
    with np.load(tmp_path / "tracker.npz") as state:
        restored = Tracker.restore(dict(state))
    assert ids_of(predictions[at:], frames[at:], restored) == expected[at:]


def test_the_state_of_another_version_is_refused_in_one_line(clip):
    predictions, frames = clip([[10, 11]])
    tracker = Tracker()
    ids_of(predictions, frames, tracker)
    state = tracker.state()
    del state["people.looks"]
    with pytest.raises(PredictionsError, match=r"another version.*people\.looks.*--overwrite"):
        Tracker.restore(state)


@pytest.mark.parametrize("again_after", [3, 30])
def test_people_who_left_with_each_others_identities_get_them_back_from_where_it_happened(clip, again_after):
    """Two stand side by side, and from frame 6 on each wears, half faded, what the other wore: their masks say nothing."""
    count, since = 6 + again_after, 6
    predictions, frames = clip([[20] * count, [28] * count])
    _, changed = clip([[20] * count, [28] * count], drawn=[[28] * count, [20] * count])
    faded = [np.round(0.3 * a + 0.7 * b).astype(np.uint8) for a, b in zip(frames, changed, strict=True)]
    tracker, frames = Tracker(), frames[:since] + faded[since:]
    online = [(f, tracker.update(p, f), tracker.exchanges) for p, f in zip(predictions, frames, strict=True)]
    ids = [p.instances.track_id.tolist() for _, p, _ in online]
    assert ids[since] == [1, 2] and ids[-1] == [2, 1]  # one frame is not enough
    settled = [p.instances.track_id.tolist() for _, p in in_hindsight(online)]
    assert settled == [[1, 2]] * since + [[2, 1]] * again_after

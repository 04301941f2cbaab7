import numpy as np
import pytest

from ddp_video.temporal.cuts import CutDetector


def cuts_of(frames):
    detector = CutDetector()
    return [index for index, frame in enumerate(frames) if detector.is_cut(frame)]


@pytest.fixture
def shots(texture):
    """Two shots of ten frames, slowly panning."""

    def shot(seed):
        scene = texture(120, 260, seed)
        return [np.ascontiguousarray(scene[:, 3 * i : 3 * i + 200]) for i in range(10)]

    return shot(1), shot(2)


def test_a_cut_is_found_where_it_is(shots):
    assert cuts_of(shots[0] + shots[1]) == [10]


def test_no_cut_in_motion_stillness_or_one_frame(shots):
    assert cuts_of(shots[0]) == [] and cuts_of(shots[0][:1] * 5) == [] and cuts_of(shots[0][:1]) == []


def test_a_flash_and_a_fade_through_black_within_a_shot_are_no_cuts(shots):
    frames = list(shots[0])
    frames[4] = np.clip(frames[4] * 1.6 + 20, 0, 255).astype(np.uint8)
    frames[7] = np.zeros_like(frames[7])
    assert cuts_of(frames) == []


def test_a_cut_across_black_is_found_after_it(shots):
    assert cuts_of(shots[0] + [np.zeros_like(shots[0][0])] * 2 + shots[1]) == [12]


def test_another_view_in_the_same_colours_is_a_cut(shots):
    assert cuts_of(shots[0] + [np.ascontiguousarray(frame[::-1, ::-1]) for frame in shots[0]]) == [10]


def test_another_frame_size_is_a_cut(shots):
    assert cuts_of(shots[0] + [frame[:, :100] for frame in shots[0]]) == [10]


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (16, 16)])
def test_tiny_and_thin_frames(size):
    rng = np.random.default_rng(0)
    assert isinstance(cuts_of([rng.integers(0, 255, (*size, 3)).astype(np.uint8) for _ in range(3)]), list)


@pytest.mark.parametrize("black", [0, 1, 5, 11, 12, 13, 20])
def test_memory_is_all_that_counts(shots, black):
    """Also where black frames lie before the start: what comes after them is compared with what was before."""
    frames = shots[0] + [np.zeros_like(shots[0][0])] * black + shots[0][::-1] + shots[1] + shots[0] + shots[1]
    whole, whole_states = CutDetector(), []
    for frame in frames:
        whole_states.append((whole.is_cut(frame), whole.state()))
    for start in range(CutDetector.MEMORY, len(frames)):
        late = CutDetector()
        for frame in frames[start - CutDetector.MEMORY : start]:
            late.is_cut(frame)
        assert late.is_cut(frames[start]) == whole_states[start][0]
        np.testing.assert_array_equal(late.state()["recent"], whole_states[start][1]["recent"])

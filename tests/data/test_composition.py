"""People of one picture before those of another: their pixels and their labels, and nothing else, come along."""

import numpy as np
import pytest

from ddp_video.data.composition import Layers, pasted
from ddp_video.data.sample import IGNORE
from ddp_video.structures import STRIDE

SIZE = 64


def layers(people, colour, background):
    """`people`: {number: (top, left, bottom, right) in cells}; all of a person is on the chart of his number."""
    cells = np.zeros((SIZE // STRIDE,) * 2, np.uint8)
    for number, (top, left, bottom, right) in people.items():
        cells[top:bottom, left:right] = number
    instance = np.kron(cells, np.ones((STRIDE, STRIDE), np.uint8))
    count = sum(number != IGNORE for number in people)
    return Layers(
        np.where(instance[..., None] > 0, np.uint8(colour), np.uint8(background)).repeat(3, 2),
        instance,
        cells,
        cells > 0,
        np.arange(count) % 2 == 0,
        np.minimum(cells, 24),
        np.stack([cells * 0.01] * 2, -1).astype(np.float32),
    )


class All:
    """Draws everybody."""

    @staticmethod
    def random(count):
        return np.zeros(count)


def test_who_is_in_front_covers_who_is_behind():
    back, front = layers({1: (2, 2, 10, 10)}, 50, 10), layers({1: (6, 6, 14, 14)}, 200, 250)
    both = pasted(back, front, All)
    expected = back.cells.copy()
    expected[6:14, 6:14] = 2
    assert np.array_equal(both.cells, expected)
    assert np.array_equal(both.instance, np.kron(expected, np.ones((STRIDE, STRIDE), np.uint8)))
    covered = expected == 2
    for name in ("part", "uv", "dense"):
        labels, behind, before = (getattr(one, name) for one in (both, back, front))
        assert np.array_equal(labels[covered], before[covered]) and np.array_equal(labels[~covered], behind[~covered])
    assert both.has_dense.tolist() == [True, True]
    assert np.array_equal(both.image[both.instance < 2], back.image[both.instance < 2])
    assert (both.image[28:52, 28:52] == 200).all()  # four pixels from his outline and more


def test_the_ground_behind_who_is_cut_out_stays_where_it_was():
    back, front = layers({}, 0, 0), layers({1: (3, 3, 9, 5)}, 0, 255)
    assert not pasted(back, front, All).image.any()


def test_who_is_to_be_ignored_is_not_cut_out():
    both = pasted(layers({1: (0, 0, 4, 4)}, 50, 10), layers({1: (8, 8, 12, 12), IGNORE: (2, 2, 8, 8)}, 200, 250), All)
    assert set(np.unique(both.instance)) == {0, 1, 2}
    assert np.array_equal(both.image[:32, :32], layers({1: (0, 0, 4, 4)}, 50, 10).image[:32, :32])


def test_people_beyond_the_last_number_are_ignored():
    strips = {n + 1: (n // 16, n % 16, n // 16 + 1, n % 16 + 1) for n in range(200)}
    both = pasted(layers(strips, 50, 10), layers({1: (15, 0, 16, 1), 2: (15, 1, 16, 2)} | strips, 200, 250), All)
    assert both.cells[0, 0] == 201 and both.cells.max() == IGNORE and len(both.has_dense) == 254
    assert set(np.unique(both.cells)) == {0, *range(201, IGNORE + 1)}


@pytest.mark.parametrize("seed", range(3))
def test_everybody_in_front_is_drawn_by_himself(seed):
    front = layers({1: (0, 0, 4, 4), 2: (0, 8, 4, 12), 3: (8, 0, 12, 4), 4: (8, 8, 12, 12)}, 200, 250)
    rng = np.random.default_rng(seed)
    drawn = [frozenset(np.unique(pasted(layers({}, 0, 0), front, rng).cells)) - {0} for _ in range(60)]
    assert len(set(drawn)) > 5
    assert 0.55 < np.mean([len(numbers) / 4 for numbers in drawn]) < 0.85

"""Who comes back after having been out of sight, where another identity has been begun for him, or was taken for his.

Pairs are rows of `KnownPeople`. `column` ([K]) tells which of the N people found each is, -1 = none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from ddp_video.temporal.comparison import Comparison
from ddp_video.temporal.known import KnownPeople

PROVISIONAL = 10  # frames in which somebody new may turn out to be somebody lost before,
CLAIM = 1.0  # if place and colours together fit so well


def assign(score: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of the best total score, without those of score 0."""
    return [(r, c) for r, c in zip(*linear_sum_assignment(score, maximize=True), strict=True) if score[r, c] > 0]


def recognise(compared: Comparison, column: np.ndarray) -> list[tuple[int, int]]:
    """Who came into view lately and turns out to be somebody lost before: rows (lost, lately come) of people who are one.

    Somebody who comes back shows a foot at the border, or an arm behind another, before he shows enough to be known by.
    `column` is changed for those.
    """
    unseen, age, score = compared.unseen, compared.known.age, compared.score
    lost, young = unseen > 1, (unseen == 1) & (age < PROVISIONAL)
    one = unseen[:, None] > age  # row by row: lost before the other came
    here = column >= 0
    claims = np.pad(score, ((0, 0), (0, 1)))[:, column] * (one & (lost & ~here)[:, None] & (young & here))
    for row, other in assign(claims * (claims >= CLAIM)):
        column[row], column[other] = column[other], -1
    back = np.flatnonzero(lost & (column >= 0))
    displaced = score[:, column[back]].T * (one[back] & young & (column < 0))
    return [(int(back[i]), other) for i, other in assign(displaced)]


def doubt(compared: Comparison, column: np.ndarray) -> KnownPeople:
    """Those known, with the rivals that this frame gives them."""
    known, score, colours = compared.known, compared.score, compared.colours
    lost, here = np.flatnonzero((column < 0) & (compared.unseen > 1)), np.flatnonzero(column >= 0)
    rival, doubted = np.zeros((2, len(known)), np.int64)
    if len(lost) and len(here):
        possible = np.ix_(lost, column[here])
        fit = np.where(score[possible] > 0, colours[possible], -np.inf)
        better = fit.max(0) > colours[here, column[here]]
        rival[here[better]] = known.track_id[lost[fit.argmax(0)[better]]]
        doubted = (rival > 0) * (np.where(rival == known.rival, known.doubted, 0) + 1)
    return replace(known, rival=rival, doubted=doubted)


def handed_over(compared: Comparison, column: np.ndarray) -> list[tuple[int, int, int]]:
    """Rows (lost before, now lost) of people of whom the first takes the place of the second, and for how many frames he
    looked more like the one found there: a mask that held both of them was his since then."""
    known = compared.known
    back = np.flatnonzero((column >= 0) & (compared.unseen > 1))
    left = np.flatnonzero((column < 0) & (compared.unseen == 1))
    pairs = np.argwhere(known.track_id[back][:, None] == known.rival[left])
    return [(int(back[i]), int(left[j]), int(known.doubted[left[j]])) for i, j in pairs]

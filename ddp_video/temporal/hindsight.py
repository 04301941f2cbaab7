"""Identities put right in hindsight: who left with another's, of two who met or of one who hid the other, by their clothes.

In the frame in which a mask held both of them, place and colours may speak for the exchange; the frames after it do not. The
evidence of each adds up until it is enough (Page's cumulative sum test), and the exchange is undone from where it began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from ddp_video.structures import FramePrediction

ENOUGH = 1.5  # sum over frames of how much better the colours of two people fit exchanged (a frame: -2..2)
SLACK = 0.25  # of it a frame, that means nothing: people turn, and clothes are alike
LOOK_AHEAD = 8  # frames that wait for what later ones say

Exchange = tuple[int, int, int]  # two track ids, and for how many frames before this one they were each other's
Step = tuple[np.ndarray, FramePrediction]  # a frame [H, W, 3] uint8 and what is predicted for it
TrackedStep = tuple[np.ndarray, FramePrediction, list[Exchange]]  # with the exchanges found in this frame


class Suspicions:
    """The evidence that two people carry each other's identities: pair of track ids -> (sum, frames since it began)."""

    def __init__(self, pairs: np.ndarray | None = None):
        rows = np.zeros((0, 4)) if pairs is None else pairs
        self._pairs = {(int(a), int(b)): (float(total), int(age)) for a, b, total, age in rows}

    def state(self) -> np.ndarray:
        """[n, 4] float64, for `Suspicions(...)`."""
        return np.array([(*pair, *evidence) for pair, evidence in self._pairs.items()], float).reshape(-1, 4)

    def update(
        self, track_id: np.ndarray, likeness: np.ndarray, possible: np.ndarray, unsettled: np.ndarray
    ) -> list[Exchange]:
        """What a frame adds, and the exchanges that are now certain.

        Evidence begins where two people may be each other and goes on when they part. The frame before it began belongs to
        it, if one of them was not where he was expected: there they were exchanged.

        Args:
            track_id: [K] of everybody known. likeness: [K, K] in 0..1, of the colours remembered of each (rows) to those of
                each in this frame; 0 of who is not in it. possible: [K, K] bool, whether each may be whom others are taken
                for. unsettled: [K] bool, whose mask is unlike the one carried from the last frame.
        """
        fit = np.diag(likeness)
        gain = likeness + likeness.T - fit - fit[:, None] - SLACK
        unseen = ~likeness.any(0)
        gain[np.ix_(unseen, unseen)] = 0  # of two of whom nothing is seen nothing is learnt
        row = {int(number): n for n, number in enumerate(track_id)}
        near = {tuple(sorted((int(track_id[i]), int(track_id[j])))) for i, j in np.argwhere(possible) if i != j}
        pairs = {}
        for pair in sorted(near | {pair for pair in self._pairs if row.keys() >= {*pair}}):
            i, j = (row[number] for number in pair)
            total, age = self._pairs.get(pair, (0.0, -1))
            total = max(total + float(gain[i, j]), 0.0)
            if total > 0:
                pairs[pair] = total, age + 1
            elif unsettled[i] or unsettled[j]:
                pairs[pair] = 0.0, 0
        self._pairs = pairs
        return self._certain()

    def _certain(self) -> list[Exchange]:
        found: list[Exchange] = []
        for pair, (total, age) in sorted(self._pairs.items(), key=lambda item: -item[1][0]):
            if total >= ENOUGH and pair in self._pairs:
                found.append((*pair, age))
                self._pairs = {other: evidence for other, evidence in self._pairs.items() if not {*pair} & {*other}}
        return found


def in_hindsight(steps: Iterable[TrackedStep]) -> Iterator[Step]:
    """Frames with their predictions, in order, LOOK_AHEAD frames later: exchanges undone from where they began, as far as
    the frames that wait reach back. The ids of the frame in which one is found are right already.
    """
    waiting: deque[Step] = deque()
    for frame, prediction, exchanges in steps:
        for a, b, age in exchanges:
            for n in range(max(len(waiting) - age, 0), len(waiting)):
                waiting[n] = waiting[n][0], _exchanged(waiting[n][1], a, b)
        waiting.append((frame, prediction))
        if len(waiting) > LOOK_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _exchanged(prediction: FramePrediction, a: int, b: int) -> FramePrediction:
    ids = prediction.instances.track_id
    ids = torch.where(ids == a, b, torch.where(ids == b, a, ids))
    return replace(prediction, instances=replace(prediction.instances, track_id=ids))

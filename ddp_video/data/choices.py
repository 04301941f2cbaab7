"""Labels that leave a choice: a place is known to be on one of a few charts, and not on which.

Whoever marks a joint, or names an arm and not its side, says that much and no more. In a part map such a set of charts is a
value of its own, beyond those of the charts.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ddp_video.charts import ARM, CHARTS_OF_PART, LEG, MIRROR, NUM_CLASSES, SIDES, side_charts
from ddp_video.data.sample import UNLABELLED

FIRST = 32  # value of the first choice: those below are charts
JOINTS = {
    "elbow": ("upper arm", "lower arm"),
    "wrist": ("lower arm", "hand"),
    "knee": ("upper leg", "lower leg"),
    "ankle": ("lower leg", "foot"),
}  # and the limbs that meet there


def _choices() -> tuple[tuple[int, ...], ...]:
    parts = list(CHARTS_OF_PART[1:])
    limbs = [[chart for side in SIDES for chart in side_charts(side, limb)] for limb in ARM + LEG]
    joints = [side_charts(side, *meeting) for meeting in JOINTS.values() for side in SIDES]
    return tuple(tuple(sorted(charts)) for charts in parts + limbs + joints if len(charts) > 1)


CHOICES = _choices()  # the charts of value FIRST + n; files hold these values: new ones are added at the end


def choice(charts: Iterable[int]) -> int:
    """The value that allows exactly these charts: of one chart the chart itself.

    Raises:
        ValueError: there is no such choice.
    """
    charts = tuple(sorted(charts))
    return charts[0] if len(charts) == 1 else FIRST + CHOICES.index(charts)


def _allowed() -> np.ndarray:
    table = np.zeros((256, NUM_CLASSES), bool)
    table[:NUM_CLASSES] = np.eye(NUM_CLASSES, dtype=bool)
    for value, charts in enumerate(CHOICES, FIRST):
        table[value, list(charts)] = True
    return table


def _mirrored() -> np.ndarray:
    table = np.full(256, UNLABELLED, np.uint8)
    table[:NUM_CLASSES] = MIRROR
    for value, charts in enumerate(CHOICES, FIRST):
        table[value] = choice(MIRROR[chart] for chart in charts)
    return table


ALLOWED = _allowed()  # [256, 25] bool: the charts that a value of a part map allows; of UNLABELLED none
MIRRORED = _mirrored()  # [256] uint8: what a value becomes when the image is flipped left to right


def is_chart(part: np.ndarray) -> np.ndarray:
    """[...] bool: where a part map (or tensor) names one chart, not the background and not a choice."""
    return (part > 0) & (part < NUM_CLASSES)

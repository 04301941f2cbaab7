"""Which chart lies at every place of one person: BlazePose's skeleton says which side, all three teachers which part.

Where one of them does not know, the label leaves the choice (`data/choices.py`): which side of an arm the camera sees, or whose
arm of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.charts import CHARTS_OF_PART, PART_NAMES
from ddp_video.data.choices import choice
from ddp_video.data.sample import UNLABELLED
from ddp_video.teachers.opinions import parts_of, without_sides
from ddp_video.teachers.skeleton import HEAD, TORSO, Skeleton
from ddp_video.teachers.witness import Witness

ONE_OF_A_KIND = [part for part, name in enumerate(PART_NAMES) if part and not name.startswith("left ")]
NUM_KINDS = len(ONE_OF_A_KIND)  # of parts, left and right alike
DOUBT = 0.03  # the probability that a teacher leaves to every part, whatever it says
# Radii from the axis of a limb that nothing hides, within which the torso counts as so many radii further away.
IN_FRONT, BEHIND = 0.7, 2.0
STRAY = 0.005  # how well any place fits any part of the skeleton at least


def twin_of(part: int) -> int:
    """The same limb of the other side."""
    name = PART_NAMES[part]
    return PART_NAMES.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))


# The choice between the charts of a part and of its twin, by part.
EITHER_SIDE = np.array(
    [choice({*charts, *CHARTS_OF_PART[twin_of(part)]}) for part, charts in enumerate(CHARTS_OF_PART)], np.uint8
)


@dataclass(frozen=True)
class NamingRules:
    """What a chart needs, to be written down."""

    part: float = 0.5  # probability of the part
    reach: float = 2.2  # at most so many radii from the part's axis
    side: float = 0.4  # radii that the same limb of the other side must be further away
    visibility: float = 0.35  # of the landmarks of a limb, by BlazePose
    facing: float = 0.18  # how clearly the surface looks forward or backward, -1..1
    half: float = 0.12  # how clearly the head's surface looks left or right, -1..1
    kind: float = 0.8  # probability of a kind of part by our model and BodyPix, where the skeleton names none


def name_charts(
    witness: Witness, x: np.ndarray, y: np.ndarray, own_charts: np.ndarray, bodypix: np.ndarray, rules: NamingRules
) -> np.ndarray:
    """[N] uint8: the chart at N places of a person, a choice of charts, or UNLABELLED.

    Args:
        x, y: [N] px. own_charts, bodypix: [N, 25] probabilities by our model (all zero where it did not look) and BodyPix.
    """
    skeleton = Skeleton.of(witness.pose)
    distance = skeleton.distances(x, y).T
    for limb in witness.in_front:
        distance[distance[:, limb] < IN_FRONT, TORSO] += BEHIND
    part = _name_parts(distance, own_charts, bodypix, rules)
    chart = np.full(len(x), UNLABELLED, np.uint8)
    for its_part in np.unique(part[part > 0]):
        here = part == its_part
        chart[here] = _side_seen(its_part, skeleton, x[here], y[here], own_charts[here], rules)
    for limb, anatomy in skeleton.limbs.items():
        joints = list(anatomy.landmarks)
        trusted = witness.settled[joints].all() and witness.pose.visibility[joints].min() >= rules.visibility
        sure = distance[:, twin_of(limb)] - distance[:, limb] >= rules.side if trusted else False
        chart[(part == limb) & ~np.asarray(sure)] = EITHER_SIDE[limb]
    return chart


def name_kinds(own_charts: np.ndarray, bodypix: np.ndarray, rules: NamingRules) -> np.ndarray:
    """[...] uint8: the choice between the charts of a kind of part, of which side soever, that our model and BodyPix ([..., 25]
    probabilities) both see; UNLABELLED where they do not agree."""
    by_own, by_bodypix = (without_sides(parts_of(p) / np.maximum(1 - p[..., :1], 1e-3)) for p in (own_charts, bodypix))
    belief = ((by_own + DOUBT) * (by_bodypix + DOUBT))[..., ONE_OF_A_KIND]
    sure = (belief.max(-1) >= rules.kind * belief.sum(-1)) & (own_charts.sum(-1) > 0.5)
    return np.where(sure, EITHER_SIDE[ONE_OF_A_KIND][belief.argmax(-1)], UNLABELLED).astype(np.uint8)


def _name_parts(distance: np.ndarray, own_charts: np.ndarray, bodypix: np.ndarray, rules: NamingRules) -> np.ndarray:
    """[N] the likeliest part, 0 where none is likely enough. distance: [N, 15] radii."""
    looked = own_charts.sum(-1, keepdims=True) > 0.5
    by_own = without_sides(np.where(looked, parts_of(own_charts), 1 / NUM_KINDS))
    by_bodypix = without_sides(parts_of(bodypix) / np.maximum(1 - bodypix[:, :1], 1e-3))
    by_skeleton = np.exp(-0.5 * np.clip(distance - 0.5, 0, None) ** 2)
    belief = (by_own + DOUBT) * (by_bodypix + DOUBT) * (by_skeleton + STRAY)
    belief[:, 0] = 0  # whether it is a person is not the question here
    belief /= belief.sum(-1, keepdims=True)
    best = belief.argmax(-1)
    row = np.arange(len(best))
    return np.where((belief[row, best] >= rules.part) & (distance[row, best] <= rules.reach), best, 0)


def _side_seen(
    part: int, skeleton: Skeleton, x: np.ndarray, y: np.ndarray, own_charts: np.ndarray, rules: NamingRules
) -> np.ndarray:
    """[N] uint8: the chart of a part that the camera sees at places x, y, or the choice between them."""
    back, front = CHARTS_OF_PART[part][0], CHARTS_OF_PART[part][-1]
    if back == front:
        return np.full(len(x), back, np.uint8)
    facing = skeleton.facing(part, x, y)
    if "arm" in PART_NAMES[part]:  # arms turn about their axis, which the skeleton does not show
        own = own_charts[:, [back, front]] + DOUBT
        facing = (facing + (own[:, 1] - own[:, 0]) / own.sum(1)) / 2
    chart = np.where(facing > 0, front, back).astype(np.uint8)
    chart[np.abs(facing) < (rules.half if part == HEAD else rules.facing)] = choice(CHARTS_OF_PART[part])
    return chart

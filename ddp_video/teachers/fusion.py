"""Label maps of a real frame from what its teachers agree on.

BlazePose decides left and right, and which way a body faces; BodyPix and our own model, with their sides merged, decide with
it where one body part ends and the next begins; two of the three must see a person. People too small for BlazePose have the
charts that our model finds in the picture and in its mirror image alike. What they do not agree on stays a gap: UNLABELLED
charts, IGNORE where there may be a person. A wrong side is worse than a gap.

Everything happens on the cells of STRIDE px that the network is trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ddp_video.data.choices import is_chart
from ddp_video.data.sample import IGNORE, UNKNOWN_UV, UNLABELLED
from ddp_video.structures import STRIDE
from ddp_video.teachers.marks import narrowed
from ddp_video.teachers.naming import NamingRules, name_charts, name_kinds
from ddp_video.teachers.opinions import OwnOpinion
from ddp_video.teachers.skeleton import Skeleton
from ddp_video.teachers.witness import Witness

MOST_PEOPLE = IGNORE - 1
WIDER = 0.1  # of a box, on every side: how far beyond it its person may reach
LEAST_FOR_UV = 0.1  # probability of a chart by our model, for its U and V there to mean something


@dataclass(frozen=True)
class Rules:
    """What a label needs."""

    person: float = 0.6  # mean probability of the teachers, to be a person; two of them at least must agree
    nobody: float = 0.4  # by our model and by BlazePose, at most, to be background
    nobody_by_bodypix: float = 0.5  # likewise
    nobody_beside_a_pose: float = 0.8  # likewise by BodyPix, whose outlines are coarse, where BlazePose has looked
    denied: float = 0.1  # by BodyPix and BlazePose, at most, to deny what our model takes for a person
    least_cells: int = 12  # of a person
    free: float = 0.6  # share of a person's cells that no better one has claimed
    landmarks: int = 8  # that are trusted and in the frame, for a person to get charts
    landmarks_inside: float = 0.65  # share of them that lies on the person
    named: float = 0.25  # share of a person's cells that get a chart; whom nobody can name is seldom a person
    own_chart: float = 0.7  # mean probability of a chart by our model alone, of people too small for BlazePose
    charts: NamingRules = field(default_factory=NamingRules)


@dataclass(frozen=True)
class Sighting:
    """Somebody who may be in box (xyxy, px). looked: whether BlazePose was asked. witness: what it saw, if somebody. own: the
    row of our model's people who it is. outline: [h, w] bool, where somebody drew it. marked: [h, w] values of a part map that
    somebody's marks give."""

    box: np.ndarray
    looked: bool = False
    witness: Witness | None = None
    own: int | None = None
    outline: np.ndarray | None = None
    marked: np.ndarray | None = None


@dataclass(frozen=True)
class LabelMaps:
    """part: [H, W] uint8 chart, 0, a choice or UNLABELLED. uv: [H, W, 2] uint8 of 255. instance: [H, W] uint8, 0, 1..n or
    IGNORE."""

    part: np.ndarray
    uv: np.ndarray
    instance: np.ndarray


def fuse(
    size: tuple[int, int], own: OwnOpinion, bodypix: np.ndarray, sightings: list[Sighting], rules: Rules | None = None
) -> LabelMaps:
    """Label maps of a frame of size (H, W) px.

    Args:
        own: our model's opinion. bodypix: [h, w, 25] BodyPix's. sightings: the people, best first.
    """
    rules = rules or Rules()
    grid = bodypix.shape[:2]
    y, x = ((np.arange(n) + 0.5) * STRIDE for n in grid)
    x, y = np.meshgrid(x, y)
    by_bodypix, agreed = 1 - bodypix[..., 0], own.agreed(rules.own_chart)
    kinds = name_kinds(own.charts, bodypix, rules.charts)
    instance, part = np.zeros(grid, np.uint8), np.zeros(grid, np.uint8)
    by_own, by_blazepose, looked = np.zeros(grid), np.zeros(grid), np.zeros(grid, bool)
    seen: list[Witness] = []
    for sighting in sightings:
        witness = sighting.witness
        near = inside(sighting.box, x, y, WIDER)
        by_ours = np.zeros(grid, np.float32) if sighting.own is None else own.person[sighting.own]
        votes = [by_ours, by_bodypix * near]
        if witness is None and sighting.looked and _denied(*votes, rules):
            continue
        by_own = np.maximum(by_own, votes[0])
        if witness is not None:
            votes.append(cv2.resize(witness.pose.silhouette, grid[::-1], interpolation=cv2.INTER_AREA))
            by_blazepose = np.maximum(by_blazepose, votes[-1])
            looked |= near
        if witness is not None and any(_same_person(witness, other) for other in seen):
            continue
        seen += [witness] if witness is not None else []
        voted = (np.mean(votes, 0) >= rules.person) & (np.sum(np.array(votes) > 0.5, 0) >= 2)
        sure = voted if sighting.outline is None else sighting.outline
        free = sure & (instance == 0)
        if free.sum() < max(rules.least_cells, rules.free * sure.sum()) or instance.max() == MOST_PEOPLE:
            by_own = np.maximum(by_own, sure)
            continue
        charts = np.full(free.sum(), UNLABELLED, np.uint8)
        if witness is None and not sighting.looked:
            charts = agreed[free]
        elif witness is not None and _fits(witness, sure, rules):
            charts = name_charts(witness, x[free], y[free], own.charts[free], bodypix[free], rules.charts)
        if sighting.outline is None and (charts != UNLABELLED).mean() < rules.named:
            by_own = np.maximum(by_own, sure)
            continue
        instance[free] = instance.max() + 1
        charts = np.where(charts == UNLABELLED, kinds[free], charts)
        part[free] = charts if sighting.marked is None else narrowed(charts, sighting.marked[free])
    alone = looked & (by_blazepose < rules.denied) & (by_bodypix < rules.denied)
    doubtful = ((by_own > rules.nobody) & ~alone) | (by_blazepose > rules.nobody)
    doubtful |= by_bodypix > np.where(looked, rules.nobody_beside_a_pose, rules.nobody_by_bodypix)
    instance[(instance == 0) & doubtful] = IGNORE
    return _at_full_size(size, part, instance, own)


def inside(box: np.ndarray, x: np.ndarray, y: np.ndarray, wider: float = 0.0) -> np.ndarray:
    """Whether places lie in the box (xyxy), made so much of itself wider on every side."""
    margin = wider * (box[2:] - box[:2])
    low, high = box[:2] - margin, box[2:] + margin
    return (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])


def _denied(by_own: np.ndarray, by_bodypix: np.ndarray, rules: Rules) -> bool:
    """Whether BodyPix sees nothing of a person whom our model sees."""
    person = by_own > 0.5
    return bool(person.any()) and float((by_bodypix[person] < rules.denied).mean()) > 0.95


def _same_person(a: Witness, b: Witness) -> bool:
    size = max(Skeleton.of(a.pose).size, Skeleton.of(b.pose).size)
    return float(np.median(np.linalg.norm((a.pose.points - b.pose.points)[:, :2], axis=1))) < 0.5 * size


def _fits(witness: Witness, person: np.ndarray, rules: Rules) -> bool:
    """Whether the trusted landmarks lie on the person's cells, and there are enough of them."""
    trusted = witness.settled & (witness.pose.visibility >= rules.charts.visibility)
    column, row = np.floor(witness.pose.points[trusted, :2] / STRIDE).astype(int).T
    in_frame = (column >= 0) & (row >= 0) & (column < person.shape[1]) & (row < person.shape[0])
    if in_frame.sum() < rules.landmarks:
        return False
    around = cv2.dilate(person.astype(np.uint8), np.ones((3, 3), np.uint8))
    return float(around[row[in_frame], column[in_frame]].mean()) >= rules.landmarks_inside


def _at_full_size(size: tuple[int, int], part: np.ndarray, instance: np.ndarray, own: OwnOpinion) -> LabelMaps:
    """Cells to pixels. U and V are our model's on the chart, and unknown where it holds that to be another."""
    chart = np.where(is_chart(part), part, 0)[..., None].astype(np.int64)
    uv = np.take_along_axis(own.uv, chart[..., None], 2)[..., 0, :]
    known = own.seen[..., None] & (np.take_along_axis(own.charts, chart, 2) >= LEAST_FOR_UV)
    uv = np.round(255 * np.where(known, uv.clip(1 / 255), UNKNOWN_UV)).astype(np.uint8)
    full = (np.repeat(np.repeat(plane, STRIDE, 0), STRIDE, 1)[: size[0], : size[1]] for plane in (part, uv, instance))
    return LabelMaps(*full)

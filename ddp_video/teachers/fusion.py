"""Label maps of a real frame from what its teachers agree on.

BlazePose decides left and right, and which way a body faces; BodyPix and our own model, with their sides merged, decide with
it where one body part ends and the next begins; two of three must see a person. What they do not agree on stays a gap:
UNLABELLED charts, IGNORE where there may be a person. A wrong side is worse than a gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ddp_video.charts import PART_NAMES, PART_OF_CHART
from ddp_video.data.sample import IGNORE, UNLABELLED
from ddp_video.model.predictor import DDPPredictor
from ddp_video.structures import STRIDE
from ddp_video.teachers.blazepose import BlazePose
from ddp_video.teachers.bodypix import BodyPix
from ddp_video.teachers.opinions import OwnOpinion, ask_bodypix, ask_own_model, cells_of, parts_of, without_sides
from ddp_video.teachers.skeleton import HEAD, TORSO, Skeleton
from ddp_video.teachers.witness import Witness, look_twice

FRONT, BACK = 1, 0
# (chart seen from behind, from the front) of each part; of the head: the right and the left half; hands and feet have one.
CHART_PAIRS = {
    part: tuple(charts * (2 // len(charts)))
    for part in range(1, len(PART_NAMES))
    if (charts := [c for c, p in enumerate(PART_OF_CHART) if p == part])
}


@dataclass(frozen=True)
class Caution:
    """What a label needs."""

    person: float = 0.6  # mean probability of the teachers, to be a person
    nobody: float = 0.3  # of our model or BlazePose, at most, to be background
    nobody_by_bodypix_alone: float = 0.8  # where BlazePose has looked: BodyPix's outlines are coarse
    denied: float = 0.1  # of BodyPix, at most, to deny a person of whom BlazePose sees nothing
    least_cells: int = 12  # of a person
    free: float = 0.6  # share of a person's cells that no better one has claimed
    pose_score: float = 0.7  # BlazePose's, that there is a person
    pose_inside: float = 0.75  # share of the trusted landmarks that lie on the person
    most_poses: int = 8  # the tallest people of a frame, which BlazePose looks at
    visibility: float = 0.5  # of the landmarks of a limb
    height_px: float = 100  # of a person, for BlazePose to be of use
    part: float = 0.75  # probability of the part
    side: float = 0.5  # radii that the same limb of the other side must be further away
    reach: float = 2.2  # radii from the limb's axis
    facing: float = 0.25  # how clearly the surface looks forward or backward
    half: float = 0.12  # how clearly the head's surface looks left or right


@dataclass(frozen=True)
class LabelMaps:
    """part: [H, W] uint8 chart, 0 or UNLABELLED. uv: [H, W, 2] uint8 of 255. instance: [H, W] uint8, 0, 1..n or IGNORE."""

    part: np.ndarray
    uv: np.ndarray
    instance: np.ndarray


@dataclass(frozen=True)
class Sighting:
    """Somebody who may be in box (xyxy, px). looked: whether BlazePose was asked. witness: what it saw, if somebody."""

    box: np.ndarray
    looked: bool = False
    witness: Witness | None = None


class Labeller:
    """Args: predictor: our model, with a low score threshold. bodypix, blazepose: the teachers."""

    def __init__(self, predictor: DDPPredictor, bodypix: BodyPix, blazepose: BlazePose, caution: Caution | None = None):
        self.predictor, self.bodypix, self.blazepose = predictor, bodypix, blazepose
        self.caution = caution or Caution()

    def __call__(self, image: np.ndarray) -> LabelMaps:
        """Label image [H, W, 3] uint8 RGB."""
        return fuse(image.shape[:2], *self.ask(image), self.caution)

    def ask(self, image: np.ndarray) -> tuple[OwnOpinion, np.ndarray, list[Sighting]]:
        """What `fuse` needs to know about an image: our model's opinion, BodyPix's, and the people."""
        own, bodypix = ask_own_model(self.predictor, image), ask_bodypix(self.bodypix, image)
        boxes = candidates(own, bodypix)
        tall = [row for row, box in enumerate(boxes) if box[3] - box[1] >= self.caution.height_px]
        looked_at = sorted(tall, key=lambda row: boxes[row][1] - boxes[row][3])[: self.caution.most_poses]
        people = []
        for row, box in enumerate(boxes):
            looked = row in looked_at
            witness = look_twice(self.blazepose, image, box, self.caution.pose_score) if looked else None
            people.append(Sighting(box, looked, witness))
        return own, bodypix, people


def candidates(own: OwnOpinion, bodypix: np.ndarray) -> np.ndarray:
    """[N, 4] xyxy px: the boxes of our model, then those of patches that BodyPix alone takes for people."""
    person = (bodypix[..., 0] < 0.5) & ~(own.person > 0.5).any(0)
    person = cv2.morphologyEx(person.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(person)
    missed = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area >= 60]
    return np.concatenate([own.boxes.reshape(-1, 4), STRIDE * np.array(missed, np.float32).reshape(-1, 4)])


def fuse(
    size: tuple[int, int], own: OwnOpinion, bodypix: np.ndarray, people: list[Sighting], caution: Caution
) -> LabelMaps:
    """Label maps of a frame of size (H, W) px from what the teachers said; see `Labeller.ask`."""
    grid = own.seen.shape
    y, x = ((np.arange(n) + 0.5) * STRIDE for n in grid)
    x, y = np.meshgrid(x, y)
    by_bodypix = 1 - bodypix[..., 0]
    instance, part = np.zeros(grid, np.uint8), np.zeros(grid, np.uint8)
    doubtful, looked = np.zeros(grid, bool), np.zeros(grid, bool)
    seen: list[Witness] = []
    for row, sighting in enumerate(people):
        mask = own.person[row] if row < len(own.person) else np.zeros(grid, np.float32)
        witness = sighting.witness
        if witness is None and sighting.looked and _denied(mask, by_bodypix, caution):
            continue
        doubtful |= mask > caution.nobody
        if witness is not None and any(_same_person(witness, other) for other in seen):
            continue
        votes = [mask, by_bodypix * _inside(sighting.box, x, y)]
        if witness is not None:
            seen.append(witness)
            votes.append(cv2.resize(witness.pose.silhouette, grid[::-1], interpolation=cv2.INTER_AREA))
            doubtful |= votes[-1] > caution.nobody
            looked |= _inside(sighting.box, x, y)
        belief = np.mean(votes, 0)
        sure = (belief >= caution.person) & (np.sum(np.array(votes) > 0.5, 0) >= 2)
        free = sure & (instance == 0)
        if free.sum() < max(caution.least_cells, caution.free * sure.sum()):
            continue
        instance[free] = min(instance.max() + 1, IGNORE - 1)
        part[free] = UNLABELLED
        if witness is not None and _fits(witness, sure, caution):
            part[free] = name_charts(witness, x, y, own, bodypix, caution)[free]
    doubtful |= by_bodypix > np.where(looked, caution.nobody_by_bodypix_alone, 0.5)
    instance[(instance == 0) & doubtful] = IGNORE
    return _at_full_size(size, part, instance, own)


def _denied(mask: np.ndarray, by_bodypix: np.ndarray, caution: Caution) -> bool:
    """Whether BodyPix sees nobody in a person of our model."""
    person = mask > 0.5
    return person.any() and float((by_bodypix[person] < caution.denied).mean()) > 0.95


def _same_person(a: Witness, b: Witness) -> bool:
    size = max(Skeleton.of(a.pose).size, Skeleton.of(b.pose).size)
    return float(np.median(np.linalg.norm((a.pose.points - b.pose.points)[:, :2], axis=1))) < 0.5 * size


def name_charts(
    witness: Witness, x: np.ndarray, y: np.ndarray, own: OwnOpinion, bodypix: np.ndarray, caution: Caution
) -> np.ndarray:
    """[h, w] uint8: the chart at places x, y (px) of one person, or UNLABELLED."""
    skeleton = Skeleton.of(witness.pose)
    distance = np.moveaxis(skeleton.distances(x, y), 0, -1)
    fit = np.exp(-0.5 * np.clip(distance - 0.5, 0, None) ** 2)
    where = own.seen[..., None]
    merged = without_sides(np.where(where, parts_of(own.charts), 1 / 8)) + 0.03
    merged *= without_sides(parts_of(bodypix)) / np.maximum(1 - bodypix[..., :1], 1e-3) + 0.03
    belief = merged * (fit + 0.005)
    belief[..., 0] = 0
    belief /= np.maximum(belief.sum(-1, keepdims=True), 1e-9)
    best = belief.argmax(-1)
    known = np.take_along_axis(belief, best[..., None], -1)[..., 0] >= caution.part
    known &= np.take_along_axis(distance, best[..., None], -1)[..., 0] <= caution.reach
    chart = np.full(best.shape, UNLABELLED, np.uint8)
    for part in range(1, len(PART_NAMES)):
        here = known & (best == part)
        if not here.any():
            continue
        limb = skeleton.limbs.get(part)
        if limb is not None:
            joints = list(limb.landmarks)
            if not witness.settled[joints].all() or witness.pose.visibility[joints].min() < caution.visibility:
                continue
            twin = _twin(part)
            here &= distance[..., twin] - distance[..., part] >= caution.side
        chart[here] = _sided(part, skeleton, x[here], y[here], own.charts[here], caution)
    return chart


def _sided(part, skeleton, x, y, own_charts, caution) -> np.ndarray:
    """[N] uint8: which chart of the part."""
    back, front = CHART_PAIRS[part]
    if back == front:
        return np.full(len(x), back, np.uint8)
    facing = skeleton.facing(part, x, y)
    if "arm" in PART_NAMES[part]:
        ours = own_charts[:, [back, front]] + 0.05
        facing = facing / 2 + (ours[:, 1] - ours[:, 0]) / ours.sum(1) / 2
    chart = np.where(facing > 0, front, back).astype(np.uint8)
    chart[np.abs(facing) < (caution.half if part == HEAD else caution.facing)] = UNLABELLED
    return chart


def _fits(witness: Witness, mask: np.ndarray, caution: Caution) -> bool:
    """Whether the landmarks that are trusted lie on the person's mask, and there are enough of them."""
    trusted = witness.settled & (witness.pose.visibility >= caution.visibility)
    column, row = (witness.pose.points[trusted, :2] / STRIDE).astype(int).T
    in_frame = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
    if in_frame.sum() < 8:
        return False
    near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return near[row[in_frame], column[in_frame]].mean() >= caution.pose_inside


def _twin(part: int) -> int:
    name = PART_NAMES[part]
    return PART_NAMES.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))


def _inside(box: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether places lie in the box, widened by a tenth."""
    margin = 0.1 * (box[2:] - box[:2])
    low, high = box[:2] - margin, box[2:] + margin
    return (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])


def _at_full_size(size: tuple[int, int], part: np.ndarray, instance: np.ndarray, own: OwnOpinion) -> LabelMaps:
    """Cells to pixels; charts whose U, V nobody knows become UNLABELLED."""
    charted = (part > 0) & (part != UNLABELLED)
    part = np.where(charted & ~own.seen, np.uint8(UNLABELLED), part)
    chart = np.where(part == UNLABELLED, 0, part)
    uv = np.take_along_axis(own.uv, chart[..., None, None].astype(np.int64), 2)[..., 0, :]
    uv = np.round(255 * np.where(chart[..., None] > 0, uv, 0)).astype(np.uint8)
    full = [np.repeat(np.repeat(plane, STRIDE, 0), STRIDE, 1)[: size[0], : size[1]] for plane in (part, uv, instance)]
    return LabelMaps(*full)

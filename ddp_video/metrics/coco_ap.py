"""Average precision and recall from similarities between detections and people, as COCO counts them (paper table 1).

Thresholds .50:.05:.95, 101 recall points, at most 20 detections an image. Detections are taken best score first; each takes
the most similar person that is left, people who count before people who are ignored. Ignored are people without annotation
and, in the columns of one size, people of another. A detection that matches an ignored person, that overlaps an
unannotated one (box IoU >= .8) without matching anybody, or that matches nobody and is of another size, counts neither way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 20
IGNORE_BOX_IOU = 0.8
AREAS = {"all": (0, 1e10), "M": (32**2, 96**2), "L": (96**2, 1e10)}  # px^2, ends included
COLUMNS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


@dataclass(frozen=True)
class Candidates:
    """The D detections of one image, of which the best 20 are used, against its G people.

    similarity: [D, G] in 0..1. box_iou: [D, G], for crowds the share of the detection that is covered. scores: [D].
    detection_area: [D] px^2 of the box. area: [G] px^2 of the person's mask. annotated, crowd: [G] bool; a crowd may be matched
    by any number of detections.
    """

    similarity: np.ndarray
    box_iou: np.ndarray
    scores: np.ndarray
    detection_area: np.ndarray
    area: np.ndarray
    annotated: np.ndarray
    crowd: np.ndarray

    def take(self, detections: np.ndarray, people: np.ndarray) -> Candidates:
        """The same with only these rows, in this order."""
        return Candidates(
            self.similarity[detections][:, people],
            self.box_iou[detections][:, people],
            self.scores[detections],
            self.detection_area[detections],
            self.area[people],
            self.annotated[people],
            self.crowd[people],
        )


class AveragePrecision:
    """Gathers matches image by image and gives the ten columns of the paper's Table 1.

    published: count like the published evaluator (densepose_coco_evaluation.py) where it departs from the rules above:
      1. in an image where nobody counts, not one detection counts: false alarms there are free;
      2. the box rule is applied once, with the matches at threshold .95, and its verdict holds at all thresholds, so that
         a match at .50 may still be ignored;
      3. the box rule looks at the person, of any kind, whose box fits best and is not yet taken: an unannotated person
         excuses one detection only, and none that fits somebody else better; people of another size excuse too.
    """

    def __init__(self, published: bool = False):
        self.published = published
        self._images: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray, int]]] = {name: [] for name in AREAS}

    @classmethod
    def joined(cls, parts: Sequence[AveragePrecision]) -> AveragePrecision:
        """One that has gathered the images of all."""
        out = cls(parts[0].published)
        for name, images in out._images.items():
            for part in parts:
                images.extend(part._images[name])
        return out

    def add(self, image: Candidates) -> None:
        best = np.argsort(-image.scores, kind="stable")[:MAX_DETECTIONS]
        for name, limits in AREAS.items():
            people = np.argsort(~image.annotated | outside(image.area, limits), kind="stable")  # who counts comes first
            chosen = image.take(best, people)
            ignored_people = ~chosen.annotated | outside(chosen.area, limits)
            matched = match(chosen, ignored_people)
            ignored = (matched >= 0) & np.append(ignored_people, False)[matched]
            if self.published:
                ignored = self._published_rules(chosen, ignored_people, matched, ignored)
            else:
                excused = chosen.box_iou[:, ~chosen.annotated].max(axis=1, initial=0) >= IGNORE_BOX_IOU
                ignored |= (matched < 0) & excused
            ignored |= (matched < 0) & outside(chosen.detection_area, limits)
            self._images[name].append((chosen.scores, matched >= 0, ignored, int((~ignored_people).sum())))

    @staticmethod
    def _published_rules(image, ignored_people, matched, ignored):
        if ignored_people.all():
            ignored = np.ones_like(ignored)
        taken = np.zeros(len(ignored_people), bool)
        taken[matched[-1][matched[-1] >= 0]] = True
        for detection in np.flatnonzero(matched[-1] < 0):
            fit = np.where(taken & ~image.crowd, -1, image.box_iou[detection])
            if fit.max(initial=-1) >= IGNORE_BOX_IOU:
                person = len(fit) - 1 - fit[::-1].argmax()  # the last of equals
                ignored[:, detection] = ignored_people[person]
                taken[person] |= ignored_people[person]
        return ignored

    def columns(self) -> dict[str, float]:
        """The ten columns, each in 0..1 (higher is better), or nan where nobody of that size counts."""
        precision, recall = {}, {}
        for name, images in self._images.items():
            precision[name], recall[name] = precision_recall(images)
        values = [
            part.mean()
            for curves in (precision, recall)
            for part in (curves["all"], curves["all"][0], curves["all"][5], curves["M"], curves["L"])
        ]
        return dict(zip(COLUMNS, map(float, values), strict=True))


def outside(area: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return (area < limits[0]) | (area > limits[1])


def match(image: Candidates, ignored_people: np.ndarray) -> np.ndarray:
    """Greedy matching at all T thresholds together.

    Args:
        image: detections best score first; people who count before `ignored_people` [G] bool.
    Returns:
        [T, D] person of each detection, or -1. Of equally similar people the last one is taken, as in COCO's own loop.
    """
    matched = np.full((len(THRESHOLDS), len(image.scores)), -1)
    if not len(image.area):
        return matched
    taken = np.zeros((len(THRESHOLDS), len(image.area)), bool)
    rows = np.arange(len(THRESHOLDS))
    for detection, similarity in enumerate(image.similarity):
        fit = np.where(taken | (similarity < THRESHOLDS[:, None]), -1.0, similarity + 2.0 * ~ignored_people)
        person = len(similarity) - 1 - fit[:, ::-1].argmax(axis=1)
        hit = fit[rows, person] >= 0
        matched[hit, detection] = person[hit]
        taken[rows[hit], person[hit]] = ~image.crowd[person[hit]]
    return matched


def precision_recall(images: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Precision [T, 101] at the recall points and the recall [T] of all detections, nan where nobody counts.

    Args:
        images: per image scores [D], matched [T, D], ignored [T, D] and the number of people who count.
    """
    people = sum(image[3] for image in images)
    if people == 0:
        return np.full((len(THRESHOLDS), len(RECALL_POINTS)), np.nan), np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(-np.concatenate([image[0] for image in images]), kind="stable")
    matched = np.concatenate([image[1] for image in images], axis=1)[:, order]
    ignored = np.concatenate([image[2] for image in images], axis=1)[:, order]
    hits = (matched & ~ignored).cumsum(axis=1)
    misses = (~matched & ~ignored).cumsum(axis=1)
    recall = hits / people
    precision = hits / np.maximum(hits + misses, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # best precision at this recall or beyond
    out = np.zeros((len(THRESHOLDS), len(RECALL_POINTS)))
    for row in range(len(THRESHOLDS)):
        at = np.searchsorted(recall[row], RECALL_POINTS)
        reached = at < len(order)
        out[row, reached] = precision[row, at[reached]]
    return out, recall[:, -1] if len(order) else np.zeros(len(THRESHOLDS))

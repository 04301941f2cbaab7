"""Accuracy of dense pose against labelled people: geodesic point similarity and mask IoU (paper section 6, table 1).

GPS = mean over a person's labelled points of exp(-d^2 / (2 k^2)), d metres over the skin between the labelled and the
predicted point of the body, k by body part; a point on background or on another detection counts 0. GPSm =
sqrt(GPS * IoU) of the dense-pose masks. All in 0..1, higher is better. Our dense pose gives every pixel to one person, so two
detections never share a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ddp_video import boxes
from ddp_video.metrics.agreement import PartAgreement
from ddp_video.metrics.coco_ap import AveragePrecision, Candidates
from ddp_video.metrics.geodesics import Geodesics
from ddp_video.structures import DensePose

METRICS = ("GPS", "GPSm", "mask")

# k of charts 0..24, metres: torso, hands, feet, upper and lower legs, upper and lower arms, head.
SCALE_OF_CHART = np.repeat(
    [np.nan, 0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150],
    [1, 2, 2, 2, 4, 4, 4, 4, 2],
)


@dataclass(frozen=True)
class LabelledPerson:
    """One person of the ground truth.

    box_xyxy: [4] px. area: px^2 of the whole person. mask: [H, W] bool, what dense pose covers. points: [P, 2] (x, y) px,
    labelled; without any the person is an ignore region. part: [P] chart 1..24. uv: [P, 2] in 0..1. crowd: several
    people under one label.
    """

    box_xyxy: np.ndarray
    area: float
    mask: np.ndarray
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    part: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    uv: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    crowd: bool = False


class AccuracyEvaluator:
    """Gathers images; `table()` gives AP and AR by GPS, GPSm and mask IoU, `agreement` the parts at labelled points.

    published: count like the published evaluator, quirks included: those of matching are listed at `AveragePrecision`;
    of its results, which are maps relative to a box, it has three more: u and v are cut to 8 bits, a detection ends at the
    whole pixels of its box, and a point less than a pixel left of or above a box reads its first column or row.
    """

    def __init__(self, geodesics: Geodesics, published: bool = False):
        self.geodesics = geodesics
        self.published = published
        self.agreement = PartAgreement()
        self.num_images = self.num_people = self.num_ignored = 0
        self._precision = {metric: AveragePrecision(published) for metric in METRICS}

    @classmethod
    def joined(cls, evaluators: Sequence[AccuracyEvaluator]) -> AccuracyEvaluator:
        """One that has seen the images of all; they count alike."""
        out = cls(evaluators[0].geodesics, evaluators[0].published)
        out.agreement = PartAgreement.joined([one.agreement for one in evaluators])
        out.num_images = sum(one.num_images for one in evaluators)
        out.num_people = sum(one.num_people for one in evaluators)
        out.num_ignored = sum(one.num_ignored for one in evaluators)
        out._precision = {
            metric: AveragePrecision.joined([one._precision[metric] for one in evaluators]) for metric in METRICS
        }
        return out

    def add(
        self, dense_pose: DensePose, boxes_xyxy: np.ndarray, scores: np.ndarray, people: list[LabelledPerson]
    ) -> None:
        """One image. boxes_xyxy [D, 4] px and scores [D] belong to instances 1..D of `dense_pose`."""
        part, uv = dense_pose.part.numpy(), dense_pose.uv.numpy()
        owner = np.where(part > 0, dense_pose.instance.numpy(), 0)
        if self.published:
            uv = np.trunc(uv * 255) / 255
            owner = cropped_to_boxes(owner, boxes_xyxy)
        similarity = {"mask": mask_iou(owner, len(scores), people), "GPS": np.zeros((len(scores), len(people)))}
        for column, person in enumerate(people):
            pixels = self._pixels(person.points, boxes_xyxy)
            similarity["GPS"][:, column] = point_similarity(owner, part, uv, pixels, person, self.geodesics)
            self.agreement.add(look_up(part, np.floor(person.points).astype(int)), person.part)
        similarity["GPSm"] = np.sqrt(similarity["GPS"] * similarity["mask"])
        person_boxes = np.array([person.box_xyxy for person in people]).reshape(-1, 4)
        crowd = np.array([person.crowd for person in people], bool)
        annotated = np.array([len(person.points) > 0 for person in people], bool)
        overlap = box_iou(boxes_xyxy, person_boxes, crowd)
        for metric, precision in self._precision.items():
            precision.add(
                Candidates(
                    similarity=similarity[metric],
                    box_iou=overlap,
                    scores=np.asarray(scores),
                    detection_area=boxes.area(boxes_xyxy),
                    area=np.array([person.area for person in people], float),
                    annotated=annotated,
                    crowd=crowd,
                )
            )
        self.num_images += 1
        self.num_people += int(annotated.sum())
        self.num_ignored += int((~annotated).sum())

    def _pixels(self, points: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
        """[D, P, 2] where each detection is read at each point."""
        if not self.published:
            return np.broadcast_to(np.floor(points).astype(int), (len(boxes_xyxy), *points.shape))
        corner = boxes_xyxy[:, None, :2]
        return (np.trunc(corner) + np.trunc(points - corner)).astype(int)

    def table(self) -> dict[str, dict[str, float]]:
        """{"GPS", "GPSm", "mask"} x the ten columns of `coco_ap.COLUMNS`, 0..1; nan where nobody counts."""
        return {metric: precision.columns() for metric, precision in self._precision.items()}


def point_similarity(
    owner: np.ndarray,
    part: np.ndarray,
    uv: np.ndarray,
    pixels: np.ndarray,
    person: LabelledPerson,
    geodesics: Geodesics,
) -> np.ndarray:
    """GPS [D] of all detections with one person; 0 for a person without points.

    Args:
        owner: [H, W] int, 0 nobody, else 1 + detection. part: [H, W] chart. uv: [2, H, W].
        pixels: [D, P, 2] int (x, y), where each detection is read at the person's points.
    """
    if not len(person.points):
        return np.zeros(len(pixels))
    own = look_up(owner, pixels) == 1 + np.arange(len(pixels))[:, None]
    chart = np.where(own, look_up(part, pixels), 0)
    predicted = geodesics.landmarks(chart.ravel(), look_up(uv, pixels).reshape(2, -1).T)
    labelled = np.tile(geodesics.landmarks(person.part, person.uv), len(pixels))
    distance = geodesics.between(labelled, predicted).reshape(own.shape)
    return np.exp(-(distance**2) / (2 * SCALE_OF_CHART[person.part] ** 2)).mean(axis=1)


def look_up(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Values [..., *shape] of an image [..., H, W] at pixels [*shape, 2] (x, y); 0 outside it."""
    x, y = pixels[..., 0], pixels[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < image.shape[-1]) & (y < image.shape[-2])
    return np.where(inside, image[..., y * inside, x * inside], 0)


def mask_iou(owner: np.ndarray, num_detections: int, people: list[LabelledPerson]) -> np.ndarray:
    """[D, G] IoU of detections with people's dense-pose masks; with crowds, the share of the detection inside."""
    area = np.bincount(owner.ravel(), minlength=num_detections + 1)[1:, None]
    shared = np.zeros((num_detections, len(people)))
    for column, person in enumerate(people):
        shared[:, column] = np.bincount(owner[person.mask], minlength=num_detections + 1)[1:]
    person_area = np.array([person.mask.sum() for person in people])
    crowd = np.array([person.crowd for person in people], bool)
    return shared / np.maximum(area + np.where(crowd, 0, person_area - shared), 1)


def box_iou(first: np.ndarray, second: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """[D, G] IoU of xyxy boxes [D, 4] and [G, 4]; with crowds [G] bool, the share of the first that is covered."""
    shared = boxes.intersection(first, second)
    union = boxes.area(first)[:, None] + np.where(crowd, 0, boxes.area(second) - shared)
    return shared / np.maximum(union, 1e-9)


def cropped_to_boxes(owner: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """`owner` with 0 at pixels outside the owner's box, whose corner and size are cut to whole pixels."""
    corner = np.trunc(boxes_xyxy[:, :2])
    size = np.maximum(np.trunc(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]), 1)
    limits = np.concatenate([np.zeros((1, 4)), np.concatenate([corner, corner + size], axis=1)])[owner]
    y, x = np.indices(owner.shape, sparse=True)
    inside = (x >= limits[..., 0]) & (y >= limits[..., 1]) & (x < limits[..., 2]) & (y < limits[..., 3])
    return np.where(inside, owner, 0)

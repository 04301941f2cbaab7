"""People whose joints somebody marked by hand (COCO keypoints): who is there, and which side is left, as a human saw it.

What the marks do not say, how far from the camera a joint is and where hands and feet point to, stays BlazePose's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ddp_video.data.coco_file import KEYPOINTS, by_image, read_coco
from ddp_video.data.densepose_coco import segmentation_mask
from ddp_video.data.sample import IGNORE
from ddp_video.structures import STRIDE
from ddp_video.teachers.blazepose import COUNT, MIRROR, Pose
from ddp_video.teachers.fusion import WIDER, LabelMaps, inside
from ddp_video.teachers.marks import VISIBLE
from ddp_video.teachers.opinions import cells_of
from ddp_video.teachers.skeleton import EARS, HEAD, HIPS, NOSE, SHOULDERS, TORSO, Skeleton
from ddp_video.teachers.witness import APART, Witness

# BlazePose's landmarks in COCO's order: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left before right.
LANDMARKS = np.array([0, 2, 5, 7, 8, *range(11, 17), *range(23, 29)])
# Landmarks without a mark go with one that has it: lips with the nose, fingers with the wrist, heel and toes with the ankle.
GUIDE = np.array([0, 2, 2, 2, 5, 5, 5, 7, 8, 0, 0, *range(11, 17), *[15, 16] * 3, *range(23, 29), *[27, 28] * 2])
TORSO_MARKS, EAR_MARKS = [5, 6, 11, 12], [3, 4]  # of COCO's keypoints: shoulders and hips; ears
LEAST_MARKS = 6
FAR = 0.5  # of the torso's length: BlazePose's landmarks that lie so far from the marks are of somebody else
TURNED = 0.45  # of the torso's length: shoulders that are less apart may be anyhow to the camera
CORE = 0.7  # radii from the axis of a limb that is seen, within which there surely is a person
LABELLED = 0.2  # share of a person's region that is somebody's, for him not to have been missed


@dataclass(frozen=True)
class AnnotatedPerson:
    """box: [4] xyxy px. points: [17, 3] x, y px and 0, 1 or VISIBLE. segmentation: COCO's polygons or run lengths, where
    somebody drew an outline. crowd: not one person, but a region with many."""

    box: np.ndarray
    points: np.ndarray
    segmentation: list | dict | None = None
    crowd: bool = False

    @property
    def is_posed(self) -> bool:
        """Whether enough joints are marked to say which chart lies where."""
        marked = self.points[:, 2] > 0
        return not self.crowd and bool(marked.sum() >= LEAST_MARKS and marked[TORSO_MARKS[:2]].all())

    def outline(self, size: tuple[int, int]) -> np.ndarray | None:
        """[H, W] bool, where somebody drew it; made when asked for, as a file holds hundreds of thousands."""
        return segmentation_mask(self.segmentation, size) if self.segmentation else None

    def region(self, size: tuple[int, int]) -> np.ndarray:
        """[H, W] bool: the outline, or else the box."""
        outline = self.outline(size)
        return inside(self.box, *_pixels(size)) if outline is None else outline


def read_annotated(path: str | Path) -> dict[str, list[AnnotatedPerson]]:
    """The annotated people of every picture of a COCO keypoints JSON, by file name.

    Raises:
        DataError: the file is not such a JSON.
    """
    images, annotations, _ = read_coco(path)
    annotations = by_image(annotations)
    return {Path(image["file_name"]).name: [_person(a) for a in annotations[image["id"]]] for image in images}


def _person(annotation: dict) -> AnnotatedPerson:
    x, y, width, height = annotation["bbox"]
    points = np.array(annotation.get("keypoints") or [0] * 3 * KEYPOINTS, float).reshape(-1, 3)
    box = np.array([x, y, x + width, y + height], np.float32)
    return AnnotatedPerson(box, points, annotation.get("segmentation"), bool(annotation.get("iscrowd")))


def correct(pose: Pose, points: np.ndarray) -> Witness | None:
    """BlazePose's pose of somebody with the marked joints ([17, 3] x, y px and visibility) where they were marked.

    If it has taken left for right, it is turned round first. None where it saw somebody else and the marks alone do not tell
    whether the camera sees a chest or a back. The silhouette becomes one of cells of STRIDE px.
    """
    marked = points[:, 2] > 0
    turned = replace(pose, points=pose.points[list(MIRROR)], visibility=pose.visibility[list(MIRROR)])
    pose = min(pose, turned, key=lambda pose: _gap(pose, points)[marked].mean())
    gap, size = _gap(pose, points), Skeleton.of(pose).size
    place, silhouette = _moved(pose, points), on_cells(pose.silhouette)
    near = np.zeros(COUNT, bool)
    near[LANDMARKS] = marked & (gap < APART * size)
    settled, visibility = near[GUIDE], np.where(near[GUIDE], pose.visibility, 0)
    settled[LANDMARKS], visibility[LANDMARKS] = marked, points[:, 2] / VISIBLE
    settled[list(EARS)] |= near[NOSE]  # the far one is never marked
    if np.median(gap[marked]) > FAR * size:
        if not (marked[TORSO_MARKS].all() and _shows_chest_or_back(place)):
            return None
        place[:, 2], settled[list(EARS)], silhouette = 0, marked[EAR_MARKS], np.zeros_like(silhouette)
    skeleton = Skeleton.of(replace(pose, points=place))
    joints = {TORSO: [*SHOULDERS, *HIPS], HEAD: [NOSE]}
    joints |= {part: list(limb.landmarks) for part, limb in skeleton.limbs.items()}
    seen = frozenset(part for part, its_joints in joints.items() if (visibility[its_joints] == 1).all())
    silhouette = np.maximum(silhouette, _core(skeleton, seen, silhouette.shape))
    pose = replace(pose, points=place, visibility=visibility, score=1.0, silhouette=silhouette)
    return Witness(pose, settled, in_front=seen - {TORSO, HEAD})


def heed(labels: LabelMaps, people: Sequence[AnnotatedPerson]) -> LabelMaps:
    """Labels of a picture all of whose people are annotated: who got no label is left open, elsewhere there is nobody."""
    size = labels.instance.shape
    somebody, (x, y) = np.zeros(size, bool), _pixels(size)
    for person in people:
        somebody |= inside(person.box, x, y, WIDER)
    instance = np.where((labels.instance == IGNORE) & ~somebody, 0, labels.instance)
    found = (instance > 0) & (instance != IGNORE)
    for person in people:
        region = person.region(size)
        if person.crowd or found[region].mean() < LABELLED:
            instance[region & (instance == 0)] = IGNORE
    return replace(labels, instance=instance.astype(np.uint8))


def _moved(pose: Pose, points: np.ndarray) -> np.ndarray:
    """[33, 3] landmarks: the marked ones at their marks, the others moved as their guides are."""
    marked, step = points[:, 2] > 0, np.zeros((COUNT, 3))
    step[LANDMARKS[marked], :2] = (points - pose.points[LANDMARKS])[marked, :2]
    return pose.points + step[GUIDE]


def _gap(pose: Pose, points: np.ndarray) -> np.ndarray:
    """[17] px between landmarks and marks."""
    return np.linalg.norm(pose.points[LANDMARKS, :2] - points[:, :2], axis=1)


def _shows_chest_or_back(place: np.ndarray) -> bool:
    shoulders, hips = place[list(SHOULDERS), :2], place[list(HIPS), :2]
    length = np.linalg.norm(shoulders.mean(0) - hips.mean(0))
    return bool(np.linalg.norm(shoulders[0] - shoulders[1]) > TURNED * max(length, 1.0))


def _core(skeleton: Skeleton, parts: frozenset[int], cells: tuple[int, int]) -> np.ndarray:
    """[h, w] float32, 1 about the axes of these parts."""
    y, x = np.indices(cells) * STRIDE + STRIDE / 2
    distance = skeleton.distances(x, y)
    return (distance[sorted(parts)] <= CORE).any(0).astype(np.float32)


def on_cells(plane: np.ndarray) -> np.ndarray:
    """[h, w] of [H, W]: the mean of every cell."""
    return cv2.resize(plane, cells_of(plane)[::-1], interpolation=cv2.INTER_AREA)


def _pixels(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y [H, W] of the centres of all pixels."""
    y, x = np.indices(size) + 0.5
    return x, y

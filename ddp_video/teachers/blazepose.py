"""BlazePose: 33 landmarks of one person, which know left from right (Apache-2.0, MediaPipe)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.special import expit

from ddp_video.teachers.litert import LiteModel

INPUT = 256  # px
MARGIN = 1.25  # side of the region it looks at, over the person's
NOBODY = 0.1  # score
# Landmarks 33 and 34 say where the next look should go: the hips' centre, and a point on the circle around the person.
CENTRE, RIM, COUNT = 33, 34, 33
# What each landmark becomes in a mirror.
MIRROR = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + 1 if i % 2 else i - 1 for i in range(11, COUNT)))


@dataclass(frozen=True)
class Pose:
    """One person's landmarks.

    points: [33, 3] px of the picture, x to the right, y down, z away from the camera (from the hips' depth).
    visibility: [33] in 0..1. score: that there is a person at all, 0..1. silhouette: [H, W] float32, probability of the
    person, 0 where BlazePose did not look.
    """

    points: np.ndarray
    visibility: np.ndarray
    score: float
    silhouette: np.ndarray

    def mirrored(self) -> Pose:
        """The pose of the mirrored picture."""
        points = self.points[list(MIRROR)] * (-1, 1, 1) + (self.silhouette.shape[1], 0, 0)
        return Pose(points, self.visibility[list(MIRROR)], self.score, self.silhouette[:, ::-1])


class BlazePose:
    """Args: path: MediaPipe's pose_landmark .tflite file."""

    def __init__(self, path: str | Path):
        self.model = LiteModel(path, ("Identity", "Identity_1", "Identity_2"))

    def __call__(self, image: np.ndarray, box: np.ndarray, looks: int = 2) -> Pose:
        """The person in box (xyxy, px) of [H, W, 3] uint8 RGB, looked at again where the first look says they are.

        Where the first look sees nobody at all there is no second.
        """
        centre = (box[:2] + box[2:]) / 2
        side, angle = MARGIN * float((box[2:] - box[:2]).max()), 0.0
        for _ in range(looks):
            matrix = _look_at(centre, side, angle)
            landmarks, score, silhouette = self._look(image, matrix)
            if score < NOBODY:
                break
            centre, rim = landmarks[CENTRE, :2], landmarks[RIM, :2] - landmarks[CENTRE, :2]
            side = max(2 * MARGIN * float(np.hypot(*rim)), 1.0)
            angle = float(np.arctan2(rim[0], -rim[1]))  # of the body's axis, from upright
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        silhouette = cv2.warpAffine(silhouette, matrix, image.shape[1::-1], flags=flags)
        return Pose(landmarks[:COUNT, :3], expit(landmarks[:COUNT, 3]), score, silhouette)

    def _look(self, image: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Landmarks [35, 5] (x, y, z in px of the picture), score, silhouette [INPUT, INPUT] of what matrix shows."""
        seen = cv2.warpAffine(image, matrix, (INPUT, INPUT), flags=cv2.INTER_LINEAR)
        outputs = self.model(seen.astype(np.float32) / 255)
        landmarks = outputs["Identity"].reshape(-1, 5)
        landmarks[:, :2] = (landmarks[:, :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        landmarks[:, 2] /= np.sqrt(np.linalg.det(matrix[:, :2]))
        return landmarks, float(outputs["Identity_1"][0]), expit(outputs["Identity_2"][..., 0])


def _look_at(centre: np.ndarray, side: float, angle: float) -> np.ndarray:
    """[2, 3]: picture -> BlazePose's input, a square of `side` px around centre, turned by angle."""
    cos, sin = np.cos(angle) * INPUT / side, np.sin(angle) * INPUT / side
    linear = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([linear, INPUT / 2 - linear @ centre])

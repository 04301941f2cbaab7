"""BlazePose: 33 landmarks of one person, which know left from right (Apache-2.0, MediaPipe)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ddp_video.teachers.litert import LiteModel

INPUT = 256  # px
MARGIN = 1.25  # side of the region it looks at, over the person's
# Landmarks 33 and 34 say where the next look should go: the hips' centre, and a point on the circle around the person.
CENTRE, RIM, COUNT = 33, 34, 33
# What each landmark becomes in a mirror.
MIRROR = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + 1 if i % 2 else i - 1 for i in range(11, COUNT)))


@dataclass(frozen=True)
class Pose:
    """points: [33, 2] px of the picture. visibility: [33] in 0..1. score: that there is a person at all, 0..1."""

    points: np.ndarray
    visibility: np.ndarray
    score: float


class BlazePose:
    """Args: path: MediaPipe's pose_landmark .tflite file."""

    def __init__(self, path: str | Path):
        self.model = LiteModel(path, ("Identity", "Identity_1"))

    def __call__(self, image: np.ndarray, box: np.ndarray, looks: int = 2) -> Pose:
        """The person in box (xyxy, px) of [H, W, 3] uint8 RGB, looked at again where the first look says they are."""
        centre = (box[:2] + box[2:]) / 2
        side, angle = MARGIN * float((box[2:] - box[:2]).max()), 0.0
        for _ in range(looks):
            landmarks, score = self._look(image, centre, side, angle)
            centre, rim = landmarks[CENTRE, :2], landmarks[RIM, :2] - landmarks[CENTRE, :2]
            side = 2 * MARGIN * float(np.hypot(*rim))
            angle = float(np.arctan2(rim[0], -rim[1]))  # of the body's axis, from upright
        return Pose(landmarks[:COUNT, :2], _sigmoid(landmarks[:COUNT, 3]), score)

    def _look(self, image: np.ndarray, centre: np.ndarray, side: float, angle: float) -> tuple[np.ndarray, float]:
        cos, sin = np.cos(angle) * INPUT / side, np.sin(angle) * INPUT / side
        linear = np.array([[cos, sin], [-sin, cos]])
        matrix = np.column_stack([linear, INPUT / 2 - linear @ centre])
        seen = cv2.warpAffine(image, matrix, (INPUT, INPUT), flags=cv2.INTER_LINEAR)
        outputs = self.model(seen.astype(np.float32) / 255)
        landmarks = outputs["Identity"].reshape(-1, 5)
        landmarks[:, :2] = (landmarks[:, :2] - matrix[:, 2]) @ np.linalg.inv(linear).T
        return landmarks, float(outputs["Identity_1"][0])


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))

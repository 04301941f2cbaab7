"""What a person's landmarks say about the pixels around them: which body part, and which side of it the camera sees.

Parts are the 14 of `charts.PART_NAMES`. Limbs are capsules around BlazePose's landmarks, with radii in units of the
torso's length (from between the hips to between the shoulders, about half a metre). The side is that of a round body: where
the camera looks at the surface head-on it sees the side that the part's forward direction has, and towards the outline
what lies to the side. Directions are [x right, y down, z away from the camera].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ddp_video.charts import PART_NAMES, SIDES
from ddp_video.teachers.blazepose import Pose

NOSE, EARS, EYES = 0, (7, 8), (2, 5)  # of a pair: the person's left, right
SHOULDERS, ELBOWS, WRISTS = (11, 12), (13, 14), (15, 16)
KNUCKLES = ((17, 19), (18, 20))  # of the little and the index finger
HIPS, KNEES, ANKLES, HEELS, TOES = (23, 24), (25, 26), (27, 28), (29, 30), (31, 32)

TORSO, HEAD = PART_NAMES.index("torso"), PART_NAMES.index("head")
RADII = {"upper arm": 0.13, "lower arm": 0.10, "hand": 0.10, "upper leg": 0.19, "lower leg": 0.14, "foot": 0.11}
TORSO_EDGE, HEAD_RADIUS, TORSO_HALF_WIDTH = 0.10, 0.27, 0.36
HAND_REACH = 1.7  # from the wrist to the finger tips, over the way to the knuckles
SHOULDER_ROOM = 0.6  # the torso is never taken for shorter than this many shoulder widths (seen from above)


class Limb(NamedTuple):
    """Segments [K, 2, 3] px that a part lies around, and the landmarks that they come from."""

    segments: np.ndarray
    landmarks: tuple[int, ...]


@dataclass(frozen=True)
class Skeleton:
    """points: [33, 3] px, z away from the camera. size: px, the torso's length."""

    points: np.ndarray
    size: float

    @classmethod
    def of(cls, pose: Pose) -> Skeleton:
        shoulders, hips = pose.points[list(SHOULDERS)], pose.points[list(HIPS)]
        length = np.linalg.norm(shoulders.mean(0) - hips.mean(0))
        return cls(pose.points, float(max(length, SHOULDER_ROOM * np.linalg.norm(shoulders[0] - shoulders[1]), 1.0)))

    def distances(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """[15, ...]: from places x, y (px) to the axis of each part, in radii of the part; infinite for the background.

        To the torso: from the quadrilateral of shoulders and hips, in units of its edge's softness.
        """
        out = np.full((len(PART_NAMES), *np.shape(x)), np.inf, np.float32)
        out[TORSO] = self._outside_torso(x, y) / (TORSO_EDGE * self.size)
        centre, radius = self.head
        out[HEAD] = np.hypot(x - centre[0], (y - centre[1]) / 1.15) / radius
        for part, limb in self.limbs.items():
            radius = RADII[PART_NAMES[part].split(" ", 1)[1]] * self.size
            out[part] = np.min([_to_segment(x, y, *ends) for ends in limb.segments], 0) / radius
        return out

    @property
    def limbs(self) -> dict[int, Limb]:
        """Arms and legs by part."""
        found = {}
        for side, name in enumerate(SIDES):
            shoulder, elbow, wrist = SHOULDERS[side], ELBOWS[side], WRISTS[side]
            hip, knee, ankle = HIPS[side], KNEES[side], ANKLES[side]
            chains = {"upper arm": (shoulder, elbow), "lower arm": (elbow, wrist)}
            chains |= {"upper leg": (hip, knee), "lower leg": (knee, ankle)}
            for kind, ends in chains.items():
                found[PART_NAMES.index(f"{name} {kind}")] = Limb(self.points[[ends]], ends)
            tips = self.points[wrist] + HAND_REACH * (self.points[list(KNUCKLES[side])].mean(0) - self.points[wrist])
            found[PART_NAMES.index(f"{name} hand")] = Limb(
                np.stack([self.points[wrist], tips])[None], (wrist, *KNUCKLES[side])
            )
            heel, toe = HEELS[side], TOES[side]
            found[PART_NAMES.index(f"{name} foot")] = Limb(self.points[[[heel, toe], [ankle, toe]]], (heel, toe))
        return found

    @property
    def head(self) -> tuple[np.ndarray, float]:
        """Centre [3] and radius, px."""
        return self.points[list(EARS)].mean(0), HEAD_RADIUS * self.size

    @property
    def forward(self) -> np.ndarray:
        """[3], where the chest points to: unit length."""
        left, right = self.points[[SHOULDERS[0], HIPS[0]]].mean(0), self.points[[SHOULDERS[1], HIPS[1]]].mean(0)
        up = self.points[list(SHOULDERS)].mean(0) - self.points[list(HIPS)].mean(0)
        return _unit(np.cross(_unit(left - right), _unit(up)))

    def facing(self, part: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """-1..1 at places x, y: how much the surface of a part that the camera sees there points forward.

        Of the head: how much it points to the person's left.
        """
        if part == HEAD:
            centre, radius = self.head
            across, down = (x - centre[0]) / radius, (y - centre[1]) / (1.15 * radius)
            left = _unit(self.points[EARS[0]] - self.points[EARS[1]])
            towards = np.sqrt(np.clip(1 - across**2 - down**2, 0.05, None))
            scale = np.sqrt(across**2 + down**2 + towards**2)
            return (across * left[0] + down * left[1] - towards * left[2]) / scale
        start, end, radius = self._axis(part)
        forward = self._forward_of(part)
        along = _unit(end[:2] - start[:2])
        offset = np.clip(((x - start[0]) * -along[1] + (y - start[1]) * along[0]) / radius, -1, 1)
        sideways = -along[1] * forward[0] + along[0] * forward[1]
        return offset * sideways - np.sqrt(1 - offset**2) * forward[2]

    def _axis(self, part: int) -> tuple[np.ndarray, np.ndarray, float]:
        if part == TORSO:
            shoulders, hips = self.points[list(SHOULDERS)].mean(0), self.points[list(HIPS)].mean(0)
            return hips, shoulders, TORSO_HALF_WIDTH * self.size
        kind = PART_NAMES[part].split(" ", 1)[1]
        start, end = self.limbs[part].segments[0]
        return start, end, 1.2 * RADII[kind] * self.size

    def _forward_of(self, part: int) -> np.ndarray:
        """[3] unit: the forward direction across a part's axis; of bent legs towards the shin's far side."""
        forward = self.forward
        if part == TORSO:
            return forward
        name, kind = PART_NAMES[part].split(" ", 1)
        side = SIDES.index(name)
        start, end, _ = self._axis(part)
        along = _unit(end - start)
        if kind == "upper leg":
            forward = forward - _unit(self.points[ANKLES[side]] - self.points[KNEES[side]])
        elif kind == "lower leg":
            forward = forward + _unit(self.points[KNEES[side]] - self.points[HIPS[side]])
        return _unit(forward - (forward @ along) * along)

    def _outside_torso(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to the quadrilateral of shoulders and hips, px; 0 inside."""
        corners = self.points[[SHOULDERS[0], SHOULDERS[1], HIPS[1], HIPS[0]], :2]
        edges = list(zip(corners, np.roll(corners, -1, 0), strict=True))
        distance = np.min([_to_segment(x, y, a, b) for a, b in edges], 0)
        turns = [(b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) for a, b in edges]
        inside = (np.min(turns, 0) >= 0) | (np.max(turns, 0) <= 0)
        return np.where(inside, 0, distance)


def _to_segment(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of places to the segment from a to b, px."""
    along = b[:2] - a[:2]
    t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(float(along @ along), 1e-6), 0, 1)
    return np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)

"""A person doing something somewhere, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ddp_video.synthesis.body import BodyModel, skin
from ddp_video.synthesis.motion import Performance
from ddp_video.synthesis.person import Person
from ddp_video.synthesis.rig import skinning_matrices


@dataclass
class Actor:
    """turn: [3, 3] of the whole body. place: [2] m on the ground. landmarks: vertices that stand for the whole body."""

    person: Person
    performance: Performance
    turn: np.ndarray
    place: np.ndarray
    landmarks: np.ndarray
    lying: bool
    _poses: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)
    _vertices: dict[int, np.ndarray] = field(default_factory=dict)

    def _pose(self, frame: int, model: BodyModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bone transforms, the landmarks under them, and the shift that stands the body on the ground (unless it jumps)
        and on its way, as seen from `place`."""
        if frame not in self._poses:
            person, act, rows = self.person, self.performance, self.landmarks
            local = model.rig.spread(act.keys[frame], np.where(np.isnan(person.grip), act.curls, person.grip))
            local[0] = self.turn @ local[0]
            matrices = skinning_matrices(local, person.heads, model.rig.parents)
            points = np.empty((len(rows), 3), np.float32)
            skin(person.rest[rows], person.weights[rows], person.bone_index[rows], matrices, points)
            way = (self.turn[:2, :2] @ act.path[frame]) * person.leg - person.heads[0, :2]
            shift = np.array([*way, act.clearance[frame] * person.leg - points[:, 2].min()])
            self._poses[frame] = matrices, points, shift
        return self._poses[frame]

    def points(self, frame: int, model: BodyModel) -> np.ndarray:
        """[L, 3] the landmarks in the world."""
        _, points, shift = self._pose(frame, model)
        return points + (shift + np.append(self.place, 0))

    def vertices(self, frame: int, model: BodyModel) -> np.ndarray:
        """[n, 3] float32 posed vertices in the world. Frames beyond the performance go on as it ended."""
        last = len(self.performance.keys) - 1
        if frame > last:
            now = self.vertices(last, model)
            return now + (now - self.vertices(last - 1, model)) if last else now
        if frame not in self._vertices:
            matrices, _, shift = self._pose(frame, model)
            person = self.person
            posed = np.empty_like(person.rest)
            skin(person.rest, person.weights, person.bone_index, matrices, posed)
            posed += (shift + np.append(self.place, 0)).astype(np.float32)
            self._vertices[frame] = posed
        return self._vertices[frame]

    def forget(self, before: int) -> None:
        """Drop frames that are not needed any more."""
        for kept in (self._vertices, self._poses):
            for frame in [f for f in kept if f < before]:
                del kept[frame]

"""BlazePose asked twice, about a picture and its mirror image: what both answers say is trusted, the rest is not.

A network that guesses left and right from habit guesses the same side in the mirror, where it is the other one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ddp_video.teachers.blazepose import MIRROR, BlazePose, Pose
from ddp_video.teachers.skeleton import Skeleton

APART = 0.22  # of the torso's length: landmarks of the two looks further from each other are not trusted


@dataclass(frozen=True)
class Witness:
    """pose: the mean of the two looks. settled: [33] bool, landmarks that both looks saw, in one place. in_front: the parts
    that nothing hides, not the torso either; only people who mark joints tell that."""

    pose: Pose
    settled: np.ndarray
    in_front: frozenset[int] = frozenset()


def look_twice(blazepose: BlazePose, image: np.ndarray, box: np.ndarray, least_score: float) -> Witness | None:
    """The person in box (xyxy, px) of image [H, W, 3] uint8 RGB; None where either look sees nobody."""
    width = image.shape[1]
    there = blazepose(image, box)
    if there.score < least_score:
        return None
    mirror_box = np.array([width - box[2], box[1], width - box[0], box[3]])
    back = blazepose(np.ascontiguousarray(image[:, ::-1]), mirror_box).mirrored()
    return agree(there, back) if back.score >= least_score else None


def agree(first: Pose, second: Pose) -> Witness:
    """Merge two poses of one person in one picture."""
    size = Skeleton.of(first).size
    moved = np.linalg.norm((first.points - second.points)[:, :2], axis=1)
    to_other_side = np.linalg.norm((first.points - second.points[list(MIRROR)])[:, :2], axis=1)
    settled = (moved < APART * size) & (moved <= to_other_side + APART / 4 * size)
    pose = replace(
        first,
        points=(first.points + second.points) / 2,
        visibility=np.minimum(first.visibility, second.visibility),
        score=min(first.score, second.score),
        silhouette=(first.silhouette + second.silhouette) / 2,
    )
    return Witness(pose, settled)

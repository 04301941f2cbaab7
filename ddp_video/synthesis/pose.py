"""Poses made up from joint angles: standing, sitting, talking with the hands, reaching, bending, and hands.

A pose is key rotations (see `rig.KEYS`) plus finger curls. Arms that would pass through the body are drawn again.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ddp_video.synthesis.resting import RestingHands
from ddp_video.synthesis.rig import KEY, KEYS, Rig, carried
from ddp_video.synthesis.rotation import about_axis, from_vector, swing, to_vector

# Spheres that arms must stay out of: bone that carries it, offset from its head (m, canonical), radius.
_KEEP_OUT = (
    *(("root", (x, 0.0, z), 0.11) for x in (-0.07, 0.07) for z in (-0.06, 0.06)),
    *(("spine03", (x, -0.02, z), 0.10) for x in (-0.06, 0.06) for z in (-0.02, 0.08)),
    *(("spine01", (x, -0.05, z), 0.10) for x in (-0.07, 0.07) for z in (-0.06, 0.05)),
    ("head", (0.0, -0.02, 0.10), 0.09),
)

# Arms: elevation from hanging (0) to straight up (pi); azimuth 0 sideways, pi/2 forward; twist of the upper arm; bend of
# the elbow from straight; turn of the wrist. Each is (low, high), radians.
ARM_KINDS = {
    "hanging": ((0.06, 0.35), (-0.3, 0.9), (-0.2, 0.3), (0.1, 0.6), (-0.4, 0.5)),
    "hip": ((0.35, 0.7), (-0.7, 0.1), (0.6, 1.3), (1.5, 2.0), (0.0, 1.0)),
    "holding": ((0.15, 0.7), (0.7, 1.5), (-0.2, 0.9), (1.3, 2.2), (-0.5, 1.0)),
    "gesture": ((0.2, 0.9), (0.2, 1.4), (-0.7, 0.7), (0.8, 2.0), (-1.0, 1.2)),
    "raised": ((1.9, 2.9), (-0.2, 1.2), (-0.6, 0.6), (0.1, 1.6), (-1.0, 1.0)),
    "reaching": ((1.0, 1.7), (0.3, 1.6), (-0.6, 0.6), (0.1, 1.0), (-1.0, 1.0)),
    "sideways": ((1.0, 1.8), (-0.4, 0.5), (-0.8, 0.8), (0.1, 1.2), (-1.0, 1.0)),
    "face": ((0.6, 1.4), (0.9, 1.7), (-0.5, 0.8), (1.8, 2.5), (-0.5, 1.0)),
    "behind": ((0.2, 0.6), (-1.6, -0.8), (0.3, 1.0), (0.6, 1.6), (-0.5, 0.8)),
    "any": ((0.05, 2.8), (-0.7, 1.6), (-0.9, 0.9), (0.0, 2.3), (-1.0, 1.0)),
}
_ARM_ODDS = (0.28, 0.07, 0.14, 0.17, 0.07, 0.07, 0.04, 0.07, 0.03, 0.06)
_RESTING = 0.5  # how often a hand rests on the body
_CLEARANCE, _TOUCHING = 0.025, -0.02  # m between arms and those spheres, also where a hand rests
BODY_KINDS = ("stand", "sit", "bend", "squat", "kneel", "step", "lift", "cross")
_BODY_ODDS = (0.33, 0.19, 0.07, 0.06, 0.06, 0.1, 0.13, 0.06)
_CROSS_LEGGED = 0.35  # of those who sit

# Hands: bend of the knuckles and of the other joints of thumb, index, middle, ring and little finger.
HANDS = {
    "relaxed": ((0.2, 0.25, 0.35, 0.45, 0.5), (0.3, 0.35, 0.45, 0.5, 0.5)),
    "flat": ((0.0, 0.0, 0.0, 0.0, 0.0), (0.05, 0.05, 0.05, 0.05, 0.05)),
    "fist": ((0.8, 1.3, 1.35, 1.4, 1.4), (0.9, 1.5, 1.5, 1.5, 1.5)),
    "point": ((0.6, 0.1, 1.2, 1.3, 1.3), (0.8, 0.1, 1.4, 1.4, 1.4)),
    "grip": ((0.5, 0.8, 0.85, 0.9, 0.9), (0.5, 0.8, 0.85, 0.9, 0.9)),
    "pinch": ((0.5, 0.7, 0.5, 0.4, 0.35), (0.4, 0.6, 0.5, 0.45, 0.4)),
}
_HAND_ODDS = (0.5, 0.12, 0.12, 0.06, 0.14, 0.06)


def random_curls(rng: np.random.Generator) -> np.ndarray:
    """[10, 3] finger curls of two hands, each of some everyday shape."""
    curls = np.zeros((2, 5, 3))
    for hand in curls:
        knuckle, rest = HANDS[rng.choice(list(HANDS), p=_HAND_ODDS)]
        hand[:, 0], hand[:, 1] = knuckle, rest
        hand[:, :2] = np.clip(hand[:, :2] * rng.uniform(0.7, 1.2) + rng.normal(0, 0.06, (5, 2)), -0.1, 1.6)
        hand[:, 2] = rng.normal(0.05, 0.08) * np.array([0, 1, 0.2, -0.6, -1.2])  # fan
    return curls.reshape(10, 3)


class PoseMaker:
    """Draws poses for a rig."""

    def __init__(self, rig: Rig):
        self.rig = rig
        self._elbow = {side: rig.elbow(side) for side in "LR"}
        bones, offsets, radii = zip(*_KEEP_OUT, strict=True)
        self._sphere_bone = np.array([rig.index[b] for b in bones])
        self._sphere = np.stack([rig.head(b) + np.array(o) for b, o in zip(bones, offsets, strict=True)])
        self._radius = np.array(radii)
        self._resting = RestingHands(rig)

    def arm(self, keys: np.ndarray, side: str, elevation, azimuth, twist, elbow, turn) -> None:
        """Set one arm's keys from angles as in `ARM_KINDS`."""
        sign = 1.0 if side == "L" else -1.0
        axis = self.rig.limb_axis(f"arm.{side}")
        target = np.array(
            [
                sign * math.sin(elevation) * math.cos(azimuth),
                -math.sin(elevation) * math.sin(azimuth),
                -math.cos(elevation),
            ]
        )
        collar = about_axis("Y", -sign * 0.45 * max(0.0, elevation - 1.3))  # shoulders rise with raised arms
        forearm = self.rig.limb_axis(f"forearm.{side}")
        keys[KEY[f"collar.{side}"]] = to_vector(collar)
        keys[KEY[f"arm.{side}"]] = to_vector(collar.T @ swing(axis, target) @ from_vector(axis * sign * twist))
        hinge, at_rest = self._elbow[side]
        keys[KEY[f"forearm.{side}"]] = hinge * (elbow - at_rest)
        keys[KEY[f"hand.{side}"]] = forearm * sign * turn

    def random_arms(self, keys: np.ndarray, rng: np.random.Generator) -> None:
        """Set both arms (in place) so that they stay out of the body."""
        kinds = list(ARM_KINDS)
        resting = rng.random() < _RESTING
        for _ in range(8):
            kind = kinds[rng.choice(len(kinds), p=_ARM_ODDS)]
            angles = {}
            alike = rng.random() < 0.4
            for side in "LR":
                if side == "R" and alike:
                    angles[side] = angles["L"] + rng.normal(0, 0.12, 5)
                    continue
                kind = kind if side == "L" else kinds[rng.choice(len(kinds), p=_ARM_ODDS)]
                angles[side] = np.array([rng.uniform(*bounds) for bounds in ARM_KINDS[kind]])
            for side, values in angles.items():
                values[3] = max(values[3], 0.03)  # elbows do not bend backwards
                self.arm(keys, side, *values)
                keys[KEY[f"hand.{side}"]] += rng.normal(0, 0.18, 3)
            if resting and not self._resting.lay(keys, rng):
                continue
            if self._arms_are_clear(keys, _TOUCHING if resting else _CLEARANCE):
                return

    def _arms_are_clear(self, keys: np.ndarray, clearance: float) -> bool:
        """Whether elbows, forearms and hands stay so far (m) outside the trunk and head."""
        matrices = self.rig.matrices(keys)
        spheres = carried(matrices[self._sphere_bone], self._sphere)
        for side in "LR":
            names = [f"{n}.{side}" for n in ("lowerarm01", "wrist", "finger3-1", "finger3-3")]
            index = np.array([self.rig.index[n] for n in names])
            joints = carried(matrices[index], self.rig.heads[index])
            steps = np.linspace(0, 1, 4)[:, None]
            line = np.concatenate([a + (b - a) * steps for a, b in itertools.pairwise(joints)])
            distance = np.linalg.norm(line[:, None] - spheres, axis=-1)
            if (distance < self._radius + clearance).any():
                return False
        return True

    def random_keys(self, rng: np.random.Generator) -> np.ndarray:
        """[19, 3] keys of a made-up pose."""
        kind = rng.choice(BODY_KINDS, p=_BODY_ODDS)
        keys = np.zeros((len(KEYS), 3))
        spine = rng.normal((0.03, 0, 0), (0.08, 0.06, 0.12))  # forward, sideways, twist
        legs = {
            side: np.array(
                [rng.normal(0.03, 0.1), rng.normal(0.03, 0.05), rng.normal(0.05, 0.15), abs(rng.normal(0.06, 0.1))]
            )
            for side in "LR"
        }  # flexion, abduction, twist, knee
        ankles = {side: legs[side][3] - legs[side][0] for side in "LR"}
        one, other = "LR" if rng.random() < 0.5 else "RL"
        if kind == "sit":
            thigh, knee = rng.uniform(1.25, 1.65), rng.uniform(1.1, 1.8)
            for side in "LR":
                legs[side] = np.array([thigh + rng.normal(0, 0.06), rng.uniform(0, 0.3), 0, knee + rng.normal(0, 0.15)])
                ankles[side] = legs[side][3] - thigh + rng.normal(0, 0.08)
            if rng.random() < _CROSS_LEGGED:
                legs[one] += [0.22, -0.35, 0, rng.uniform(-0.5, 0.2)]
                ankles[one] = rng.uniform(-0.5, 0.2)
            spine[0] = rng.uniform(-0.15, 0.45)
        elif kind == "bend":
            depth = rng.uniform(0.5, 1.2)
            spine = np.array([rng.uniform(0.4, 1.0), rng.normal(0, 0.12), rng.normal(0, 0.2)])
            for side in "LR":
                knee = rng.uniform(0.02, 0.4)
                legs[side] = np.array([0.8 * depth + 0.5 * knee, rng.uniform(0, 0.15), 0, knee])
                ankles[side] = 0.5 * knee
            keys[KEY["hip"]] = to_vector(about_axis("X", 0.8 * depth))
        elif kind == "squat":
            thigh = rng.uniform(0.9, 2.1)
            for side in "LR":
                knee = thigh + rng.uniform(-0.1, 0.3)
                legs[side] = np.array([thigh, rng.uniform(0.1, 0.45), rng.uniform(0, 0.35), knee])
                ankles[side] = np.clip(knee - thigh + 0.2, -0.2, 0.55)
            spine[0] = rng.uniform(0.2, 0.6)
        elif kind == "kneel":
            legs[one] = np.array([rng.uniform(1.2, 1.6), rng.uniform(0, 0.25), 0, rng.uniform(1.3, 1.7)])
            legs[other] = np.array([rng.uniform(-0.2, 0.2), rng.uniform(0, 0.1), 0, rng.uniform(1.3, 1.7)])
            ankles = {one: 0.0, other: -0.6}
        elif kind == "step":
            legs[one][[0, 3]] = rng.uniform(0.2, 0.7), rng.uniform(0.1, 0.8)
            legs[other][[0, 3]] = rng.uniform(-0.4, 0.0), rng.uniform(0.05, 0.4)
            ankles = {side: legs[side][3] - legs[side][0] for side in "LR"}
        elif kind == "lift":  # balancing, kicking, marching on the spot
            legs[one] = np.array(
                [rng.uniform(-0.5, 2.1), rng.uniform(-0.15, 0.8), rng.normal(0, 0.35), rng.uniform(0.0, 2.1)]
            )
            ankles[one] = rng.uniform(-0.6, 0.3)
        elif kind == "cross":  # one ankle before the other
            legs[one][:2] = rng.uniform(0.12, 0.25), -rng.uniform(0.1, 0.25)
            legs[other][:2] = -rng.uniform(0.0, 0.1), -rng.uniform(0.0, 0.12)
        head = rng.normal((0.05, 0, 0), (0.18, 0.1, 0.35))
        for name, (forward, sideways, twist), share in (
            ("abdomen", spine, 0.35),
            ("chest", spine, 0.65),
            ("neck", head, 0.4),
            ("head", head, 0.6),
        ):
            turn = about_axis("Z", twist * share) @ about_axis("X", forward * share) @ about_axis("Y", sideways * share)
            keys[KEY[name]] = to_vector(turn)
        for side, (flexion, abduction, twist, knee) in legs.items():
            sign = 1.0 if side == "L" else -1.0
            thigh = about_axis("Y", -sign * abduction) @ about_axis("X", -flexion) @ about_axis("Z", sign * twist)
            keys[KEY[f"thigh.{side}"]] = to_vector(thigh)
            keys[KEY[f"shin.{side}"]] = [max(knee, 0.02), 0, 0]  # knees bend one way only
            keys[KEY[f"foot.{side}"]] = [-ankles[side], 0, 0]
        self.random_arms(keys, rng)
        return keys

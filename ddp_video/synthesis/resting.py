"""Hands that touch their owner: arms folded, hands clasped or in the lap, in pockets, at the chin or the ear.

This is where people leave their hands while they talk, wait and sit; an arm before the trunk in the same sleeve is what a network
finds hardest. A place on the body is given, and two-bone inverse kinematics finds the arm that brings the palm there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis.rig import KEY, Rig, carried
from ddp_video.synthesis.rotation import to_vector

_PALM = 0.07  # m beyond the wrist
_STRETCHED = 0.985  # of its length, how far an arm reaches at most
_MOST_BENT = 2.6  # radians, of an elbow
_APART = 0.012  # m, standard deviation of where two hands that rest together lie


@dataclass(frozen=True)
class Rest:
    """Where a left hand rests, its right one in the mirror image.

    bone: that carries the place ('{}' is the hand's side). place: from the bone's head in the pose at rest, m, and spread: how far
    it varies to either side. pole: where the elbow points, in the chest's frame (outwards, back, up).
    """

    bone: str
    place: tuple[float, float, float]
    spread: tuple[float, float, float]
    pole: tuple[float, float, float] = (0.7, 0.35, -0.7)


RESTS = {
    "belly": Rest("spine04", (0.03, -0.21, 0.02), (0.06, 0.02, 0.1)),
    "middle": Rest("spine04", (0.0, -0.21, 0.0), (0.02, 0.02, 0.1)),
    "breast": Rest("spine02", (0.06, -0.22, 0.06), (0.06, 0.04, 0.08)),
    "other arm": Rest("spine02", (-0.16, -0.15, 0.01), (0.03, 0.02, 0.05)),
    "over it": Rest("spine02", (-0.13, -0.2, 0.03), (0.03, 0.02, 0.05)),
    "strap": Rest("spine01", (0.12, -0.17, 0.03), (0.03, 0.02, 0.05)),
    "other shoulder": Rest("spine01", (-0.13, -0.15, 0.04), (0.03, 0.02, 0.05)),
    "pocket": Rest("root", (0.19, -0.07, -0.01), (0.02, 0.04, 0.03), (0.7, 0.9, -0.2)),
    "back": Rest("root", (0.0, 0.17, 0.04), (0.04, 0.02, 0.05), (0.9, 0.6, -0.2)),
    "chin": Rest("head", (0.03, -0.15, 0.0), (0.03, 0.02, 0.03)),
    "mouth": Rest("head", (0.03, -0.19, 0.04), (0.03, 0.03, 0.03)),
    "ear": Rest("head", (0.1, -0.05, 0.07), (0.01, 0.03, 0.03), (0.8, 0.1, -0.6)),
    "eyes": Rest("head", (0.06, -0.2, 0.09), (0.03, 0.04, 0.02)),
    "crown": Rest("head", (0.08, 0.02, 0.19), (0.05, 0.05, 0.02), (1.0, 0.3, 0.3)),
    "nape": Rest("head", (0.04, 0.12, 0.05), (0.02, 0.02, 0.05), (1.0, -0.1, 0.4)),
    "thigh": Rest("upperleg01.{}", (0.0, -0.1, -0.24), (0.05, 0.02, 0.12)),
    "lap": Rest("upperleg01.{}", (-0.09, -0.1, -0.18), (0.02, 0.02, 0.08)),
    "knee": Rest("lowerleg01.{}", (0.0, -0.08, 0.03), (0.03, 0.02, 0.04)),
}
# Where both hands rest (left, right), and how often.
_PAIRS = {
    ("middle", "middle"): 0.2,
    ("other arm", "over it"): 0.2,
    ("breast", "breast"): 0.12,
    ("eyes", "eyes"): 0.06,
    ("pocket", "pocket"): 0.08,
    ("back", "back"): 0.03,
    ("nape", "nape"): 0.03,
    ("thigh", "thigh"): 0.08,
    ("lap", "lap"): 0.1,
    ("knee", "knee"): 0.06,
    ("belly", "strap"): 0.04,
}
# Where one hand rests while the other arm does something else.
_SINGLES = {
    "belly": 0.14,
    "breast": 0.12,
    "other arm": 0.08,
    "strap": 0.08,
    "other shoulder": 0.03,
    "pocket": 0.12,
    "chin": 0.08,
    "mouth": 0.08,
    "ear": 0.09,
    "crown": 0.04,
    "thigh": 0.08,
    "knee": 0.06,
}
_BOTH = 0.55  # how often both hands rest


class RestingHands:
    """Lays hands on bodies of a rig."""

    def __init__(self, rig: Rig):
        self.rig = rig
        self._chest = rig.parents[rig.index["clavicle.L"]]

    def lay(self, keys: np.ndarray, rng: np.random.Generator) -> bool:
        """Turn one arm or both (keys [19, 3], in place) so that the palm rests somewhere; False where that is out of reach."""
        matrices = self.rig.matrices(keys)
        if rng.random() < _BOTH:
            pairs = list(_PAIRS)
            rests = dict(zip("LR", pairs[rng.choice(len(pairs), p=list(_PAIRS.values()))], strict=True))
            if rng.random() < 0.5:
                rests = {"L": rests["R"], "R": rests["L"]}
        else:
            rests = {rng.choice(["L", "R"]): str(rng.choice(list(_SINGLES), p=list(_SINGLES.values())))}
        offset = rng.uniform(-1, 1, 3)
        return all(self._lay(keys, side, RESTS[rest], offset, matrices, rng) for side, rest in rests.items())

    def _lay(self, keys: np.ndarray, side: str, rest: Rest, offset: np.ndarray, matrices, rng) -> bool:
        mirrored = np.array([1.0 if side == "L" else -1.0, 1.0, 1.0])
        bone = rest.bone.format(side)
        place = np.array(rest.place) + offset * rest.spread + rng.normal(0, _APART, 3)
        world = carried(matrices[self.rig.index[bone]], self.rig.head(bone) + place * mirrored)
        chest = matrices[self._chest]
        target = chest[:, :3].T @ (world - chest[:, 3])
        pole = (np.array(rest.pole) + rng.normal(0, 0.2, 3)) * mirrored
        return self.reach(keys, side, target, pole, twist=rng.uniform(-0.5, 1.0))

    def reach(self, keys: np.ndarray, side: str, target: np.ndarray, pole: np.ndarray, twist: float = 0.0) -> bool:
        """Turn an arm (keys [19, 3], in place) so that its palm, the hand being straight, comes to a place.

        Args:
            target, pole: [3] in the frame of the chest at rest: the palm's place, m, and the direction that the elbow points in.
            twist: of the wrist, radians.
        Returns:
            False where the place is too far or too near; the keys are then as before.
        """
        upper, lower = self.rig.limb_axis(f"arm.{side}"), self.rig.limb_axis(f"forearm.{side}")
        shoulder, elbow, wrist = (self.rig.head(f"{bone}.{side}") for bone in ("upperarm01", "lowerarm01", "wrist"))
        first, second = np.linalg.norm(elbow - shoulder), np.linalg.norm(wrist - elbow) + _PALM
        way = target - shoulder
        distance = np.linalg.norm(way)
        nearest = math.sqrt(first**2 + second**2 + 2 * first * second * math.cos(_MOST_BENT))
        if not nearest < distance < _STRETCHED * (first + second):
            return False
        way /= distance
        outwards = pole - way * (way @ pole)
        outwards /= max(np.linalg.norm(outwards), 1e-9)
        along = (first**2 + distance**2 - second**2) / (2 * first)  # of the way, by the cosine theorem
        cosine = along / distance
        direction = cosine * way + math.sqrt(1 - cosine**2) * outwards
        onwards = (target - shoulder - first * direction) / second
        turned = _frame(direction, onwards) @ _frame(upper, lower).T
        hinge, at_rest = self.rig.elbow(side)
        keys[KEY[f"collar.{side}"]] = 0
        keys[KEY[f"arm.{side}"]] = to_vector(turned)
        keys[KEY[f"forearm.{side}"]] = hinge * (math.acos(np.clip(direction @ onwards, -1, 1)) - at_rest)
        keys[KEY[f"hand.{side}"]] = lower * twist * (1 if side == "L" else -1)
        return True


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[3, 3] orthonormal columns: `first`, the normal of the plane of both, and what is at right angles to those."""
    normal = np.cross(first, second)
    normal /= max(np.linalg.norm(normal), 1e-9)
    return np.stack([first, normal, np.cross(first, normal)], 1)

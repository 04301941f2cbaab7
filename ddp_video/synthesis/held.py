"""Things in hands: telephones, cups, balls, bags, umbrellas, sticks. They are things, not parts of the person.

Shapes are made in the hand's frame: origin in the palm, x across it towards the thumb, y out of the palm, z along the fingers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis.props import Shape, ball, box, cushion, join, lathe
from ddp_video.synthesis.rig import Rig

KINDS = ("phone", "cup", "ball", "bag", "umbrella", "stick", "racket")
_ODDS = (0.32, 0.17, 0.13, 0.18, 0.04, 0.1, 0.06)
# How the five fingers, thumb first, close around each: bend of the knuckles and of the other joints, radians.
_CURLS = {
    "phone": ((0.5, 0.35, 0.4, 0.45, 0.5), (0.4, 0.55, 0.55, 0.55, 0.55)),
    "cup": ((0.6, 0.75, 0.8, 0.8, 0.8), (0.5, 0.75, 0.75, 0.75, 0.75)),
    "ball": ((0.3, 0.35, 0.35, 0.35, 0.35), (0.35, 0.45, 0.45, 0.45, 0.45)),
}
_FIST = ((0.7, 1.1, 1.15, 1.2, 1.2), (0.8, 1.35, 1.4, 1.4, 1.4))


@dataclass(frozen=True)
class Held:
    """shape: at rest, in the person's own coordinates, m. bone: of the hand. curls: [5, 3] of its fingers (see Rig.spread)."""

    shape: Shape
    bone: str
    curls: np.ndarray


def _lying(profile) -> Shape:
    """A surface of revolution about x: profile of (radius, x)."""
    shape = lathe(np.array(profile, float), 14)
    return Shape(shape.vertices[:, [2, 1, 0]] * [1, -1, 1], shape.faces, shape.corner_uv)


def _make(kind: str, rng: np.random.Generator) -> Shape:
    u = rng.uniform
    if kind == "phone":
        long = u(0.13, 0.16)
        return box((0.5 * long, 0.009, long), (0, 0.022, -0.25 * long))
    if kind == "cup":
        r, h = u(0.03, 0.042), u(0.09, 0.18)
        shape = _lying([(0, -h / 2), (0.85 * r, -h / 2), (r, h / 2), (0, h / 2)])
        return shape.moved([0, r + 0.004, 0.01])
    if kind == "ball":
        r = u(0.03, 0.12)
        return ball(r, (0, r + 0.008, 0.02))
    if kind == "bag":
        w, h = u(0.22, 0.4), u(0.2, 0.4)
        drop = u(0.05, 0.2)
        straps = [box((0.01, 0.01, drop), (s * 0.2 * w, 0.02, 0)) for s in (-1, 1)]
        return join([cushion((w, u(0.08, 0.16), h), u(0.15, 0.4), (0, 0.02, drop)), *straps])
    if kind == "umbrella":
        long, wide, deep = u(0.6, 0.8), u(0.4, 0.6), u(0.1, 0.2)
        arc = np.linspace(0, 1, 6)
        canopy = [(wide * a, long - deep * a**2) for a in arc[::-1]]
        shape = join([_lying([(0.011, -0.1), (0.011, long)]), _lying(canopy)])
        return shape.moved([0, 0.022, 0])
    if kind == "racket":
        long, r = u(0.3, 0.42), u(0.08, 0.13)
        frame = lathe(np.array([(r, -0.01), (r + 0.012, 0), (r, 0.01)]), 18)
        grip = _lying([(0.016, -0.05), (0.016, 0.12), (0.01, long)])
        return join([grip, frame.moved([long + r, 0, 0])])
    long, thick = u(0.25, 0.95), u(0.01, 0.032)
    return _lying([(0.012, -u(0.02, 0.3)), (0.014, 0.1), (thick, 0.7 * long), (0.8 * thick, long), (0, long)])


def draw_held(rig: Rig, heads: np.ndarray, side: str, rng: np.random.Generator) -> Held:
    """Something in the hand of `side` ("L" or "R") of a person whose bones' heads are [B, 3]."""
    kind = str(rng.choice(KINDS, p=_ODDS))
    wrist, middle, index, little = (
        heads[rig.index[f"{bone}.{side}"]] for bone in ("wrist", "finger3-1", "finger2-1", "finger5-1")
    )
    z = (middle - wrist) / np.linalg.norm(middle - wrist)
    x = index - little
    x = x - z * (x @ z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x) if side == "L" else np.cross(x, z)
    scale = np.linalg.norm(middle - wrist) / 0.1
    palm = wrist + 0.85 * (middle - wrist) + 0.012 * scale * y
    shape = _make(kind, rng)
    vertices = palm + shape.vertices @ np.stack([x, y, z])
    faces = shape.faces if side == "L" else shape.faces[:, ::-1]  # the right hand's frame is a mirror image
    knuckle, bend = _CURLS.get(kind, _FIST)
    curls = np.stack([knuckle, bend, np.zeros(5)], 1)
    return Held(
        Shape(vertices, faces, shape.corner_uv if side == "L" else shape.corner_uv[:, ::-1]), f"wrist.{side}", curls
    )

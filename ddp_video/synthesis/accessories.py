"""What people carry that is not cloth: glasses, backpacks, the brim of a cap, tied hair. Each is stiff and follows one bone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis.props import Shape, ball, box, cushion, join, lathe


@dataclass(frozen=True)
class Accessory:
    """shape: at rest, in the person's own coordinates, m. bone: that carries it. on_head: [n] bool or one for all, whether it
    counts as part of the head for dense pose (else it is the person's, but on no chart). hair: of the hair's colour."""

    shape: Shape
    bone: str
    on_head: np.ndarray | bool
    hair: bool = False


def _ring(centre: np.ndarray, width: float, height: float, thick: float, filled: bool) -> Shape:
    """A flat elliptic frame, or disc, facing -y."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([width * np.cos(angle), np.zeros(16), height * np.sin(angle)], 1)
    inner = circle * (0.02 if filled else 1 - thick / height)
    vertices = np.concatenate([circle, inner]) + centre
    k = np.arange(16)
    n = (k + 1) % 16
    faces = np.concatenate([np.stack([k, n, n + 16], 1), np.stack([k, n + 16, k + 16], 1)]).astype(np.int32)
    return Shape(vertices, faces, np.zeros((len(faces), 3, 2)))


def glasses(left_eye: np.ndarray, right_eye: np.ndarray, rng: np.random.Generator) -> Accessory:
    """Spectacles or sunglasses before the eyes' centres [3]."""
    dark = rng.random() < 0.4
    apart = abs(left_eye[0] - right_eye[0])
    width, height = apart * rng.uniform(0.38, 0.46), apart * rng.uniform(0.28, 0.4)
    forward = np.array([0, -0.027 * apart / 0.059, -0.003])
    parts = [_ring(eye + forward, width, height, rng.uniform(0.003, 0.006), dark) for eye in (left_eye, right_eye)]
    middle = (left_eye + right_eye) / 2 + forward
    parts.append(box((apart - 2 * width + 0.006, 0.003, 0.004), middle))
    for sign, eye in ((1, left_eye), (-1, right_eye)):
        length = 0.1 * apart / 0.059
        parts.append(box((0.003, length, 0.005), eye + forward + [sign * (width + 0.003), length / 2, 0]))
    return Accessory(join(parts), "head", on_head=True)


def backpack(back: np.ndarray, height: float, rng: np.random.Generator) -> Accessory:
    """A pack on the back. back: [3] the rearmost point between the shoulder blades. height: of the person, m."""
    size = np.array([rng.uniform(0.26, 0.34), rng.uniform(0.12, 0.22), rng.uniform(0.36, 0.5)]) * height / 1.7
    bottom = np.array([0, back[1] + 0.3 * size[1], back[2] - 0.72 * size[2]])
    return Accessory(cushion(size, rng.uniform(0.25, 0.5), bottom), "spine02", on_head=False)


def bun(back: np.ndarray, top: np.ndarray, rng: np.random.Generator) -> Accessory:
    """Hair tied to a knot. back, top: [3] the rearmost and the highest point of the head."""
    at = back + (top - back) * rng.uniform(0.0, 0.95)
    size = rng.uniform(0.025, 0.055)
    knot = ball(size)
    bumps = 1 + 0.1 * np.sin(rng.normal(0, 60, 3) @ knot.vertices.T)
    shape = Shape(knot.vertices * bumps[:, None] * rng.uniform(0.8, 1.2, 3), knot.faces, knot.corner_uv)
    return Accessory(shape.moved(at + 0.5 * size * np.array([0, 0.7, 0.7])), "head", on_head=True, hair=True)


def tail(back: np.ndarray, top: np.ndarray, rng: np.random.Generator) -> Accessory:
    """Hair tied together, hanging behind. back, top: as for `bun`."""
    start = back + (top - back) * rng.uniform(-0.1, 0.6)
    length, thick = rng.uniform(0.1, 0.42), rng.uniform(0.018, 0.045)
    s = np.linspace(0, 1, 10)
    shape = lathe(np.stack([thick * np.sin(np.pi * (0.08 + 0.9 * s) ** 0.8) ** 0.5, -s * length], 1), 10)
    out = rng.uniform(0.02, 0.09) * np.repeat(np.sin(np.pi * np.minimum(s * 1.6, 1) / 2) - 0.35 * s, 10)
    shape.vertices[:, 1] += out
    shape.vertices[:, 0] += rng.normal(0, 0.03) * np.repeat(s**2, 10)
    near = np.linalg.norm(shape.vertices, axis=1) < 0.09
    faces = shape.faces[:, ::-1]  # the profile runs downwards
    return Accessory(Shape(shape.vertices + start, faces, shape.corner_uv[:, ::-1]), "head", on_head=near, hair=True)


def brim(forehead: np.ndarray, width: float, rng: np.random.Generator) -> Accessory:
    """The visor of a cap. forehead: [3] where it begins. width: m."""
    angle = np.linspace(0, np.pi, 11)
    reach = rng.uniform(0.05, 0.08)
    edge = np.stack([width * np.cos(angle), -reach * np.sin(angle), -0.018 * np.sin(angle)], 1)
    root = np.stack([width * np.cos(angle), 0.05 * np.ones(11), np.zeros(11)], 1)
    vertices = np.concatenate([root, edge]) + forehead
    k = np.arange(10)
    faces = np.concatenate([np.stack([k, k + 11, k + 12], 1), np.stack([k, k + 12, k + 1], 1)]).astype(np.int32)
    return Accessory(Shape(vertices, faces, np.zeros((len(faces), 3, 2))), "head", on_head=False)

"""Things: furniture, poles, pots, balls and cushions, that hide people, carry them, or are taken for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ddp_video.synthesis import materials as m
from ddp_video.synthesis.colours import cloth_colour
from ddp_video.synthesis.rotation import about_axis

_BOX_CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
_BOX_SIDES = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])
_BOX_FACES = np.array([[4 * i + k for k in t] for i in range(6) for t in ((0, 1, 2), (0, 2, 3))], np.int32)
_SIDE_UV = np.array([[0, 0], [0, 1], [1, 1], [1, 0.0]])


@dataclass
class Prop:
    """A thing standing on the ground: vertices [n, 3] in the world, local [n, 3] (for patterns), faces [F, 3], corner_uv
    [F, 3, 2], one material row and the id of its texture."""

    vertices: np.ndarray
    local: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray
    row: np.ndarray
    texture: int


@dataclass
class Shape:
    """vertices [n, 3], faces [F, 3], corner_uv [F, 3, 2]."""

    vertices: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray

    def moved(self, offset) -> Shape:
        """The same elsewhere."""
        return Shape(self.vertices + np.asarray(offset, float), self.faces, self.corner_uv)


def box(size, offset=(0.0, 0.0, 0.0)) -> Shape:
    """A box standing on the ground at `offset`; its sides do not share vertices, so that edges stay sharp."""
    size = np.asarray(size, float)
    vertices = (_BOX_CORNERS * size)[_BOX_SIDES].reshape(-1, 3) + offset
    return Shape(vertices, _BOX_FACES, _SIDE_UV[_BOX_FACES % 4] * max(size))


def lathe(profile: np.ndarray, segments: int = 20) -> Shape:
    """A surface of revolution: profile [k, 2] of (radius, height)."""
    ring, faces, around, ring_of = _lathe_net(len(profile), segments)
    radius, height = profile[:, :1, None], profile[:, 1:, None]
    vertices = (radius * ring + height * np.array([0, 0, 1.0])).reshape(-1, 3)
    return Shape(vertices, faces, np.stack([around, profile[ring_of, 1]], -1))


@lru_cache(maxsize=256)
def _lathe_net(rings: int, segments: int) -> tuple[np.ndarray, ...]:
    """What all lathed shapes of so many rings share: directions [segments, 3], faces, and of each corner of a face [F, 3]
    how far around it is (0..2) and its ring."""
    angle = np.linspace(0, 2 * math.pi, segments, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(segments)], -1)
    k, j = (grid.ravel()[:, None, None] for grid in np.mgrid[: rings - 1, :segments])
    right = np.array([[0, 1, 1], [0, 1, 0]])  # of the corners of the two triangles
    up = np.array([[0, 0, 1], [0, 1, 1]])
    turn, ring_of = (corner.reshape(-1, 3) for corner in (j + right, k + up))
    faces = ring_of * segments + turn % segments
    return ring, faces.astype(np.int32), 2 * turn / segments, ring_of


def ball(radius: float, centre=(0.0, 0.0, 0.0)) -> Shape:
    a = np.linspace(-math.pi / 2, math.pi / 2, 11)
    shape = lathe(radius * np.stack([np.cos(a), np.sin(a)], -1), 20)
    return shape.moved(centre)


def lump(rng: np.random.Generator, size) -> Shape:
    """A ball with bumps, of about `size` [3] m from its middle."""
    shape = ball(1.0)
    phase, wave = rng.uniform(0, 6.28, (4, 1)), rng.normal(0, 3.0, (4, 3))
    bumps = 1 + 0.13 * np.sin(wave @ shape.vertices.T + phase).sum(0)
    return Shape(shape.vertices * bumps[:, None] * np.asarray(size), shape.faces, shape.corner_uv)


def cushion(size, power: float = 0.35, offset=(0.0, 0.0, 0.0)) -> Shape:
    """A soft box (a superellipsoid) standing on the ground."""
    angle, height = np.linspace(0, 2 * math.pi, 24, endpoint=False), np.linspace(-math.pi / 2, math.pi / 2, 11)

    def rounded(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * np.abs(x) ** power

    shape = lathe(np.stack([rounded(np.cos(height)), 0.5 + 0.5 * rounded(np.sin(height))], -1), 24)
    flat = rounded(np.stack([np.cos(angle), np.sin(angle)], -1)) / 2
    rings = shape.vertices.reshape(len(height), 24, 3)
    radius = np.linalg.norm(rings[:, :1, :2], axis=-1, keepdims=True)
    rings = np.concatenate([radius * flat, rings[..., 2:]], -1)
    return Shape((rings * np.asarray(size)).reshape(-1, 3) + offset, shape.faces, shape.corner_uv)


def join(shapes: list[Shape]) -> Shape:
    start = np.cumsum([0, *(len(s.vertices) for s in shapes)])
    return Shape(
        np.concatenate([s.vertices for s in shapes]),
        np.concatenate([s.faces + np.int32(at) for s, at in zip(shapes, start, strict=False)]),
        np.concatenate([s.corner_uv for s in shapes]),
    )


def legs(width: float, depth: float, height: float, thick: float) -> list[Shape]:
    x, y = width / 2 - thick / 2, depth / 2 - thick / 2
    return [box((thick, thick, height), (sx * x, sy * y, 0)) for sx in (-1, 1) for sy in (-1, 1)]


def furniture(kind: str, rng: np.random.Generator) -> Shape:
    """One piece, centred at the origin, facing -y."""
    u = rng.uniform
    if kind == "table":
        w, d, h = u(0.6, 1.8), u(0.5, 0.9), u(0.45, 0.78)
        return join([box((w, d, 0.04), (0, 0, h - 0.04)), *legs(w, d, h - 0.04, u(0.03, 0.08))])
    if kind == "chair":
        w, h = u(0.38, 0.5), u(0.4, 0.5)
        back = box((w, 0.04, u(0.35, 0.6)), (0, w / 2 - 0.02, h))
        return join([box((w, w, 0.04), (0, 0, h - 0.04)), back, *legs(w, w, h - 0.04, u(0.025, 0.05))])
    if kind == "sofa":
        w, d, h = u(0.9, 2.2), u(0.7, 0.95), u(0.36, 0.46)
        seat, back = cushion((w, d, h), 0.2), cushion((w, 0.25, u(0.7, 0.95)), 0.2, (0, d / 2 - 0.12, 0))
        arms = [cushion((0.2, d, h + u(0.1, 0.25)), 0.25, (s * (w / 2 - 0.1), 0, 0)) for s in (-1, 1)]
        return join([seat, back, *arms])
    if kind == "shelf":
        w, d, h = u(0.5, 1.2), u(0.25, 0.4), u(0.6, 2.0)
        boards = [box((w, d, 0.03), (0, 0, z)) for z in np.linspace(0.05, h, rng.integers(2, 6))]
        return join([*boards, *(box((0.03, d, h + 0.03), (s * w / 2, 0, 0)) for s in (-1, 1))])
    if kind == "cabinet":
        return box((u(0.4, 1.4), u(0.35, 0.7), u(0.4, 2.0)))
    if kind == "cushion":
        return cushion((u(0.3, 0.7), u(0.3, 0.7), u(0.12, 0.45)), u(0.25, 0.6))
    if kind == "pole":
        r, h = u(0.02, 0.09), u(1.0, 3.5)
        return lathe(np.array([(r * 3, 0), (r * 3, 0.02), (r, 0.05), (r, h), (0, h)]), 10)
    if kind == "tripod":
        h, spread = u(0.9, 1.6), u(0.3, 0.5)
        shapes = [box((0.12, 0.16, 0.12), (0, 0, h))]
        for k in range(3):
            angle = 2 * math.pi * k / 3
            leg = box((0.03, 0.03, math.hypot(h, spread)))
            tilt = about_axis("Z", angle) @ about_axis("Y", -math.atan2(spread, h))
            leg.vertices = leg.vertices @ tilt.T + [spread * math.cos(angle), spread * math.sin(angle), 0]
            shapes.append(leg)
        return join(shapes)
    if kind == "ball":
        r = u(0.05, 0.35)
        return ball(r, (0, 0, r))
    # a pot, bottle, lamp or figure: a random smooth profile
    h, steps = u(0.2, 1.8), 14
    knots = u(0.1, 0.5, 6) * h * u(0.3, 0.8)
    radius = np.interp(np.linspace(0, 5, steps), range(6), knots)
    radius = np.convolve(np.pad(radius, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    return lathe(np.concatenate([np.stack([radius, np.linspace(0, h, steps)], -1), [(0, h)]]), 18)


KINDS = ("table", "chair", "sofa", "shelf", "cabinet", "cushion", "pole", "tripod", "ball", "pot")


def place(shape: Shape, rng: np.random.Generator, at, yaw: float, textures: dict[str, list[int]]) -> Prop:
    """Stand a shape on the ground at (x, y) or hold it at (x, y, z), turned by yaw, in a random finish."""
    row = np.zeros(m.COLUMNS, np.float32)
    row[m.SPECULAR], row[m.SHININESS] = rng.uniform(0, 0.12), 15
    row[m.UPPER : m.UPPER + 3], row[m.UPPER + 3 : m.UPPER + 6] = cloth_colour(rng), cloth_colour(rng)
    row[m.UPPER + m.PATTERN] = rng.integers(1, m.NUM_PATTERNS) if rng.random() < 0.25 else m.SOLID
    row[m.UPPER + m.FREQUENCY] = rng.uniform(8, 80)
    finish = rng.choice(["plain", "wood", "cloth", "photo"], p=[0.4, 0.3, 0.2, 0.1])
    texture = 0
    if finish == "plain":
        row[m.KIND] = m.PLAIN
    else:
        row[m.KIND] = m.PICTURE
        row[m.TONE : m.TONE + 3] = rng.uniform(0.5, 1.15) * rng.uniform(0.9, 1.1, 3)
        texture = int(rng.choice(textures[finish]))
    return stand(shape, row, texture, at, yaw)


def stand(shape: Shape, row: np.ndarray, texture: int, at, yaw: float) -> Prop:
    """A shape of one material on the ground at (x, y) or held at (x, y, z), turned by yaw."""
    position = np.zeros(3)
    position[: len(at)] = at
    vertices = shape.vertices @ about_axis("Z", yaw).T + position
    return Prop(
        vertices.astype(np.float32),
        shape.vertices.astype(np.float32),
        shape.faces,
        shape.corner_uv.astype(np.float32),
        row,
        texture,
    )

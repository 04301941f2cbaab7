"""Trees and bushes: trunks, and lumps of leaves."""

from __future__ import annotations

import math

import numpy as np

from ddp_video.synthesis import materials as m
from ddp_video.synthesis.props import Prop, Shape, join, lathe, lump, stand


def _lump(rng: np.random.Generator, radius: float) -> Shape:
    """Leaves; their texture is repeated about once in 0.7 m."""
    shape = lump(rng, radius * rng.uniform(0.75, 1.25, 3))
    return Shape(shape.vertices, shape.faces, shape.corner_uv * 1.4 * radius)


def _material(rng: np.random.Generator) -> np.ndarray:
    row = np.zeros(m.COLUMNS, np.float32)
    row[m.KIND] = m.PICTURE
    row[m.TONE : m.TONE + 3] = rng.uniform(0.45, 1.2) * rng.uniform(0.85, 1.15, 3)
    return row


def bush(rng: np.random.Generator, at, leaves: list[int]) -> list[Prop]:
    """A bush or a piece of hedge on the ground at (x, y); leaves: image ids."""
    size, parts = rng.uniform(0.3, 1.0), rng.integers(1, 5)
    lumps = [
        _lump(rng, size).moved([*rng.normal(0, 0.6 * size, 2), size * rng.uniform(0.3, 0.8)]) for _ in range(parts)
    ]
    return [stand(join(lumps), _material(rng), int(rng.choice(leaves)), at, 0.0)]


def tree(rng: np.random.Generator, at, leaves: list[int], bark: list[int]) -> list[Prop]:
    """A tree on the ground at (x, y); leaves, bark: image ids."""
    height, radius = rng.uniform(1.6, 3.5), rng.uniform(0.07, 0.3)
    crown = rng.uniform(0.9, 2.2)
    rings = np.linspace(0, 1, 6)
    wide = radius * (1 + 0.6 * (1 - rings) ** 4 - 0.35 * rings)
    trunk = lathe(np.stack([wide, rings * (height + 0.5 * crown)], 1), 9)
    lean = rng.normal(0, 0.12, 2)
    trunk.vertices[:, :2] += trunk.vertices[:, 2:] ** 2 / height * lean
    limbs = []
    for _ in range(rng.integers(0, 4)):
        way = rng.uniform(0, 2 * math.pi)
        limb = lathe(np.array([(0.4 * radius, 0), (0.25 * radius, crown), (0, crown)]), 6)
        limb.vertices[:, :2] += limb.vertices[:, 2:] * np.array([math.cos(way), math.sin(way)]) * rng.uniform(0.4, 1.2)
        limbs.append(limb.moved([0, 0, height * rng.uniform(0.5, 0.9)]))
    lumps = [
        _lump(rng, 0.6 * crown).moved([*rng.normal(0, 0.5 * crown, 2), height + rng.uniform(0.2, 1.0) * crown])
        for _ in range(rng.integers(3, 8))
    ]
    return [
        stand(join([trunk, *limbs]), _material(rng), int(rng.choice(bark)), at, 0.0),
        stand(join(lumps), _material(rng), int(rng.choice(leaves)), at, 0.0),
    ]

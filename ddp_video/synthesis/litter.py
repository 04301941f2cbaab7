"""What lies and stands about on the ground: clothes, heaps of cloth, bags, stones, paper, cones, bollards, bins and signs.

From above and afar they are as large as people, as coloured, and as unlike the ground; clothes have arms and legs as well.
"""

from __future__ import annotations

import math

import numpy as np

from ddp_video.synthesis.finishes import plain
from ddp_video.synthesis.props import Prop, Shape, box, cushion, join, lathe, lump, place, stand

KINDS = ("clothes", "heap", "bag", "stone", "paper", "cone", "bollard", "bin", "sign")
_SIGNAL = np.array([(0.1, 0.35, 0.95), (0.1, 0.75, 0.95), (0.15, 0.15, 0.8), (0.2, 0.7, 0.3), (0.7, 0.35, 0.1)])  # BGR


def _heap(rng: np.random.Generator) -> Shape:
    """Clothes, a blanket or a sack thrown down: lumps in a row, half sunk into the ground."""
    count, size = rng.integers(1, 5), rng.uniform(0.12, 0.45)
    lumps = []
    for k in range(count):
        flat = size * rng.uniform((0.6, 0.4, 0.2), (1.3, 1.0, 0.6))
        lumps.append(
            lump(rng, flat).moved((1.1 * size * (k - (count - 1) / 2), rng.normal(0, 0.3 * size), 0.5 * flat[2]))
        )
    return join(lumps)


def _dropped(rng: np.random.Generator, garment: Shape) -> Shape:
    """A garment (as worn, z up) as it falls: flat on its back or front, crumpled, its limbs anyhow."""
    points = garment.vertices - garment.vertices.mean(0)
    across, deep, along = points.T * rng.uniform((0.7, 0.15, 0.5), (1.1, 0.5, 1.0))[:, None]
    side = rng.choice([-1, 1])
    flat = np.stack([side * across, along, -side * deep], -1)
    for least, most, size in ((0.7, 1.6, 0.12), (0.2, 0.5, 0.03)):  # of waves, m: bent limbs, folds
        wave = 2 * math.pi / rng.uniform(least, most, 3)
        phase = rng.uniform(0, 2 * math.pi, 3)
        flat += rng.uniform(0, size) * np.sin(flat[:, [1, 0, 0]] * wave + phase) * (1, 1, 0.5)
    flat[:, 2] -= np.quantile(flat[:, 2], 0.1)
    return Shape(np.maximum(flat, (-np.inf, -np.inf, 0.0)), garment.faces, garment.corner_uv)


def _upright(rng: np.random.Generator, profile, height: float) -> Shape:
    """A surface of revolution through points of (radius, height), in shares of its height, about so wide."""
    return lathe(height * np.array(profile) * [rng.uniform(0.7, 1.3), 1], 12)


def _bright(rng: np.random.Generator) -> np.ndarray:
    return plain(rng.choice(_SIGNAL) * rng.uniform(0.6, 1.1), rng.uniform(0, 0.2), 15)


def _grey(rng: np.random.Generator) -> np.ndarray:
    return plain(rng.uniform(0.2, 0.95) * rng.uniform(0.85, 1.0, 3), rng.uniform(0, 0.1), 10)


def lying_about(
    rng: np.random.Generator, kind: str, at, textures: dict[str, list[int]], garments: list[Shape]
) -> list[Prop]:
    """A thing of one of KINDS on the ground at (x, y), of one or two materials.

    textures: image ids by finish. garments: what clothes there are, as worn.
    """
    u, yaw = rng.uniform, rng.uniform(0, 2 * math.pi)
    if kind in ("clothes", "heap", "bag", "bin"):
        if kind == "clothes":
            shape = _dropped(rng, garments[rng.integers(len(garments))])
            if u() < 0.4:  # for roadworks and sport
                return [stand(shape, _bright(rng), 0, at, yaw)]
        elif kind == "heap":
            shape = _heap(rng)
        elif kind == "bag":
            shape = cushion((u(0.25, 0.6), u(0.15, 0.35), u(0.2, 0.5)), u(0.3, 0.6))
        else:
            shape = _upright(rng, [(0.2, 0), (0.27, 0.85), (0.28, 0.9), (0.2, 1), (0, 1)], u(0.6, 1.2))
        return [place(shape, rng, at, yaw, textures)]
    if kind == "stone":
        size = u(0.1, 0.4)
        parts = [(lump(rng, size * u(0.6, 1.2, 3)).moved((0, 0, 0.4 * size)), _grey(rng))]
    elif kind == "paper":
        parts = [(lump(rng, (u(0.1, 0.3), u(0.1, 0.2), u(0.02, 0.08))).moved((0, 0, 0.03)), _grey(rng))]
    elif kind == "cone":
        high = u(0.35, 0.9)
        body = lathe(high * np.array([(0.25, 0.03), (0.05, 1), (0, 1)]), 12)
        band = lathe(high * np.array([(0.21, 0.36), (0.155, 0.58)]), 12)
        foot = box((0.65 * high, 0.65 * high, 0.04 * high))
        parts = [(join([body, foot]), _bright(rng)), (band, _grey(rng))]
    elif kind == "bollard":
        post = _upright(rng, [(0.12, 0), (0.1, 0.8), (0.11, 0.95), (0.06, 1), (0, 1)], u(0.4, 1.1))
        parts = [(post, _grey(rng) if rng.random() < 0.6 else _bright(rng))]
    else:
        high, wide = u(0.8, 2.4), u(0.25, 0.8)
        post = lathe(np.array([(0.03, 0), (0.03, high), (0, high)]), 8)
        parts = [(post, _grey(rng)), (box((wide, 0.03, wide * u(0.5, 1.5)), (0, -0.05, 0.7 * high)), _bright(rng))]
    return [stand(shape, row, 0, at, yaw) for shape, row in parts]

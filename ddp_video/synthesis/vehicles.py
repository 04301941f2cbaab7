"""Cars and vans: what stands in streets, and is taken for people by those who have never seen one."""

from __future__ import annotations

import math

import numpy as np

from ddp_video.synthesis.colours import cloth_colour
from ddp_video.synthesis.finishes import plain
from ddp_video.synthesis.props import Prop, Shape, box, join, lathe, stand


def _extruded(outline: np.ndarray, width: float, narrower: np.ndarray) -> Shape:
    """A side view outline [k, 2] of (x, z), clockwise and star-shaped about its mean, drawn out to `width` along y.

    narrower: [k] m by which either side draws in at each point of the outline.
    """
    count = len(outline)
    middle = outline.mean(0)
    sides = []
    for sign in (-1, 1):
        y = sign * (width / 2 - narrower)
        sides.append(np.stack([outline[:, 0], y, outline[:, 1]], 1))
    near, far = sides
    k = np.arange(count)
    n = (k + 1) % count
    # each quad of the skirting and each side has vertices of its own, so that edges stay sharp
    quads = np.stack([near[k], far[k], far[n], near[n]], 1).reshape(-1, 3)
    quad_faces = (4 * k[:, None, None] + np.array([[0, 2, 1], [0, 3, 2]])).reshape(-1, 3)
    centres = [np.array([[middle[0], side[:, 1].mean(), middle[1]]]) for side in sides]
    vertices = np.concatenate([quads, near, centres[0], far, centres[1]])
    start = 4 * count
    near_faces = np.stack([start + n, start + k, np.full(count, start + count)], 1)
    start += count + 1
    far_faces = np.stack([start + k, start + n, np.full(count, start + count)], 1)
    faces = np.concatenate([quad_faces, near_faces, far_faces]).astype(np.int32)
    return Shape(vertices, faces, np.zeros((len(faces), 3, 2)))


def _wheel(radius: float, width: float) -> Shape:
    shape = lathe(np.array([(0, -width / 2), (radius, -width / 2), (radius, width / 2), (0, width / 2)]), 14)
    return Shape(shape.vertices[:, [0, 2, 1]] * [1, -1, 1], shape.faces, shape.corner_uv)  # about y


def car(rng: np.random.Generator, at, yaw: float) -> list[Prop]:
    """A car or van on the ground at (x, y), its length along x at yaw 0: paint, glass, tyres and lamps."""
    u = rng.uniform
    van = rng.random() < 0.2
    length, width, height = u(3.6, 4.8), u(1.62, 1.85), u(1.9, 2.3) if van else u(1.38, 1.7)
    belt, bonnet, boot = u(0.85, 0.95), u(0.7, 0.85), u(0.2, 0.46)
    end = length / 2
    low, radius = u(0.2, 0.3), u(0.29, 0.35)
    front = -0.42 * length if van else -0.2 * length
    hull = [(-end, low), (-end + 0.03, bonnet - 0.12), (-end + 0.2, bonnet), (front, belt)]
    hull += [(boot * length, belt + 0.04), (end - 0.05, belt), (end, 0.5), (end - 0.04, low)]
    top = height - 0.04
    cabin = np.array(
        [
            (front - 0.05, belt - 0.03),
            (front + 0.14 * length, top),
            (boot * length - 0.5, top),
            (boot * length + 0.1, belt),
        ]
    )
    roof = cabin[[1, 2]]
    roof = np.array([roof[0] - [0.1, 0.02], roof[0] + [0, 0.05], roof[1] + [0, 0.05], roof[1] + [0.12, -0.02]])
    pillar = box((0.09, width - 0.3, height - belt), ((front + boot * length) / 2, 0, belt))
    paint = join(
        [
            _extruded(np.array(hull), width, np.array([0.1, 0.06, 0.06, 0.02, 0.02, 0.06, 0.08, 0.1])),
            _extruded(roof, width, np.full(4, 0.2)),
            pillar,
        ]
    )
    glass = _extruded(cabin, width, np.array([0.06, 0.2, 0.2, 0.06]))
    wheels = [
        _wheel(radius, 0.2).moved([x * 0.31 * length, y * (width / 2 - 0.11), radius]) for x in (-1, 1) for y in (-1, 1)
    ]
    hubs = [
        _wheel(0.6 * radius, 0.02).moved([x * 0.31 * length, y * (width / 2), radius]) for x in (-1, 1) for y in (-1, 1)
    ]
    lamps = [box((0.05, 0.3, 0.12), (-end + 0.02, s * (width / 2 - 0.3), bonnet - 0.28)) for s in (-1, 1)]
    colour = np.full(3, u(0.03, 0.95)) * u(0.92, 1.0, 3) if rng.random() < 0.65 else cloth_colour(rng)
    return [
        stand(shape, row, 0, at, yaw)
        for shape, row in (
            (paint, plain(colour, u(0.1, 0.5), 30)),
            (glass, plain(np.full(3, u(0.05, 0.25)), u(0.2, 0.7), 30)),
            (join(wheels), plain(np.full(3, 0.08), 0.03, 10)),
            (join([*hubs, *lamps]), plain(np.full(3, u(0.4, 0.9)), 0.3, 30)),
        )
    ]


def parked(rng: np.random.Generator, middle, yaw: float) -> list[list[Prop]]:
    """A row of one to four cars, one behind the other, around `middle` (x, y)."""
    along = np.array([math.cos(yaw), math.sin(yaw)])
    count = rng.integers(1, 5)
    gap = rng.uniform(5.2, 7.5)
    return [
        car(rng, np.asarray(middle) + along * gap * (k - (count - 1) / 2), yaw + math.pi * (rng.random() < 0.3))
        for k in range(count)
    ]

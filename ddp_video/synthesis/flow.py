"""Exact optical flow between two frames of a shot, and which pixels both of them see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.raster import interpolation

_SAME_DEPTH = 0.03  # relative difference up to which two depths count as one surface


@dataclass(frozen=True)
class View:
    """What flow needs of a rendered frame. ids: [H, W] triangle at each pixel's centre, -1 = backdrop. points: [n, 3] of all
    vertices (x, y px, 1 / z). depth: [H, W] m."""

    camera: Camera
    ids: np.ndarray
    points: np.ndarray
    depth: np.ndarray


@njit(cache=True, fastmath=True)
def _flow(
    ids,
    depth,
    faces,
    points,
    next_points,
    focal,
    rotation,
    position,
    next_focal,
    next_rotation,
    next_position,
    flow,
    z_next,
):
    """Fill flow [H, W, 2] px and z_next [H, W], the depth in the other frame of what each pixel shows (-1: behind it)."""
    height, width = depth.shape
    r = next_rotation
    for y in range(height):
        for x in range(width):
            t = ids[y, x]
            if t >= 0:  # the same point of the same triangle, wherever that went
                a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
                i1, i2, i3 = next_points[a, 2], next_points[b, 2], next_points[c, 2]
                if i1 <= 0 or i2 <= 0 or i3 <= 0:
                    z_next[y, x] = -1
                    continue
                w1, w2, w3, _ = interpolation(points, a, b, c, x + 0.5, y + 0.5)
                w1, w2, w3 = w1 / i1, w2 / i2, w3 / i3
                z = w1 + w2 + w3
                flow[y, x, 0] = (w1 * next_points[a, 0] + w2 * next_points[b, 0] + w3 * next_points[c, 0]) / z - x - 0.5
                flow[y, x, 1] = (w1 * next_points[a, 1] + w2 * next_points[b, 1] + w3 * next_points[c, 1]) / z - y - 0.5
                z_next[y, x] = z
                continue
            z = depth[y, x]  # the backdrop stands still: only the camera moves
            lx, ly = (x + 0.5 - width / 2) / focal * z, (y + 0.5 - height / 2) / focal * z
            wx = rotation[0, 0] * lx + rotation[0, 1] * ly + rotation[0, 2] * z + position[0] - next_position[0]
            wy = rotation[1, 0] * lx + rotation[1, 1] * ly + rotation[1, 2] * z + position[1] - next_position[1]
            wz = rotation[2, 0] * lx + rotation[2, 1] * ly + rotation[2, 2] * z + position[2] - next_position[2]
            nz = r[0, 2] * wx + r[1, 2] * wy + r[2, 2] * wz
            if nz <= 0.05:
                z_next[y, x] = -1
                continue
            flow[y, x, 0] = (r[0, 0] * wx + r[1, 0] * wy + r[2, 0] * wz) / nz * next_focal + width / 2 - x - 0.5
            flow[y, x, 1] = (r[0, 1] * wx + r[1, 1] * wy + r[2, 1] * wz) / nz * next_focal + height / 2 - y - 0.5
            z_next[y, x] = nz


@njit(cache=True, fastmath=True)
def _visible(flow, z_next, next_depth, out):
    height, width = next_depth.shape
    for y in range(height):
        for x in range(width):
            z, qx, qy = z_next[y, x], x + flow[y, x, 0], y + flow[y, x, 1]
            out[y, x] = False
            if z <= 0 or qx < 0 or qy < 0 or qx > width - 1 or qy > height - 1:
                continue
            x0, y0 = int(qx), int(qy)
            seen = True  # by all four pixels around the point: half-hidden ones cannot be trusted
            for dy in range(2):
                for dx in range(2):
                    other = next_depth[min(y0 + dy, height - 1), min(x0 + dx, width - 1)]
                    seen &= abs(other - z) < _SAME_DEPTH * z
            out[y, x] = seen


def displacement(first: View, camera: Camera, points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where what a view shows goes: [H, W, 2] float32 px (dx, dy), and its depth there [H, W] m, -1 = behind the camera.

    camera: from where it is seen then. points: [n, 3] all vertices then (x, y px, 1 / z).
    """
    height, width = first.depth.shape
    flow, z_next = np.zeros((height, width, 2), np.float32), np.empty((height, width), np.float32)
    own = first.camera
    _flow(
        first.ids, first.depth, faces, first.points, points, own.focal * height, own.rotation, own.position,
        camera.focal * height, camera.rotation, camera.position, flow, z_next,
    )  # fmt: skip
    return flow, z_next


def flow_between(first: View, second: View, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flow [H, W, 2] float32 px (dx, dy) from the first to the second frame, and where the second shows the same point
    [H, W] bool. The point at pixel p of the first frame lies at p + flow in the second."""
    flow, z_next = displacement(first, second.camera, second.points, faces)
    visible = np.empty(flow.shape[:2], np.bool_)
    _visible(flow, z_next, second.depth, visible)
    return flow, visible

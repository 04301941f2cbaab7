"""Visibility: a z-buffer over triangles. It keeps, per sample, the nearest triangle; everything else is interpolated later.

Screen coordinates are px of the buffer, (0, 0) the corner of the first sample, centres at +0.5, y down; depth is 1 / z.
A scene is drawn with `SUBSAMPLES` x `SUBSAMPLES` samples a pixel; the number is odd so that one of them is the pixel's centre,
where labels are read.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

SUBSAMPLES = 3
NEAR = 0.08  # m, what is nearer to the camera is not drawn
CULL_BACK, ALPHA_TEST = 1, 2  # flags of a triangle; the bits above hold its depth bias in 0.15 % steps
BIAS_SHIFT = 2


class Triangles(NamedTuple):
    """faces: [F, 3]. flags: [F]. corner_uv: [F, 3, 2]. material: [F], row of the texture table and of the materials.
    person: [F] 0 = a thing, else number of the person."""

    faces: np.ndarray
    flags: np.ndarray
    corner_uv: np.ndarray
    material: np.ndarray
    person: np.ndarray


class Textures(NamedTuple):
    """texels: [N, 4] uint8 BGRA of all images and their reductions in a row. table: [M, 2] start and side of the image
    that each material uses."""

    texels: np.ndarray
    table: np.ndarray


@njit(cache=True, fastmath=True)
def _project(vertices, rotation, position, focal, centre_x, centre_y, out):
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0] - position[0], vertices[i, 1] - position[1], vertices[i, 2] - position[2]
        depth = rotation[0, 2] * x + rotation[1, 2] * y + rotation[2, 2] * z
        inverse = 1 / depth if depth > NEAR else -1.0
        out[i, 0] = (rotation[0, 0] * x + rotation[1, 0] * y + rotation[2, 0] * z) * inverse * focal + centre_x
        out[i, 1] = (rotation[0, 1] * x + rotation[1, 1] * y + rotation[2, 1] * z) * inverse * focal + centre_y
        out[i, 2] = inverse


def project(
    vertices: np.ndarray, rotation: np.ndarray, position: np.ndarray, focal: float, centre: tuple[float, float]
) -> np.ndarray:
    """[n, 3] float32 (x, y, 1 / z) of world points; 1 / z < 0 marks points behind the camera.

    rotation: [3, 3], its columns right, down and forward in the world. focal, centre (x, y): px of the buffer.
    """
    out = np.empty((len(vertices), 3), np.float32)
    _project(vertices, rotation, position, focal, *centre, out)
    return out


@njit(cache=True, fastmath=True)
def _extent(points, out):
    """out (left, top, right, bottom) of the points ahead of the camera; whether there are any."""
    found = False
    for i in range(len(points)):
        if points[i, 2] <= 0:
            continue
        for k in range(2):
            out[k] = min(out[k], points[i, k]) if found else points[i, k]
            out[k + 2] = max(out[k + 2], points[i, k]) if found else points[i, k]
        found = True
    return found


def covered_region(points: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), px of a picture [H, W] outside which nothing of points [n, 3] (px of the buffer) lies."""
    extent = np.zeros(4)
    if not _extent(points, extent):
        return 0, 0, 0, 0
    left, top, right, bottom = extent / SUBSAMPLES
    height, width = shape
    return (
        *np.clip([top, bottom + 1], 0, height).astype(int).tolist(),
        *np.clip([left, right + 1], 0, width).astype(int).tolist(),
    )


@njit(cache=True, fastmath=True)
def rasterize(points, triangles, textures, depth, ids):
    """Draw projected vertices [n, 3] into depth (1 / z) and ids (index of the triangle), both [H, W]."""
    height, width = depth.shape
    faces, flags = triangles.faces, triangles.flags
    corner_uv, material = triangles.corner_uv, triangles.material
    texels, table = textures.texels, textures.table
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = points[a, 2], points[b, 2], points[c, 2]
        if za <= 0 or zb <= 0 or zc <= 0:
            continue
        xa, ya, xb, yb, xc, yc = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
        if area >= 0 and flags[f] & 1:  # y runs down: faces seen from outside have negative area
            continue
        if abs(area) < 1e-9:
            continue
        x0 = max(0, math.ceil(min(xa, xb, xc) - 0.5))
        x1 = min(width - 1, math.floor(max(xa, xb, xc) - 0.5))
        y0 = max(0, math.ceil(min(ya, yb, yc) - 0.5))
        y1 = min(height - 1, math.floor(max(ya, yb, yc) - 0.5))
        if x0 > x1 or y0 > y1:
            continue
        inverse = 1.0 / area
        step1x, step1y = (yb - yc) * inverse, (xc - xb) * inverse
        step2x, step2y = (yc - ya) * inverse, (xa - xc) * inverse
        px, py = x0 + 0.5, y0 + 0.5
        row1 = ((xb - px) * (yc - py) - (yb - py) * (xc - px)) * inverse
        row2 = ((xc - px) * (ya - py) - (yc - py) * (xa - px)) * inverse
        test_alpha = flags[f] & 2
        bias = 1.0 + 0.0015 * (flags[f] >> 2)
        for y in range(y0, y1 + 1):
            l1, l2 = row1, row2
            for x in range(x0, x1 + 1):
                l3 = 1.0 - l1 - l2
                if l1 >= -1e-6 and l2 >= -1e-6 and l3 >= -1e-6:
                    z = l1 * za + l2 * zb + l3 * zc
                    if z * bias > depth[y, x]:
                        solid = True
                        if test_alpha:
                            w1, w2, w3 = l1 * za / z, l2 * zb / z, l3 * zc / z
                            u = corner_uv[f, 0, 0] * w1 + corner_uv[f, 1, 0] * w2 + corner_uv[f, 2, 0] * w3
                            v = corner_uv[f, 0, 1] * w1 + corner_uv[f, 1, 1] * w2 + corner_uv[f, 2, 1] * w3
                            side = table[material[f], 1]
                            tx, ty = int(u * side) % side, int((1 - v) * side) % side
                            threshold = 40 + ((x % 3) * 2 + (y % 3) * 5) * 12  # dithered: soft ends of hair
                            solid = texels[table[material[f], 0] + ty * side + tx, 3] > threshold
                        if solid:
                            depth[y, x] = z * bias
                            ids[y, x] = f
                l1 += step1x
                l2 += step2x
            row1 += step1y
            row2 += step2y


@njit(cache=True, fastmath=True, forceinline=True)
def interpolation(points, a, b, c, px, py):
    """Perspective-correct shares of a triangle's vertices at a screen point, and 1 / z there."""
    xa, ya, xb, yb, xc, yc = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
    inverse = 1.0 / ((xb - xa) * (yc - ya) - (yb - ya) * (xc - xa))
    l1 = ((xb - px) * (yc - py) - (yb - py) * (xc - px)) * inverse
    l2 = ((xc - px) * (ya - py) - (yc - py) * (xa - px)) * inverse
    l3 = 1 - l1 - l2
    z = l1 * points[a, 2] + l2 * points[b, 2] + l3 * points[c, 2]
    return l1 * points[a, 2] / z, l2 * points[b, 2] / z, l3 * points[c, 2] / z, z


@njit(cache=True, fastmath=True, forceinline=True)
def strongest_part(part, part_weights, a, b, c, w1, w2, w3):
    """The part (0..13) that a point of a triangle belongs to; part: [n] the strongest of part_weights [n, 14]."""
    if part[a] == part[b] and part[a] == part[c]:
        return int(part[a])
    best, strongest = np.float32(-1.0), 0
    for k in range(part_weights.shape[1]):
        s = part_weights[a, k] * w1 + part_weights[b, k] * w2 + part_weights[c, k] * w3
        if s > best:
            best, strongest = s, k
    return strongest

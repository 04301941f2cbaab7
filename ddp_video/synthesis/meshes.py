"""Small kernels over triangle meshes."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True)
def _faces_inside(faces, inside, out):
    for f in range(len(faces)):
        out[f] = inside[faces[f, 0]] and inside[faces[f, 1]] and inside[faces[f, 2]]


def faces_inside(faces: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """[F] bool: faces [F, 3] of which all corners are `inside` [n] bool."""
    out = np.empty(len(faces), np.bool_)
    _faces_inside(faces, inside, out)
    return out


@njit(cache=True, fastmath=True)
def vertex_normals(vertices, faces, normals):
    """Unit normals [n, 3], area-weighted means of the faces around each vertex."""
    normals[:] = 0
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x1, y1, z1 = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        x2, y2, z2 = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for i in range(len(vertices)):
        length = math.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-12
        normals[i, 0] /= length
        normals[i, 1] /= length
        normals[i, 2] /= length


@njit(cache=True, fastmath=True)
def bind(index, weight, offset, scale, body, out):
    """out [n, 3] = offset * scale + mean of body [V, 3] vertices index [n, 3] with weights [n, 3]."""
    for i in range(len(index)):
        for k in range(3):
            out[i, k] = offset[i, k] * scale[k]
            for c in range(3):
                out[i, k] += weight[i, c] * body[index[i, c], k]


@njit(cache=True, fastmath=True)
def bounds(points):
    """Least and greatest coordinates [2, 3] of points [n, 3], n > 0; numpy needs ten times as long along the first axis."""
    out = np.empty((2, 3), points.dtype)
    for k in range(3):
        out[0, k] = out[1, k] = points[0, k]
    for i in range(len(points)):
        for k in range(3):
            out[0, k] = min(out[0, k], points[i, k])
            out[1, k] = max(out[1, k], points[i, k])
    return out

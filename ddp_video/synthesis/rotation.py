"""Rotations as matrices [..., 3, 3] and rotation vectors [..., 3] (axis times angle in radians), over whole arrays."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


def about_axis(axis: str, angle: np.ndarray | float) -> np.ndarray:
    """Rotation about 'X', 'Y' or 'Z' by radians [...]."""
    vector = np.zeros((*np.shape(angle), 3))
    vector[..., "XYZ".index(axis)] = angle
    return from_vector(vector)


@njit(cache=True)
def turn(x, y, z):
    """[3, 3] rotation about one vector by its length, by Rodrigues' formula."""
    angle = math.sqrt(x * x + y * y + z * z)
    first, second = 1.0, 0.5
    if angle > 1e-6:
        first, second = math.sin(angle) / angle, (1 - math.cos(angle)) / (angle * angle)
    out = np.empty((3, 3))
    out[0, 0] = 1 - second * (y * y + z * z)
    out[1, 1] = 1 - second * (x * x + z * z)
    out[2, 2] = 1 - second * (x * x + y * y)
    out[0, 1], out[1, 0] = second * x * y - first * z, second * x * y + first * z
    out[0, 2], out[2, 0] = second * x * z + first * y, second * x * z - first * y
    out[1, 2], out[2, 1] = second * y * z - first * x, second * y * z + first * x
    return out


@njit(cache=True)
def _turns(vectors, out):
    for n in range(len(vectors)):
        out[n] = turn(vectors[n, 0], vectors[n, 1], vectors[n, 2])


def from_vector(vector: np.ndarray) -> np.ndarray:
    """`turn` for vectors [..., 3]."""
    vector = np.asarray(vector, np.float64)
    out = np.empty((*vector.shape, 3))
    _turns(np.ascontiguousarray(vector).reshape(-1, 3), out.reshape(-1, 3, 3))
    return out


@njit(cache=True)
def _quaternions(matrices, out):
    for n in range(len(matrices)):
        m, q = matrices[n], out[n]
        trace = m[0, 0] + m[1, 1] + m[2, 2]
        best, largest = 0, trace  # which of w, x, y, z is largest: dividing by it is stable at half turns
        for k in range(3):
            if m[k, k] > largest:
                best, largest = k + 1, m[k, k]
        if best == 0:
            q[0] = 1 + trace
            q[1], q[2], q[3] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
        else:
            i = best - 1
            j, k = (i + 1) % 3, (i + 2) % 3
            q[0], q[1 + i] = m[k, j] - m[j, k], 1 + 2 * m[i, i] - trace
            q[1 + j], q[1 + k] = m[i, j] + m[j, i], m[i, k] + m[k, i]
        length = math.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2 + q[3] ** 2)
        if q[0] < 0:
            length = -length
        for c in range(4):
            q[c] /= length


def to_quaternion(matrix: np.ndarray) -> np.ndarray:
    """[..., 4] (w, x, y, z) with w >= 0."""
    matrix = np.ascontiguousarray(matrix, np.float64)
    out = np.empty((*matrix.shape[:-2], 4))
    _quaternions(matrix.reshape(-1, 3, 3), out.reshape(-1, 4))
    return out


def to_vector(matrix: np.ndarray) -> np.ndarray:
    """Inverse of `from_vector`, angles in 0..pi."""
    quaternion = to_quaternion(matrix)
    x, y, z = quaternion[..., 1], quaternion[..., 2], quaternion[..., 3]
    sine = np.sqrt(x * x + y * y + z * z)
    scale = np.where(sine > 1e-9, 2 * np.arctan2(sine, quaternion[..., 0]) / np.maximum(sine, 1e-9), 2.0)
    return quaternion[..., 1:] * scale[..., None]


def power(matrix: np.ndarray, exponent: float | np.ndarray) -> np.ndarray:
    """The same turn, by a fraction of its angle."""
    return from_vector(to_vector(matrix) * np.asarray(exponent)[..., None])


def slerp(first: np.ndarray, second: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """From first (t = 0) to second (t = 1) at constant speed."""
    return first @ power(np.swapaxes(first, -1, -2) @ second, t)


def swing(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes direction `source` to direction `target` ([..., 3], any length)."""
    source = source / np.linalg.norm(source, axis=-1, keepdims=True)
    target = target / np.linalg.norm(target, axis=-1, keepdims=True)
    axis = np.cross(source, target)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (source * target).sum(-1, keepdims=True))
    # for opposite directions every perpendicular axis is as good
    other = np.cross(source, np.where(np.abs(source[..., 2:]) < 0.9, [0, 0, 1.0], [1.0, 0, 0]))
    axis = np.where(sine > 1e-8, axis, other)
    return from_vector(axis / np.linalg.norm(axis, axis=-1, keepdims=True) * angle)


def twist_about(matrix: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part [..., 3, 3] of a rotation that turns about unit `axis`: matrix = swing @ twist."""
    quaternion = to_quaternion(matrix)
    angle = 2 * np.arctan2((quaternion[..., 1:] * axis).sum(-1), quaternion[..., 0])
    return from_vector(axis * angle[..., None])

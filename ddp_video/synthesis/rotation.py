"""Rotations as matrices [..., 3, 3] and rotation vectors [..., 3] (axis times angle in radians), over whole arrays."""

from __future__ import annotations

import numpy as np


def about_axis(axis: str, angle: np.ndarray | float) -> np.ndarray:
    """Rotation about 'X', 'Y' or 'Z' by radians [...]."""
    vector = np.zeros((*np.shape(angle), 3))
    vector[..., "XYZ".index(axis)] = angle
    return from_vector(vector)


def from_vector(vector: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    vector = np.asarray(vector, np.float64)
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([np.stack(r, -1) for r in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], -2)
    first = np.sinc(angle / np.pi)  # sin(a) / a
    second = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2  # (1 - cos(a)) / a^2
    return np.eye(3) + first * cross + second * (cross @ cross)


def to_quaternion(matrix: np.ndarray) -> np.ndarray:
    """[..., 4] (w, x, y, z) with w >= 0, from the largest column of the symmetric 4x4 form (stable at half turns)."""
    m = np.asarray(matrix, np.float64)
    d = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], -1)
    trace = d.sum(-1)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    p, q, r = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    k = np.stack(
        [
            np.stack([1 + trace, a, b, c], -1),
            np.stack([a, 1 + 2 * d[..., 0] - trace, p, q], -1),
            np.stack([b, p, 1 + 2 * d[..., 1] - trace, r], -1),
            np.stack([c, q, r, 1 + 2 * d[..., 2] - trace], -1),
        ],
        -2,
    )
    best = np.einsum("...ii->...i", k).argmax(-1)
    quaternion = np.take_along_axis(k, best[..., None, None], -2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def to_vector(matrix: np.ndarray) -> np.ndarray:
    """Inverse of `from_vector`, angles in 0..pi."""
    quaternion = to_quaternion(matrix)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    return quaternion[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)


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

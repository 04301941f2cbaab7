"""Geodesics on surfaces whose distances are known."""

import numpy as np
import pytest

from ddp_video.metrics.surface import (
    distances_from,
    nearest,
    refined_graph,
    sample_surface,
    spread_points,
    visibility,
)


def grid_mesh(rows, columns):
    """A flat unit-spaced sheet of triangles: vertices [rows * columns, 3] and faces."""
    y, x = np.divmod(np.arange(rows * columns), columns)
    corner = (y[:, None] * columns + x[:, None])[(x < columns - 1) & (y < rows - 1)]
    faces = np.concatenate([corner + np.array([0, 1, columns]), corner + np.array([1, columns + 1, columns])])
    return np.stack([x, y, 0 * x], axis=1).astype(float), faces


def sphere_mesh(rows=24, columns=48, radius=1.0):
    vertices, faces = grid_mesh(rows, columns + 1)
    around, polar = vertices[:, 0] / columns * 2 * np.pi, vertices[:, 1] / (rows - 1) * np.pi
    xyz = radius * np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=1)
    _, first, merged = np.unique(xyz.round(6), axis=0, return_index=True, return_inverse=True)
    faces = merged.ravel()[faces]
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return xyz[first], faces[distinct]


def test_flat_sheet_has_straight_distances():
    vertices, faces = grid_mesh(12, 15)
    positions, graph = refined_graph(vertices, faces)
    got = distances_from(graph, np.array([0]))[0]
    straight = np.linalg.norm(positions - positions[0], axis=1)
    assert (got >= straight - 1e-6).all()
    np.testing.assert_allclose(got[1:], straight[1:], rtol=0.05)
    assert (got[1:] / straight[1:]).mean() < 1.02


def test_folded_sheet_is_walked_not_cut_across():
    vertices, faces = grid_mesh(11, 21)
    folded = vertices.copy()
    folded[:, 0], folded[:, 2] = np.minimum(vertices[:, 0], 10), np.maximum(vertices[:, 0] - 10, 0)
    _, graph = refined_graph(folded, faces)
    _, flat = refined_graph(vertices, faces)
    np.testing.assert_allclose(distances_from(graph, np.array([5])), distances_from(flat, np.array([5])), rtol=1e-6)


def test_sphere_has_great_circles():
    vertices, faces = sphere_mesh()
    _, graph = refined_graph(vertices, faces)
    got = distances_from(graph, np.array([7]))[0][: len(vertices)]
    arc = np.arccos(np.clip(vertices @ vertices[7], -1, 1))
    far = arc > 0.3
    np.testing.assert_allclose(got[far], arc[far], rtol=0.03)
    assert (got[far] / arc[far]).mean() == pytest.approx(1, abs=0.01)


def test_beyond_the_limit_is_infinite():
    _, graph = refined_graph(*grid_mesh(3, 20))
    got = distances_from(graph, np.array([0]), limit=5.0)[0][:60]
    assert np.isinf(got[19]) and np.isfinite(got[3])


def test_landmarks_follow_the_wanted_spacing():
    points = np.random.default_rng(0).random((20000, 3)) * [2, 1, 0]
    spacing = np.where(points[:, 0] < 1, 1.0, 2.0)
    chosen = points[spread_points(points, 500, spacing)]
    dense, sparse = (chosen[:, 0] < 1).sum(), (chosen[:, 0] >= 1).sum()
    assert dense / sparse == pytest.approx(4, rel=0.15)


def test_inside_is_not_visible():
    rng = np.random.default_rng(0)
    shells = []
    for radius in (1.0, 0.5):
        vertices, faces = sphere_mesh(radius=radius)
        face, weight = sample_surface(vertices, faces, 150000, rng)
        shells.append(np.einsum("pcx,pc->px", vertices[faces[face]], weight))
    outer, inner = shells
    scene = np.concatenate(shells)
    assert visibility(inner[:500], scene, 8, cell=0.04).max() == 0
    assert visibility(outer[:500], scene, 8, cell=0.04).mean() > 0.3


def test_nearest_is_the_nearest():
    points, candidates = np.random.default_rng(0).random((2, 50, 3))
    apart = np.linalg.norm(points[:, None] - candidates[None], axis=2)
    assert (nearest(points, candidates) == apart.argmin(axis=1)).all()

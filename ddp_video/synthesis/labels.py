"""Exact labels at pixel centres: person, chart and (u, v), depth, and the keypoints' visibility."""

from __future__ import annotations

import numpy as np
from numba import njit

from ddp_video.synthesis.charts import chart_uv
from ddp_video.synthesis.raster import SUBSAMPLES, interpolation, strongest_part

# How far behind the visible surface a joint may lie and still count as visible (m, for a person of 1.7 m).
_DEPTH_INSIDE = np.array(
    [0.035, 0.03, 0.03, 0.035, 0.035, 0.12, 0.12, 0.075, 0.075, 0.06, 0.06, 0.16, 0.16, 0.09, 0.09, 0.075, 0.075]
)


@njit(cache=True, fastmath=True)
def label_pixels(ids, region, points, triangles, surface, dense, charts, person, part, uv, depth):
    """Fill person, part [H, W] uint8, uv [H, W, 2] float32 and depth [H, W] (z, m; unchanged where nothing is drawn).

    ids: [3H, 3W] from `rasterize`; the middle one of the 3x3 samples of a pixel lies at its centre. region: (top, bottom,
    left, right) outside which nothing is drawn. dense: [n] 1 where dense pose covers the vertex.
    """
    canonical = surface.canonical
    half = SUBSAMPLES // 2
    faces = triangles.faces
    for y in range(region[0], region[1]):
        for x in range(region[2], region[3]):
            t = ids[y * SUBSAMPLES + half, x * SUBSAMPLES + half]
            if t < 0:
                continue
            a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
            centre_x, centre_y = (x + 0.5) * SUBSAMPLES, (y + 0.5) * SUBSAMPLES
            w1, w2, w3, z = interpolation(points, a, b, c, centre_x, centre_y)
            depth[y, x] = 1 / z
            person[y, x] = triangles.person[t]
            if triangles.person[t] == 0 or dense[a] * w1 + dense[b] * w2 + dense[c] * w3 < 0.5:
                continue
            k = strongest_part(surface.part, surface.part_weights, a, b, c, w1, w2, w3)
            i, u, v = chart_uv(
                charts,
                k,
                canonical[a, 0] * w1 + canonical[b, 0] * w2 + canonical[c, 0] * w3,
                canonical[a, 1] * w1 + canonical[b, 1] * w2 + canonical[c, 1] * w3,
                canonical[a, 2] * w1 + canonical[b, 2] * w2 + canonical[c, 2] * w3,
            )
            part[y, x], uv[y, x, 0], uv[y, x, 1] = i, u, v


def keypoint_labels(
    joints: np.ndarray, number: int, height: float, person: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """[17, 3] float32 (x, y px, visibility: 0 outside the image, 1 hidden, 2 visible).

    joints: [17, 3] projected (x, y, 1 / z). number: of this person in the map `person`. height: of the person, m.
    """
    out = np.concatenate([joints[:, :2], np.zeros((17, 1))], axis=1).astype(np.float32)
    inside = (joints[:, 2] > 0) & (joints[:, :2] >= 0).all(1) & (joints[:, :2] < person.shape[::-1]).all(1)
    x, y = np.where(inside[:, None], joints[:, :2], 0).astype(int).T
    behind = np.abs(1 / np.where(inside, joints[:, 2], 1) - depth[y, x]) < _DEPTH_INSIDE * height / 1.7
    out[:, 2] = np.where(inside, np.where((person[y, x] == number) & behind, 2, 1), 0)
    return out

"""Light that falls on a scene, and what keeps it off: cast shadows and the leaves of trees."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit


class Lighting(NamedTuple):
    """lights: [L, 7] direction to the light (3), RGB strength (3), wrap 0..1; the first casts shadows. ambient: [2, 3] RGB
    from above and below. shadow_map: [R, R] depth towards the first light, 0 = nothing. to_shadow: [3, 4], world -> (column,
    row, depth) of the map. shadow_bias: m. shadow_strength: 0 = none. stains: [64, 64] smooth noise. dapple: size of the patches
    of light under trees, 1 / m, 0 = no trees."""

    lights: np.ndarray
    ambient: np.ndarray
    shadow_map: np.ndarray
    to_shadow: np.ndarray
    shadow_bias: float
    shadow_strength: float
    stains: np.ndarray
    dapple: float


@njit(cache=True, fastmath=True, forceinline=True)
def stain_at(stains, x, y):
    """Smooth noise 0..1 on a plane, bilinear, repeating every unit."""
    side = stains.shape[0]
    x, y = (x - math.floor(x)) * side, (y - math.floor(y)) * side
    i, j = int(x), int(y)
    fx, fy = x - i, y - j
    i, j = i % side, j % side
    i1, j1 = (i + 1) % side, (j + 1) % side
    low = stains[i, j] * (1 - fy) + stains[i, j1] * fy
    return (low * (1 - fx) + (stains[i1, j] * (1 - fy) + stains[i1, j1] * fy) * fx) * (1 / 127.0)


@njit(cache=True, fastmath=True, forceinline=True)
def _through_leaves(lighting, x, y, z):
    """Share 0..1 of the first light that leaves above let through to a world point."""
    light = lighting.lights[0]
    x, y = x - z * light[0] / light[2], y - z * light[1] / light[2]
    return 0.2 + 0.8 * min(
        max((stain_at(lighting.stains, x * lighting.dapple, y * lighting.dapple) - 0.45) * 6, 0.0), 1.0
    )


@njit(cache=True, fastmath=True, forceinline=True)
def shadow_at(lighting, x, y, z, bias):
    """Share 0..1 of the first light that reaches a world point, from a 2x2 look-up."""
    if lighting.shadow_strength <= 0:
        return 1.0
    open_share = _through_leaves(lighting, x, y, z) if lighting.dapple > 0 else 1.0
    t = lighting.to_shadow
    depth = t[2, 0] * x + t[2, 1] * y + t[2, 2] * z + t[2, 3] + bias
    column = t[0, 0] * x + t[0, 1] * y + t[0, 2] * z + t[0, 3]
    row = t[1, 0] * x + t[1, 1] * y + t[1, 2] * z + t[1, 3]
    size = lighting.shadow_map.shape[0]
    hidden = 0
    for dy in range(2):
        for dx in range(2):
            i, j = int(row + dy * 1.5 - 0.75), int(column + dx * 1.5 - 0.75)
            if 0 <= i < size and 0 <= j < size and lighting.shadow_map[i, j] > max(depth, 0.0):
                hidden += 1
    return open_share * (1 - 0.25 * hidden * lighting.shadow_strength)

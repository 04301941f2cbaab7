"""Motion blur from the true motion of every pixel: people, things and the camera, while the shutter is open.

The reconstruction filter of McGuire et al. (2012): a pixel gathers along the strongest motion of its neighbourhood what moves
over it, and what it uncovers. The picture's labels are those of the middle of the exposure.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numba import njit

_TILE = 16  # px; motion reaches at most over the neighbouring tiles
_LONGEST = 2 * _TILE
_LEAST = 0.7  # px, shorter smears are not seen
_STEPS = 11


@njit(cache=True, fastmath=True)
def _gather(light, depth, motion, strongest, out):
    height, width = depth.shape
    for y in range(height):
        for x in range(width):
            vx, vy = strongest[y // _TILE, x // _TILE, 0], strongest[y // _TILE, x // _TILE, 1]
            if vx * vx + vy * vy < _LEAST * _LEAST:
                for k in range(3):
                    out[y, x, k] = light[y, x, k]
                continue
            own = 0.5 * math.sqrt(motion[y, x, 0] ** 2 + motion[y, x, 1] ** 2)
            blue = green = red = 0.0
            for step in range(_STEPS):
                share = step / (_STEPS - 1) - 0.5
                i = min(max(math.floor(y + share * vy + 0.5), 0), height - 1)
                j = min(max(math.floor(x + share * vx + 0.5), 0), width - 1)
                reach = own  # of what lies behind, only what this pixel uncovers
                if depth[i, j] < depth[y, x] * 1.03:
                    reach = 0.5 * math.sqrt(motion[i, j, 0] ** 2 + motion[i, j, 1] ** 2)
                if (i - y) ** 2 + (j - x) ** 2 > (reach + 0.5) ** 2:
                    i, j = y, x  # that never comes here: at this moment the pixel shows what it shows now
                blue += light[i, j, 0]
                green += light[i, j, 1]
                red += light[i, j, 2]
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = blue / _STEPS, green / _STEPS, red / _STEPS


@njit(cache=True, fastmath=True)
def _strongest_motion(motion, out):
    """out [tiles, tiles, 2]: the longest motion within each tile."""
    for y in range(motion.shape[0]):
        for x in range(motion.shape[1]):
            i, j = y // _TILE, x // _TILE
            if motion[y, x, 0] ** 2 + motion[y, x, 1] ** 2 > out[i, j, 0] ** 2 + out[i, j, 1] ** 2:
                out[i, j, 0], out[i, j, 1] = motion[y, x, 0], motion[y, x, 1]


@njit(cache=True, fastmath=True)
def _strongest_around(tiles, out):
    """The longest motion of each tile and its neighbours."""
    rows, columns = tiles.shape[:2]
    for i in range(rows):
        for j in range(columns):
            for a in range(max(i - 1, 0), min(i + 2, rows)):
                for b in range(max(j - 1, 0), min(j + 2, columns)):
                    if tiles[a, b, 0] ** 2 + tiles[a, b, 1] ** 2 > out[i, j, 0] ** 2 + out[i, j, 1] ** 2:
                        out[i, j, 0], out[i, j, 1] = tiles[a, b, 0], tiles[a, b, 1]


def smear(light: np.ndarray, depth: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Linear light [H, W, 3] as the open shutter gathers it.

    depth: [H, W] m. motion: [H, W, 2] px that each pixel's point moves during the exposure, whose middle is now.
    """
    height, width = depth.shape
    length = np.maximum(cv2.magnitude(motion[..., 0], motion[..., 1]), 1e-6)
    motion = motion * np.minimum(1, _LONGEST / length)[..., None]
    tiles = np.zeros((-(-height // _TILE), -(-width // _TILE), 2), np.float32)
    around, out = np.zeros_like(tiles), np.empty_like(light)
    _strongest_motion(motion, tiles)
    _strongest_around(tiles, around)
    _gather(light, depth, motion, around, out)
    return out

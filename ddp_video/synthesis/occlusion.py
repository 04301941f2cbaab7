"""How open a place on a surface is to the light that comes from everywhere: screen-space ambient occlusion.

An arm before a trunk in the same sleeve shows by the dark seam between them. The depth buffer is looked up around each sample; what
stands out in front of its surface takes away light (after Filion and McNaughton, "Effects & techniques", SIGGRAPH 2008 course
"Advances in real-time rendering").
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_REACH = 0.1  # m, from which things take away light
_LEAST_PX = 1.0  # nearer neighbours tell nothing
_RISE = 0.12  # sine of the angle above the surface that passes for flat: meshes have edges
_STRENGTH = 5.2  # how much more than its share of the directions each neighbour takes away
_DARKEST = 0.3
_DIRECTIONS = np.array([(math.cos(a), math.sin(a)) for a in np.arange(6) * (math.pi / 3) + 0.2])
_RADII = np.array([0.25, 0.6, 1.0, 0.4, 0.8, 0.3])  # of the reach, one for each direction


@njit(cache=True, fastmath=True, forceinline=True)
def openness(depth, px, py, x, y, z, nx, ny, nz, focal, centre_x, centre_y):
    """Share of the light from everywhere that reaches a sample, `_DARKEST`..1.

    depth: [H, W] 1 / m, 0 = the backdrop. px, py: the sample's place in it; x, y, z: in the camera's coordinates, m.
    nx, ny, nz: its normal there. focal, centre_x, centre_y: of the camera in px of `depth`.
    """
    reach = focal * _REACH / z
    if reach < _LEAST_PX:
        return 1.0
    blocked = 0.0
    height, width = depth.shape
    for k in range(len(_RADII)):
        radius = max(reach * _RADII[k], _LEAST_PX)
        column, row = int(px + radius * _DIRECTIONS[k, 0]), int(py + radius * _DIRECTIONS[k, 1])
        if column < 0 or row < 0 or column >= width or row >= height or depth[row, column] <= 0:
            continue
        far = 1 / depth[row, column]
        if not z - 2 * _REACH < far < z + 2 * _REACH:
            continue
        dx = (column + 0.5 - centre_x) / focal * far - x
        dy = (row + 0.5 - centre_y) / focal * far - y
        dz = far - z
        length = math.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
        if length < 2 * _REACH:
            rise = (dx * nx + dy * ny + dz * nz) / length - _RISE
            if rise > 0:
                blocked += rise * (1 - length / (2 * _REACH))
    return max(1 - _STRENGTH / len(_RADII) * blocked, _DARKEST)

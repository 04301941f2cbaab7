"""What is behind the people as textured planes, seen through the same camera by casting rays.

Every point of a backdrop has a place in the world, so horizons, shadows and flow are right by construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

from ddp_video.synthesis.lamps import shadow_at, stain_at
from ddp_video.synthesis.raster import SUBSAMPLES
from ddp_video.synthesis.shade import texture_at
from ddp_video.synthesis.textures import TextureBank

FAR = 1e4  # m, depth of the sky
_MAX_LEVELS = 6
_OF_FIRST_LAMP = 0.5  # share of a photograph's light that a cast shadow takes away


class Planes(NamedTuple):
    """S textured planes. origin, normal: [S, 3]. u, v: [S, 3], texture coordinate of p = (p - origin) . u. limits: [S, 4]
    lowest and highest u and v that belong to the plane. levels: [S, L, 2] start and side of the texture's reductions.
    texel: [S] m. tint: [S, 3] BGR. lit: [S] 1 = takes light, 0 = shines by itself (photographs)."""

    origin: np.ndarray
    normal: np.ndarray
    u: np.ndarray
    v: np.ndarray
    limits: np.ndarray
    levels: np.ndarray
    texel: np.ndarray
    tint: np.ndarray
    lit: np.ndarray
    texels: np.ndarray


@dataclass
class Backdrop:
    """kind: one of `backdrop.KINDS`. sky: [2, 3] linear BGR at the horizon and above. mean: [3] linear BGR that photographs show,
    by which people are lit; None where lights decide. inside: whether lamps, not the sun, give light."""

    kind: str
    sky: np.ndarray
    mean: np.ndarray | None = None
    inside: bool = False
    _rows: list[tuple] = field(default_factory=list)
    _images: list[np.ndarray] = field(default_factory=list)

    def add(self, image, origin, u_axis, v_axis, size_u, size_v, *, limits=None, tint=(1, 1, 1), lit=True) -> None:
        """A plane through `origin` spanned by unit axes; the image covers size_u x size_v metres and repeats."""
        u_axis, v_axis = np.asarray(u_axis, float), np.asarray(v_axis, float)
        limits = (-1e9, 1e9, -1e9, 1e9) if limits is None else limits
        normal = np.cross(u_axis, v_axis)
        self._rows.append(
            (origin, normal, u_axis / size_u, v_axis / size_v, limits, size_u / image.shape[0], tint, lit)
        )
        self._images.append(image)

    def colour(self, rng: np.random.Generator) -> np.ndarray:
        """[3] BGR 0..1, the mean colour of one of the pictures."""
        return np.array(cv2.mean(self._images[rng.integers(len(self._images))])[:3]) / 255

    def planes(self) -> Planes:
        bank = TextureBank(self._images or [np.zeros((32, 32, 3), np.uint8)])
        count = len(self._rows)
        levels = np.zeros((count, _MAX_LEVELS, 2), np.int64)
        for s in range(count):
            own = bank.levels[s][:_MAX_LEVELS]
            levels[s] = [*own, *[own[-1]] * (_MAX_LEVELS - len(own))]
        columns = list(zip(*self._rows, strict=True)) if count else [[]] * 8
        widths = (3, 3, 3, 3, 4, None, 3, None)
        arrays = [
            np.array(column, np.float64).reshape((count, width) if width else (count,))
            for column, width in zip(columns, widths, strict=True)
        ]
        return Planes(*arrays[:5], levels, *arrays[5:], bank.texels)


@njit(cache=True, fastmath=True)
def _plane_light(planes, lighting, unshadowed, key):
    """Light (RGB) on each plane without the first lamp, and from the first lamp alone."""
    ambient, lights = lighting.ambient, lighting.lights
    for s in range(len(planes.texel)):
        for k in range(3):
            unshadowed[s, k] = 1 - planes.lit[s]
            key[s, k] = 0
        if planes.lit[s] == 0:
            continue
        up = 0.5 + 0.5 * planes.normal[s, 2]
        for k in range(3):
            unshadowed[s, k] = ambient[0, k] * up + ambient[1, k] * (1 - up)
        for q in range(len(lights)):
            share = lights[q, 6]
            for k in range(3):
                share += planes.normal[s, k] * lights[q, k]
            share = max(share / (1 + lights[q, 6]), 0.0)
            for k in range(3):
                if q == 0:
                    key[s, k] = share * lights[q, 3 + k]
                else:
                    unshadowed[s, k] += share * lights[q, 3 + k]


@njit(cache=True, fastmath=True, forceinline=True)
def _touched(contact, frame, x, y):
    """Darkness 0..1 of a point of the ground by what stands close to it, bilinear."""
    row, column = (y - frame[1]) * frame[2], (x - frame[0]) * frame[2]
    if not (1 <= row < contact.shape[0] - 1 and 1 <= column < contact.shape[1] - 1):
        return 0.0
    i, j = int(row - 0.5), int(column - 0.5)
    fy, fx = row - 0.5 - i, column - 0.5 - j
    top = contact[i, j] * (1 - fx) + contact[i, j + 1] * fx
    return top * (1 - fy) + (contact[i + 1, j] * (1 - fx) + contact[i + 1, j + 1] * fx) * fy


@njit(cache=True, fastmath=True)
def draw_planes(
    planes, sky, lighting, contact, contact_frame, rotation, position, focal, ids, hidden_too, image, depth
):
    """Ray-cast the planes into image [H, W, 3] float32 linear BGR and depth [H, W] m, in place.

    contact: [R, R] darkness 0..1 of the ground under things; contact_frame: (x0, y0, cells a metre).
    focal: px. ids: [3H, 3W] of `rasterize`; pixels that the scene covers wholly are left out unless `hidden_too`.
    """
    centre_x, centre_y = image.shape[1] / 2, image.shape[0] / 2
    colour = np.zeros(3)
    count = len(planes.texel)
    unshadowed, key = np.zeros((count, 3)), np.zeros((count, 3))
    _plane_light(planes, lighting, unshadowed, key)
    # what a ray from the camera needs of each plane: t = reach / (d . normal), u = u0 + t (d . u), v = v0 + t (d . v)
    reach, u0, v0 = np.zeros(count), np.zeros(count), np.zeros(count)
    for s in range(count):
        for k in range(3):
            away = planes.origin[s, k] - position[k]
            reach[s] += away * planes.normal[s, k]
            u0[s] -= away * planes.u[s, k]
            v0[s] -= away * planes.v[s, k]
    normal, limits = planes.normal, planes.limits
    n = SUBSAMPLES
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if not hidden_too and ids[y * n + n // 2, x * n + n // 2] >= 0:
                seen = False
                for i in range(n):
                    for j in range(n):
                        seen |= ids[y * n + i, x * n + j] < 0
                if not seen:
                    continue
            lx, ly = (x + 0.5 - centre_x) / focal, (y + 0.5 - centre_y) / focal
            dx = rotation[0, 0] * lx + rotation[0, 1] * ly + rotation[0, 2]
            dy = rotation[1, 0] * lx + rotation[1, 1] * ly + rotation[1, 2]
            dz = rotation[2, 0] * lx + rotation[2, 1] * ly + rotation[2, 2]
            nearest, hit, hit_u, hit_v, hit_facing = FAR, -1, 0.0, 0.0, 1.0
            for s in range(count):
                facing = dx * normal[s, 0] + dy * normal[s, 1] + dz * normal[s, 2]
                if facing > -1e-6:
                    continue
                t = reach[s] / facing
                if t <= 0.05 or t >= nearest:
                    continue
                u = u0[s] + t * (dx * planes.u[s, 0] + dy * planes.u[s, 1] + dz * planes.u[s, 2])
                v = v0[s] + t * (dx * planes.v[s, 0] + dy * planes.v[s, 1] + dz * planes.v[s, 2])
                if u < limits[s, 0] or u > limits[s, 1] or v < limits[s, 2] or v > limits[s, 3]:
                    continue
                nearest, hit, hit_u, hit_v, hit_facing = t, s, u, v, facing
            depth[y, x] = nearest
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            if hit < 0:
                up = min(max(dz / length, 0.0) * 1.6, 1.0)
                for k in range(3):
                    image[y, x, k] = sky[0, k] * (1 - up) + sky[1, k] * up
                continue
            footprint = nearest * length / focal * math.sqrt(length / -hit_facing) / planes.texel[hit]
            level = min(max(int(math.log2(max(footprint, 1.0)) + 0.4), 0), planes.levels.shape[1] - 1)
            texture_at(planes.texels, planes.levels[hit, level, 0], planes.levels[hit, level, 1], hit_u, hit_v, colour)
            share, dark = 1.0, 1.0
            if planes.lit[hit] > 0:
                wx, wy, wz = position[0] + nearest * dx, position[1] + nearest * dy, position[2] + nearest * dz
                if key[hit, 0] > 0:
                    share = shadow_at(lighting, wx, wy, wz, 0.02)
                if normal[hit, 2] > 0.9:
                    dark = 0.85 + 0.3 * stain_at(
                        lighting.stains, wx * 0.11, wy * 0.11
                    )  # large stains break the repeats
                    dark *= 1 - _touched(contact, contact_frame, wx, wy)
            elif dz * nearest < -position[2]:  # the ground of a photograph is where people stand, or they would float
                wx, wy = position[0] - position[2] / dz * dx, position[1] - position[2] / dz * dy
                dark = 1 - _touched(contact, contact_frame, wx, wy)
                dark *= 1 - _OF_FIRST_LAMP * (1 - shadow_at(lighting, wx, wy, 0.0, 0.02))
            for k in range(3):
                light = (unshadowed[hit, 2 - k] + share * key[hit, 2 - k]) * dark
                image[y, x, k] = (colour[k] * planes.tint[hit, k]) ** 2 * light

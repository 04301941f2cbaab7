"""Colour: materials under a few lights with one shadow map, composited over the background in linear light.

A pixel is shaded once at its centre; where its nine samples see different surfaces, each surface (that more than one of them
sees) is shaded once and weighted by its samples, so edges are anti-aliased and everything else costs one evaluation. Linear
light is the square of the 0..1 colour value.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from ddp_video.synthesis import materials as m
from ddp_video.synthesis.charts import along_part
from ddp_video.synthesis.lamps import shadow_at
from ddp_video.synthesis.occlusion import openness
from ddp_video.synthesis.raster import SUBSAMPLES, interpolation, strongest_part

_UARM, _LARM, _ULEG, _LLEG, _FOOT = 2, 4, 8, 10, 12  # first of the two parts of each limb in charts.PARTS
_IRIS_RADIUS, _PUPIL_RADIUS = 0.0060, 0.0024  # m
_ENDS_SPREAD = 0.12  # m, from the roots' colour of hair to that of its ends
_EYE_CENTRE = (0.02951, -0.11932, 0.69690)  # canonical, m, of the left eye


class Surface(NamedTuple):
    """normals: [n, 3] of the posed vertices. canonical: [n, 3]. part_weights: [n, 14]; part: [n], the strongest.
    materials: [M, COLUMNS]. noise: volume of `materials.noise_volume`."""

    normals: np.ndarray
    canonical: np.ndarray
    part_weights: np.ndarray
    part: np.ndarray
    materials: np.ndarray
    noise: np.ndarray


@njit(cache=True, fastmath=True, forceinline=True)
def texture_at(texels, start, side, u, v, out):
    """Bilinear look-up of BGR 0..1; v runs up, the image repeats."""
    u -= math.floor(u)
    v -= math.floor(v)
    x, y = u * side - 0.5, (1 - v) * side - 0.5
    x0, y0 = math.floor(x), math.floor(y)
    fx, fy = x - x0, y - y0
    x1, y1 = min(x0 + 1, side - 1), min(y0 + 1, side - 1)
    x0, y0 = max(x0, 0), max(y0, 0)
    a, b = start + y0 * side + x0, start + y0 * side + x1
    c, d = start + y1 * side + x0, start + y1 * side + x1
    for k in range(3):
        top = texels[a, k] * (1 - fx) + texels[b, k] * fx
        bottom = texels[c, k] * (1 - fx) + texels[d, k] * fx
        out[k] = (top * (1 - fy) + bottom * fy) / 255.0


@njit(cache=True, fastmath=True, forceinline=True)
def _zone(row, charts, part, x, y, z):
    """Which painted garment covers a point of the skin: 0 none, 1 upper, 2 lower, 3 sock or shoe, 4 glove."""
    if part == 0:
        if z > row[m.WAIST]:
            return 1 if z < row[m.NECK] else 0
        return 2
    if part == 1:
        return 0
    t = along_part(charts, part, x, y, z)
    if part < _LARM:
        return 1 if t < row[m.SLEEVE] else 0
    if part < _LARM + 2:
        return 1 if 1 + t < row[m.SLEEVE] else (4 if t > row[m.GLOVE] else 0)
    if part < _ULEG:
        return 4 if row[m.GLOVE] < 2 else 0
    if part < _LLEG:
        return 2 if t < row[m.TROUSER] else 0
    if part < _FOOT:
        return 2 if 1 + t < row[m.TROUSER] else (3 if t > row[m.SOCK] else 0)
    return 3 if row[m.SOCK] < 2 else 0


@njit(cache=True, fastmath=True, forceinline=True)
def material_colour(row, surface, charts, a, b, c, w1, w2, w3, colour):
    """Turn the texture's colour (BGR, in place) into the material's; returns the strength of its wrinkles."""
    kind = int(row[m.KIND])
    if kind == m.PICTURE:
        for k in range(3):
            colour[k] *= row[m.TONE + k]
        return 0.0
    canonical = surface.canonical
    x = canonical[a, 0] * w1 + canonical[b, 0] * w2 + canonical[c, 0] * w3
    y = canonical[a, 1] * w1 + canonical[b, 1] * w2 + canonical[c, 1] * w3
    z = canonical[a, 2] * w1 + canonical[b, 2] * w2 + canonical[c, 2] * w3
    if kind == m.HAIR:
        shade = min((colour[0] + colour[1] + colour[2]) / (3 * row[m.MEAN_LUMINANCE]), 1.7)
        shade = 0.3 + 0.7 * shade
        ends = min(max((row[m.WAIST] - z) / _ENDS_SPREAD + 0.5, 0.0), 1.0)
        for k in range(3):
            own = row[m.UPPER + k] * (1 - ends) + row[m.UPPER + 3 + k] * ends
            colour[k] = colour[k] * (1 - row[m.TINT]) + row[m.TINT] * shade * own
        return 0.0
    if kind == m.EYE:
        ex, ey, ez = abs(x) - _EYE_CENTRE[0], y - _EYE_CENTRE[1], z - _EYE_CENTRE[2]
        radius = math.sqrt(ex * ex + ez * ez)
        if ey < 0 and radius < _IRIS_RADIUS:
            dark = 0.03 if radius < _PUPIL_RADIUS else 1.0 - 0.5 * (radius / _IRIS_RADIUS) ** 4
            for k in range(3):
                colour[k] = row[m.UPPER + k] * dark
        else:
            colour[0], colour[1], colour[2] = 0.70, 0.72, 0.76
        return 0.0
    if kind == m.PLAIN:
        share = m.pattern_at(surface.noise, int(row[m.UPPER + m.PATTERN]), row[m.UPPER + m.FREQUENCY], x, y, z)
        grain = 0.85 + 0.3 * m.noise_at(surface.noise, x, y, z * 3)
        for k in range(3):
            colour[k] = (row[m.UPPER + k] * (1 - share) + row[m.UPPER + 3 + k] * share) * grain
        return 0.0

    part = strongest_part(surface.part, surface.part_weights, a, b, c, w1, w2, w3)
    if kind == m.CLOTH:
        zone = 1 if (part == 0 and z > row[m.WAIST]) or 1 <= part < _ULEG else 2
    else:
        zone = _zone(row, charts, part, x, y, z)
    if zone == 0:
        for k in range(3):
            colour[k] *= row[m.TONE + k]
        return 0.0
    if zone >= 3:
        first = m.SOCK_COLOUR if zone == 3 else m.GLOVE_COLOUR
        for k in range(3):
            colour[k] = row[first + k]
        return 0.0
    first = m.UPPER if zone == 1 else m.LOWER
    share = m.pattern_at(surface.noise, int(row[first + m.PATTERN]), row[first + m.FREQUENCY], x, y, z)
    shade, keep = 1.0, 0.0
    if kind == m.CLOTH:
        shade = min((colour[0] + colour[1] + colour[2]) / (3 * row[m.MEAN_LUMINANCE]), 2.0)
        keep = 1 - row[m.TINT]
    for k in range(3):
        dyed = shade * (row[first + k] * (1 - share) + row[first + 3 + k] * share)
        colour[k] = colour[k] * keep + dyed * (1 - keep)
    return row[m.WRINKLE]


@njit(cache=True, fastmath=True, forceinline=True)
def _bump(row, surface, strength, a, b, c, w1, w2, w3, normal):
    """Tilt the normal (in place) by folds that are fixed to the cloth."""
    canonical, scale = surface.canonical, row[m.WRINKLE_SCALE]
    x = (canonical[a, 0] * w1 + canonical[b, 0] * w2 + canonical[c, 0] * w3) * scale
    y = (canonical[a, 1] * w1 + canonical[b, 1] * w2 + canonical[c, 1] * w3) * scale
    z = (canonical[a, 2] * w1 + canonical[b, 2] * w2 + canonical[c, 2] * w3) * scale * 1.6
    gradient = m.folds_at(surface.noise, x, y, z)
    for k in range(3):
        normal[k] -= strength * gradient[k]
    length = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-9
    for k in range(3):
        normal[k] /= length


@njit(cache=True, fastmath=True, forceinline=True)
def _shade_sample(
    t, px, py, coarse, points, triangles, textures, surface, lighting, charts, rotation, position, focal, centre, scratch
):  # fmt: skip
    """Linear (B, G, R) of one sample, in scratch[1]; scratch: [3, 3] float64 for the colour, the result and the normal.

    coarse: [H, W], one of the depth buffer's samples a pixel.
    """
    colour, out, normal = scratch[0], scratch[1], scratch[2]
    a, b, c = triangles.faces[t, 0], triangles.faces[t, 1], triangles.faces[t, 2]
    w1, w2, w3, inverse_z = interpolation(points, a, b, c, px, py)
    kind = triangles.material[t]
    row = surface.materials[kind]
    if row[m.KIND] != m.PLAIN and row[m.KIND] != m.EYE:
        uv = triangles.corner_uv[t]
        u = uv[0, 0] * w1 + uv[1, 0] * w2 + uv[2, 0] * w3
        v = uv[0, 1] * w1 + uv[1, 1] * w2 + uv[2, 1] * w3
        texture_at(textures.texels, textures.table[kind, 0], textures.table[kind, 1], u, v, colour)
    wrinkles = material_colour(row, surface, charts, a, b, c, w1, w2, w3, colour)
    normals = surface.normals
    for k in range(3):
        normal[k] = normals[a, k] * w1 + normals[b, k] * w2 + normals[c, k] * w3
    length = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-9
    for k in range(3):
        normal[k] /= length
    if wrinkles > 0:
        _bump(row, surface, wrinkles, a, b, c, w1, w2, w3, normal)

    z = 1 / inverse_z
    x, y = (px - centre[0]) / focal * z, (py - centre[1]) / focal * z
    wx = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
    wy = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
    wz = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
    distance = math.sqrt(wx * wx + wy * wy + wz * wz)
    vx, vy, vz = -wx / distance, -wy / distance, -wz / distance
    wx, wy, wz = wx + position[0], wy + position[1], wz + position[2]
    if normal[0] * vx + normal[1] * vy + normal[2] * vz < -0.2:  # the inside of an open garment
        normal[0], normal[1], normal[2] = -normal[0], -normal[1], -normal[2]

    nx = rotation[0, 0] * normal[0] + rotation[1, 0] * normal[1] + rotation[2, 0] * normal[2]
    ny = rotation[0, 1] * normal[0] + rotation[1, 1] * normal[1] + rotation[2, 1] * normal[2]
    nz = rotation[0, 2] * normal[0] + rotation[1, 2] * normal[1] + rotation[2, 2] * normal[2]
    n = float(SUBSAMPLES)
    open_sky = openness(coarse, px / n, py / n, x, y, z, nx, ny, nz, focal / n, centre[0] / n, centre[1] / n)
    up = 0.5 + 0.5 * normal[2]
    ambient = lighting.ambient
    near_ground = 0.55 + 0.45 * min(max(wz, 0.0) / 0.5, 1.0)  # little light comes from below close to the floor
    red = (ambient[0, 0] * up + ambient[1, 0] * (1 - up) * near_ground) * open_sky
    green = (ambient[0, 1] * up + ambient[1, 1] * (1 - up) * near_ground) * open_sky
    blue = (ambient[0, 2] * up + ambient[1, 2] * (1 - up) * near_ground) * open_sky
    gloss_red = gloss_green = gloss_blue = 0.0
    lights = lighting.lights
    for q in range(len(lights)):
        lx, ly, lz, wrap = lights[q, 0], lights[q, 1], lights[q, 2], lights[q, 6]
        facing = (normal[0] * lx + normal[1] * ly + normal[2] * lz + wrap) / (1 + wrap)
        if facing <= 0:
            continue
        facing *= 0.5 + 0.5 * open_sky  # lamps are no points
        if q == 0:
            facing *= shadow_at(lighting, wx, wy, wz, lighting.shadow_bias)
        red += facing * lights[q, 3]
        green += facing * lights[q, 4]
        blue += facing * lights[q, 5]
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        half = (normal[0] * hx + normal[1] * hy + normal[2] * hz) / (math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
        if half > 0.65 and row[m.SPECULAR] > 0:  # shininess is 8 at least: less than this is no highlight
            gloss = row[m.SPECULAR] * half ** row[m.SHININESS] * min(facing * 3, 1.0)
            gloss_red += gloss * lights[q, 3]
            gloss_green += gloss * lights[q, 4]
            gloss_blue += gloss * lights[q, 5]
    out[0] = colour[0] * colour[0] * blue + gloss_blue
    out[1] = colour[1] * colour[1] * green + gloss_green
    out[2] = colour[2] * colour[2] * red + gloss_red


@njit(cache=True, fastmath=True, forceinline=True)
def _surfaces_seen(ids, depth, material, top, left):
    """Whether the samples of a pixel (from row `top` and column `left` on) see nothing (0), one surface (1) or more (2)."""
    n = SUBSAMPLES
    middle = ids[top + n // 2, left + n // 2]
    alike = True
    for i in range(n):
        for j in range(n):
            alike &= ids[top + i, left + j] == middle
    if alike:
        return 0 if middle < 0 else 1
    if middle < 0:
        return 2
    nearest, farthest = 0.0, 1e9
    for i in range(n):
        for j in range(n):
            t = ids[top + i, left + j]
            if t < 0 or material[t] != material[middle]:
                return 2
            nearest = max(nearest, depth[top + i, left + j])
            farthest = min(farthest, depth[top + i, left + j])
    return 1 if nearest < farthest * 1.04 else 2


@njit(cache=True, fastmath=True)
def shade_pixels(
    ids, depth, region, points, triangles, textures, surface, lighting, charts, rotation, position, focal, centre, image
):
    """Draw what `ids` [3H, 3W] shows over the background: image [H, W, 3] float32, linear BGR, in place.

    region: (top, bottom, left, right) px of the image outside which nothing is drawn. points, focal and centre (x, y) are
    in px of the 3H x 3W buffer; rotation, position: the camera's.
    """
    scratch = np.zeros((3, 3))
    n = SUBSAMPLES
    group_kind, group_at, group_size = np.zeros((3, n * n), np.int64)
    group_z = np.zeros(n * n)
    half = n // 2
    coarse = depth[half::n, half::n].copy()  # fits into the cache
    for y in range(region[0], region[1]):
        for x in range(region[2], region[3]):
            seen = _surfaces_seen(ids, depth, triangles.material, y * n, x * n)
            if seen == 0:
                continue
            if seen == 1:
                _shade_sample(
                    ids[y * n + half, x * n + half], x * n + half + 0.5, y * n + half + 0.5, coarse, points, triangles,
                    textures, surface, lighting, charts, rotation, position, focal, centre, scratch,
                )  # fmt: skip
                for k in range(3):
                    image[y, x, k] = scratch[1, k]
                continue
            # one evaluation for each surface that the samples see, weighted by how many see it
            groups = 0
            for i in range(n):
                for j in range(n):
                    t = ids[y * n + i, x * n + j]
                    if t < 0:
                        continue
                    z = depth[y * n + i, x * n + j]
                    g = 0
                    while g < groups and not (
                        group_kind[g] == triangles.material[t] and abs(group_z[g] - z) < 0.04 * z
                    ):
                        g += 1
                    if g == groups:
                        groups += 1
                        group_kind[g], group_z[g], group_at[g], group_size[g] = triangles.material[t], z, i * n + j, 0
                    group_size[g] += 1
            blue = green = red = 0.0
            largest = covered = 0
            for g in range(groups):
                covered += group_size[g]
                if group_size[g] > group_size[largest]:
                    largest = g
            if group_size[largest] >= 4:  # what a single sample sees passes for what most of them see
                for g in range(groups):
                    if group_size[g] == 1:
                        group_size[g] = 0
                        group_size[largest] += 1
            for g in range(groups):
                if group_size[g] == 0:
                    continue
                i, j = group_at[g] // n, group_at[g] % n
                _shade_sample(
                    ids[y * n + i, x * n + j], x * n + j + 0.5, y * n + i + 0.5, coarse, points, triangles, textures,
                    surface, lighting, charts, rotation, position, focal, centre, scratch,
                )  # fmt: skip
                blue += scratch[1, 0] * group_size[g]
                green += scratch[1, 1] * group_size[g]
                red += scratch[1, 2] * group_size[g]
            for k, drawn in ((0, blue), (1, green), (2, red)):
                behind = 0.0  # nobody has drawn the backdrop where the scene hides it
                if covered < n * n:
                    behind = image[y, x, k] * ((n * n - covered) / (n * n))
                image[y, x, k] = behind + drawn / (n * n)

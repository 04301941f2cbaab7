"""The 24 charts as an analytic map on the rest body: (part, canonical position) -> (I, U, V).

Every surface point carries its position on the canonical rest body (metres; z up, facing -y, +x = the person's left)
and belongs to one of 14 parts. Seams need no cut in the mesh: chart and coordinates are computed per pixel.

- Limbs and torso are tubes: a table of `BINS` cross-section centres and half-widths along the axis. v runs 0 -> 1 from
  proximal to distal (torso: crotch -> neck), u is the angle / pi, 0 lateral -> 1 medial (torso: the person's right 0 ->
  left 1); the sign of the angle chooses the front or back chart.
- Hands are discs with the pole at the fingertips, feet discs with the pole at the sole.
- The head's halves are capsules: u face 0 -> back 1, v neck 0 -> crown 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

BINS = 24  # cross-sections along a tube
TUBE, HAND, FOOT, HEAD = range(4)

PARTS = (
    "torso",
    "head",
    "uarmL",
    "uarmR",
    "larmL",
    "larmR",
    "handL",
    "handR",
    "ulegL",
    "ulegR",
    "llegL",
    "llegR",
    "footL",
    "footR",
)
NUM_PARTS = len(PARTS)

# (back or right chart, front or left chart) of each part; hands and feet have one chart.
CHARTS_OF_PART = {
    "torso": (1, 2),
    "head": (23, 24),
    "handR": (3, 3),
    "handL": (4, 4),
    "footL": (5, 5),
    "footR": (6, 6),
    "ulegR": (7, 9),
    "ulegL": (8, 10),
    "llegR": (11, 13),
    "llegL": (12, 14),
    "uarmL": (15, 17),
    "uarmR": (16, 18),
    "larmL": (19, 21),
    "larmR": (20, 22),
}
_KINDS = {"hand": HAND, "foot": FOOT, "head": HEAD}
_FORWARD = np.array([0.0, -1.0, 0.0])
_BONES_OF_PART = {
    "uarm": ("upperarm01", "upperarm02"),
    "larm": ("lowerarm",),
    "hand": ("wrist", "metacarpal", "finger"),
    "uleg": ("upperleg",),
    "lleg": ("lowerleg",),
    "foot": ("foot", "toe"),
}


def part_of_bone(bone: str) -> int:
    """Index into `PARTS` of the part that a bone of the rig moves."""
    stem, _, side = bone.partition(".")
    if stem in ("neck02", "neck03", "head", "eye", "jaw"):
        return PARTS.index("head")
    for part, stems in _BONES_OF_PART.items():
        if stem.startswith(stems):
            return PARTS.index(part + side)
    return PARTS.index("torso")


class ChartTables(NamedTuple):
    """What `chart_uv` needs of the 14 parts; a NamedTuple because numba takes it as it is."""

    kind: np.ndarray  # [14] int32: TUBE, HAND, FOOT or HEAD
    chart: np.ndarray  # [14, 2] int32: chart for negative and positive angle
    origin: np.ndarray  # [14, 3] start of the axis (feet: centre of the box)
    axis: np.ndarray  # [14, 3] unit, proximal -> distal
    lateral: np.ndarray  # [14, 3] unit, where the angle is 0
    anterior: np.ndarray  # [14, 3] unit, where the angle is pi / 2
    start: np.ndarray  # [14] along the axis, m, where v = 0
    end: np.ndarray  # [14] where v = 1 (feet: half height; head: centre of the skull)
    centre: np.ndarray  # [14, BINS, 2] of the cross-sections, m
    width: np.ndarray  # [14, BINS, 2] half-widths of the cross-sections, m


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _frame(part: str, side: str, vertices: np.ndarray, joints: dict[str, np.ndarray]):
    """Origin, axis, lateral and anterior direction of one part, and the skull's centre for the head."""
    sign = 1.0 if side == "L" else -1.0
    skull = None
    if part == "torso":
        origin, axis = joints["root"], np.array([0, 0, 1.0])
    elif part == "head":
        crown = vertices[:, 2].max()
        top = vertices[vertices[:, 2] > crown - 0.2]
        skull = np.array([0, (top[:, 1].min() + top[:, 1].max()) / 2, crown - 0.10])
        origin = joints["neck02"] * np.array([0, 1, 1])
        axis = _unit(skull - origin)
    else:
        first, last = {
            "uarm": ("upperarm01", "lowerarm01"),
            "larm": ("lowerarm01", "wrist"),
            "hand": ("wrist", "finger3-3"),
            "uleg": ("upperleg01", "lowerleg01"),
            "lleg": ("lowerleg01", "foot"),
            "foot": ("foot", None),
        }[part]
        origin = joints[f"{first}.{side}"]
        axis = _unit(joints[f"{last}.{side}"] - origin) if last else np.array([0, 0, -1.0])
    anterior = _unit(_FORWARD - axis * (_FORWARD @ axis))
    if part == "hand":  # the plane of the palm: lateral = across the hand, from the little to the index finger
        across = joints[f"finger2-1.{side}"] - joints[f"finger5-1.{side}"]
        lateral = _unit(_unit(across) - axis * (_unit(across) @ axis))
        anterior = np.cross(axis, lateral)
        anterior = anterior if anterior @ _FORWARD > 0 else -anterior
    elif part in ("uarm", "larm"):
        lateral = _unit(np.cross(anterior, axis))
        lateral = lateral if lateral @ np.array([sign, 0, 0.5]) > 0 else -lateral
    else:
        side_axis = np.array([sign, 0, 0])
        lateral = _unit(side_axis - axis * (side_axis @ axis))
    return origin, axis, lateral, anterior, skull


def _cross_sections(along: np.ndarray, across: np.ndarray, start: float, end: float):
    """Centres and half-widths [BINS, 2] of a tube's cross-sections, smoothed along the axis."""
    centre, width = np.zeros((BINS, 2)), np.ones((BINS, 2))
    for k in range(BINS):
        middle, reach = start + (k + 0.5) / BINS * (end - start), 1.5 / BINS * (end - start)
        for attempt in range(6):  # widen the slab until it holds enough vertices
            slab = np.abs(along - middle) < reach * (1 + attempt * 0.7)
            if slab.sum() >= 12:
                break
        low, high = np.percentile(across[slab], [1, 99], axis=0)
        centre[k], width[k] = (low + high) / 2, np.maximum((high - low) / 2, 1e-3)
    kernel = np.array([1, 2, 3, 2, 1.0]) / 9
    for table in (centre, width):
        for j in (0, 1):
            table[:, j] = np.convolve(np.pad(table[:, j], 2, mode="edge"), kernel, "valid")
    return centre, width


def build_tables(rest: np.ndarray, joints: dict[str, np.ndarray], part: np.ndarray) -> ChartTables:
    """Fit the charts to the canonical rest body.

    Args:
        rest: [V, 3] body vertices, m. joints: head position of each bone. part: [V] index into `PARTS`.
    """
    kind = np.zeros(NUM_PARTS, np.int32)
    chart = np.zeros((NUM_PARTS, 2), np.int32)
    origin, axis, lateral, anterior = np.zeros((4, NUM_PARTS, 3))
    start, end = np.zeros(NUM_PARTS), np.ones(NUM_PARTS)
    centre, width = np.zeros((NUM_PARTS, BINS, 2)), np.ones((NUM_PARTS, BINS, 2))
    for i, name in enumerate(PARTS):
        stem, side = (name, "L") if name in ("torso", "head") else (name[:-1], name[-1])
        kind[i], chart[i] = _KINDS.get(stem, TUBE), CHARTS_OF_PART[name]
        vertices = rest[part == i].astype(np.float64)
        origin[i], axis[i], lateral[i], anterior[i], skull = _frame(stem, side, vertices, joints)
        local = (vertices - origin[i]) @ np.stack([lateral[i], anterior[i], axis[i]], 1)
        if kind[i] == FOOT:
            low, high = local.min(0), local.max(0)
            origin[i] += (low + high) / 2 @ np.stack([lateral[i], anterior[i], axis[i]])
            width[i], end[i] = (high - low)[:2] / 2, (high - low)[2] / 2
        elif kind[i] == HEAD:
            start[i] = min(np.percentile(local[:, 2], 0.2), 0.0)
            end[i], width[i] = np.linalg.norm(skull - origin[i]), 0.10
        else:
            start[i], end[i] = np.percentile(local[:, 2], 0.3), np.percentile(local[:, 2], 99.9)
            centre[i], width[i] = _cross_sections(local[:, 2], local[:, :2], start[i], end[i])
    floats = (origin, axis, lateral, anterior, start, end, centre, width)
    return ChartTables(kind, chart, *(np.ascontiguousarray(table, np.float32) for table in floats))


@njit(cache=True, fastmath=True, forceinline=True)
def along_part(tables, part, x, y, z):
    """Position along a part's axis: 0 at its proximal, 1 at its distal end (not clipped)."""
    t = (
        (x - tables.origin[part, 0]) * tables.axis[part, 0]
        + (y - tables.origin[part, 1]) * tables.axis[part, 1]
        + (z - tables.origin[part, 2]) * tables.axis[part, 2]
    )
    return (t - tables.start[part]) / (tables.end[part] - tables.start[part])


@njit(cache=True, fastmath=True, forceinline=True)
def _clip01(x):
    return min(max(x, 0.0), 1.0)


@njit(cache=True, fastmath=True, forceinline=True)
def chart_uv(tables, part, x, y, z):
    """(I, u, v) of canonical position (x, y, z) on a part."""
    dx, dy, dz = x - tables.origin[part, 0], y - tables.origin[part, 1], z - tables.origin[part, 2]
    axis, lateral, anterior = tables.axis[part], tables.lateral[part], tables.anterior[part]
    t = dx * axis[0] + dy * axis[1] + dz * axis[2]
    s1 = dx * lateral[0] + dy * lateral[1] + dz * lateral[2]
    s2 = dx * anterior[0] + dy * anterior[1] + dz * anterior[2]
    kind = tables.kind[part]
    if kind in (TUBE, HAND):
        v = (t - tables.start[part]) / (tables.end[part] - tables.start[part])
        position = min(max(v * BINS - 0.5, 0.0), BINS - 1.001)
        k = int(position)
        g = position - k
        c, w = tables.centre[part], tables.width[part]
        c1, c2 = c[k, 0] * (1 - g) + c[k + 1, 0] * g, c[k, 1] * (1 - g) + c[k + 1, 1] * g
        w1, w2 = w[k, 0] * (1 - g) + w[k + 1, 0] * g, w[k, 1] * (1 - g) + w[k + 1, 1] * g
        angle = math.atan2((s2 - c2) / w2, (s1 - c1) / w1)
        v = _clip01(v)
        if kind == HAND:
            radius = (1 - v) ** 0.7
            return tables.chart[part, 0], 0.5 + 0.5 * radius * math.cos(angle), 0.5 + 0.5 * radius * math.sin(angle)
        u = abs(angle) / math.pi
        if part == 0:  # the torso has no lateral and medial side: u runs from the person's right to the left
            u = 1 - u
        return tables.chart[part, 1 if angle > 0 else 0], _clip01(u), v
    if kind == FOOT:
        n1, n2, n3 = s1 / tables.width[part, 0, 0], s2 / tables.width[part, 0, 1], t / tables.end[part]
        length = math.sqrt(n1 * n1 + n2 * n2 + n3 * n3) + 1e-9
        radius = math.acos(min(max(n3 / length, -1.0), 1.0)) / math.pi
        flat = math.sqrt(n1 * n1 + n2 * n2) + 1e-9
        return tables.chart[part, 0], 0.5 + 0.5 * radius * n1 / flat, 0.5 + 0.5 * radius * n2 / flat
    skull, reach = tables.end[part], tables.width[part, 0, 0]
    if t > skull:  # on the cap, arc length over a sphere goes on where the axis ends
        length = math.sqrt(s1 * s1 + s2 * s2 + (t - skull) * (t - skull)) + 1e-9
        t = skull + reach * math.asin(min((t - skull) / length, 1.0))
    v = _clip01((t - tables.start[part]) / (skull + reach * math.pi / 2 - tables.start[part]))
    u = math.atan2(abs(s1), s2) / math.pi
    if v > 0.6:  # towards the crown u shrinks to its middle: all directions meet there
        u = 0.5 + (u - 0.5) * (1 - 0.8 * ((v - 0.6) / 0.4) ** 2)
    return tables.chart[part, 1 if s1 > 0 else 0], _clip01(u), v


@njit(cache=True)
def chart_points(tables, part, points):
    """(I [N] int32, U, V [N] float32) of canonical points [N, 3] on parts [N]."""
    count = len(points)
    index, u, v = np.zeros(count, np.int32), np.zeros(count, np.float32), np.zeros(count, np.float32)
    for i in range(count):
        index[i], u[i], v[i] = chart_uv(tables, part[i], points[i, 0], points[i, 1], points[i, 2])
    return index, u, v

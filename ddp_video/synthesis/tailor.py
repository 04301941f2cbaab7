"""Loose clothes cut from the body itself: the skin of a region, smoothed and let out, and skirts from the base mesh.

Shirts, hoodies, coats, trousers, shorts and dresses of any length and ease, for any body; their charts are the body's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.charts import PARTS
from ddp_video.synthesis.meshes import faces_inside, vertex_normals
from ddp_video.synthesis.pack import SKIN_VERTICES

_ARMS = tuple(PARTS.index(p) for p in ("uarmL", "uarmR", "larmL", "larmR"))
_LEGS = tuple(PARTS.index(p) for p in ("ulegL", "ulegR", "llegL", "llegR"))
_NEIGHBOURS = 8
_SHOULDER_RISE = 0.5  # m of height a metre sideways, so that low necklines keep their straps
_HEM_STEPS = 6  # of smoothing along the edges of a garment


@dataclass(frozen=True)
class Cut:
    """A garment's pattern. Heights are canonical, m; lengths count 1 = elbow or knee, 2 = wrist or ankle.

    top, bottom: of the part that covers the trunk; the neckline rises from `top` towards the shoulders. sleeves, legs: lengths, 0 = none. ease: m between body and cloth.
    flare: m that the ends of sleeves or legs stand out more. folds: how far details of the body are smoothed away (steps).
    """

    top: float
    bottom: float
    sleeves: float
    legs: float
    ease: float
    flare: float
    folds: int


@dataclass(frozen=True)
class Skirt:
    """bottom, top: canonical heights, m. flare: how much wider the lower edge is."""

    bottom: float
    top: float
    flare: float


@dataclass(frozen=True)
class Piece:
    """A finished garment at rest: n vertices as in `wardrobe.Person`. covers: [V'] drawn body vertices that it hides."""

    rest: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray
    weights: np.ndarray
    bone_index: np.ndarray
    canonical: np.ndarray
    part_weights: np.ndarray
    part: np.ndarray
    covers: np.ndarray
    lies_on: np.ndarray | None  # [n] the drawn body vertex that each vertex lies on; None for skirts


@njit(cache=True, fastmath=True)
def _drape(body, region, inside, neighbours, steps, cloth):
    """Smooth the vertices `region` of body [n, 3] into cloth [n, 3]; those outside stay where the body is."""
    cloth[:] = body
    old = body.copy()
    for _ in range(steps):
        for i in region:
            x = y = z = np.float32(0)
            count = 0
            for k in range(neighbours.shape[1]):
                j = neighbours[i, k]
                if j >= 0 and inside[j]:
                    x += old[j, 0]
                    y += old[j, 1]
                    z += old[j, 2]
                    count += 1
            if count:
                cloth[i, 0] = 0.4 * old[i, 0] + 0.6 * x / count
                cloth[i, 1] = 0.4 * old[i, 1] + 0.6 * y / count
                cloth[i, 2] = 0.4 * old[i, 2] + 0.6 * z / count
        for i in region:
            old[i] = cloth[i]


@njit(cache=True, fastmath=True)
def _let_out(body, region, inside, neighbours, normals, ease, cloth):
    """Move smoothed cloth outwards until it clears the body by `ease` [n], evenly between neighbours."""
    offset = np.zeros(len(body), np.float32)
    even = np.zeros(len(body), np.float32)
    for i in region:
        out = np.float32(0)
        for k in range(3):
            out += (body[i, k] - cloth[i, k]) * normals[i, k]
        offset[i] = max(out, np.float32(0)) + ease[i]
    for i in region:
        total, count = offset[i], 1
        for k in range(neighbours.shape[1]):
            j = neighbours[i, k]
            if j >= 0 and inside[j]:
                total += offset[j]
                count += 1
        even[i] = max(total / count, offset[i] - 0.6 * ease[i])
    for i in region:
        for k in range(3):
            cloth[i, k] += normals[i, k] * even[i]


@njit(cache=True)
def _mark_edge(inside, region, neighbours, at_edge):
    """Mark the vertices of a region that have a neighbour outside."""
    for i in region:
        for j in neighbours[i]:
            if j >= 0 and not inside[j]:
                at_edge[i] = True


def _even_hems(vertices: np.ndarray, open_edges: np.ndarray) -> np.ndarray:
    """Smooth the open edges [E, 2] of a mesh along themselves: cut across triangles they would be jagged."""
    at, ends = np.unique(open_edges, return_inverse=True)
    ends = ends.reshape(-1, 2)
    ends = np.concatenate([ends, ends[:, ::-1]])
    degree = np.bincount(ends[:, 0], minlength=len(at))[:, None]
    out = vertices.copy()
    hem = out[at].astype(np.float64)
    for _ in range(_HEM_STEPS):
        around = np.stack([np.bincount(ends[:, 0], hem[ends[:, 1], k], len(at)) for k in range(3)], 1)
        hem = 0.5 * hem + 0.5 * around / degree
    out[at] = hem
    return out


def _faces_beside(faces: np.ndarray) -> np.ndarray:
    """[F, 3] the face on the other side of each edge (0-1, 1-2, 2-0) of each face, -1 = none."""
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], -1).reshape(-1, 2), axis=1)
    order = np.lexsort(edges.T)
    same = (edges[order[1:]] == edges[order[:-1]]).all(1)
    beside = np.full(len(edges), -1, np.int32)
    first, second = order[:-1][same], order[1:][same]
    beside[first], beside[second] = second // 3, first // 3
    return beside.reshape(-1, 3)


def _neighbour_table(faces: np.ndarray, count: int) -> np.ndarray:
    """[count, 8] neighbours of each vertex, -1 = none."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    rank = np.arange(len(edges)) - np.searchsorted(edges[:, 0], edges[:, 0])
    table = np.full((count, _NEIGHBOURS), -1, np.int32)
    keep = rank < _NEIGHBOURS
    table[edges[keep, 0], rank[keep]] = edges[keep, 1]
    return table


class Tailor:
    """Cuts garments for bodies of one model."""

    def __init__(self, model: BodyModel):
        self.model = model
        body, charts = model.data, model.charts
        self._skin = model.visible < SKIN_VERTICES
        is_skin_face = faces_inside(model.faces, self._skin)
        self._faces = model.faces[is_skin_face]
        self._uv = 10 * body.corner_uv[is_skin_face]  # ten repeats of the weave
        self._neighbours = _neighbour_table(self._faces, len(model.visible))
        self._beside = _faces_beside(self._faces)
        self._canonical = body.canonical[model.visible]
        self._part = body.part_weights[model.visible].argmax(1).astype(np.uint8)
        along = ((self._canonical - charts.origin[self._part]) * charts.axis[self._part]).sum(1)
        along = (along - charts.start[self._part]) / (charts.end[self._part] - charts.start[self._part])
        far = np.isin(self._part, [PARTS.index(p) for p in ("larmL", "larmR", "llegL", "llegR")])
        self._limb = along + far
        self._trunk, self._head = self._part == PARTS.index("torso"), self._part == PARTS.index("head")
        self._arms, self._legs = np.isin(self._part, _ARMS), np.isin(self._part, _LEGS)
        self._prepare_skirt()

    def _prepare_skirt(self) -> None:
        """Charts of the base mesh's skirt, from the skin nearest to it."""
        body = self.model.data
        used = np.unique(body.skirt_faces)
        self._skirt_vertex = used
        self._skirt_faces = np.searchsorted(used, body.skirt_faces).astype(np.int32)
        lower = np.flatnonzero((self._trunk | self._legs) & (self._canonical[:, 2] < 0.25))
        points = body.canonical[used]
        distance = np.linalg.norm(points[:, None] - self._canonical[None, lower], axis=-1)
        nearest = np.argpartition(distance, 6, axis=1)[:, :6]
        share = 1 / (np.take_along_axis(distance, nearest, 1) + 2e-3) ** 2
        share = (share / share.sum(1, keepdims=True)).astype(np.float32)[..., None]
        self._skirt_canonical = (self._canonical[lower][nearest] * share).sum(1)
        self._skirt_parts = (body.part_weights[self.model.visible][lower][nearest] * share).sum(1)
        self._skirt_part = self._skirt_parts.argmax(1).astype(np.uint8)
        angle = np.arctan2(points[:, 0], -points[:, 1]) / (2 * np.pi)
        uv = np.stack([8 * angle, 3 * points[:, 2]], -1)[self._skirt_faces].astype(np.float32)
        uv[..., 0] -= np.where(
            np.ptp(uv[..., 0], axis=1) > 4, 8 * (uv[..., 0] > 0).T, 0
        ).T  # across the seam at the back
        self._skirt_uv = uv
        self._skirt_top, self._skirt_bottom = float(points[:, 2].max()), float(points[:, 2].min())

    def make(self, vertices: np.ndarray, pattern: Cut | Skirt) -> Piece:
        """A garment for a body [V, 3] of the whole base mesh."""
        return self._cut(vertices, pattern) if isinstance(pattern, Cut) else self._skirt(vertices, pattern)

    def _cut(self, vertices: np.ndarray, cut: Cut) -> Piece:
        height = self._canonical[:, 2]
        neckline = cut.top + _SHOULDER_RISE * np.abs(self._canonical[:, 0])
        trunk = self._trunk & (height > cut.bottom) & (height < neckline)
        arms = self._arms & (self._limb < cut.sleeves)
        legs = self._legs & (self._limb < cut.legs)
        inside = (trunk | arms | legs) & self._skin
        length = np.where(arms, cut.sleeves, cut.legs)
        reach = np.where(arms | legs, np.clip(self._limb / max(length.max(), 1e-3), 0, 1), 0)
        return self._let_out(vertices, inside, cut.ease + cut.flare * reach**2, cut.folds)

    def _let_out(self, vertices: np.ndarray, inside: np.ndarray, ease: np.ndarray, folds: int) -> Piece:
        """The skin `inside` [V'] bool, smoothed by `folds` steps, at `ease` [V'] m from the body."""
        model = self.model
        body = np.ascontiguousarray(vertices[model.visible])
        region = np.flatnonzero(inside).astype(np.int32)
        cloth, normals = np.empty_like(body), np.empty_like(body)
        _drape(body, region, inside, self._neighbours, folds, cloth)
        vertex_normals(cloth, self._faces, normals)
        _let_out(body, region, inside, self._neighbours, normals, ease.astype(np.float32), cloth)

        chosen = np.flatnonzero(faces_inside(self._faces, inside))
        faces = self._faces[chosen]
        used = np.zeros(len(inside), bool)
        used[faces] = True
        number = np.cumsum(used, dtype=np.int32) - 1
        used = np.flatnonzero(used)
        kept = np.zeros(len(self._faces) + 1, bool)  # the last stands for no face
        kept[chosen] = True
        hem, corner = np.nonzero(~kept[self._beside[chosen]])
        open_edges = np.stack([faces[hem, corner], faces[hem, (corner + 1) % 3]], 1)
        at_edge = np.zeros(len(inside), bool)
        _mark_edge(inside, region, self._neighbours, at_edge)
        base = model.visible[used]
        return Piece(
            rest=_even_hems(cloth[used], number[open_edges]),
            faces=number[faces],
            corner_uv=self._uv[chosen],
            weights=model.data.weights[base],
            bone_index=model.data.bone_index[base],
            canonical=self._canonical[used],
            part_weights=model.data.part_weights[base],
            part=self._part[used],
            covers=inside & ~at_edge,
            lies_on=used,
        )

    def beanie(self, vertices: np.ndarray, line: float, ease: float) -> Piece:
        """A cap that covers the head above canonical height `line`, m, at the forehead, and lower behind."""
        height = self._canonical[:, 2] + 0.2 * (self._canonical[:, 1] + 0.13)
        inside = self._head & (height > line) & self._skin
        return self._let_out(vertices, inside, np.full(len(inside), ease), folds=8)

    def _skirt(self, vertices: np.ndarray, skirt: Skirt) -> Piece:
        body = self.model.data
        canonical_z = body.canonical[self._skirt_vertex, 2]
        keep = (canonical_z > skirt.bottom) & (canonical_z < skirt.top)
        keep = faces_inside(self._skirt_faces, keep)
        used, faces = np.unique(self._skirt_faces[keep], return_inverse=True)
        base = self._skirt_vertex[used]
        rest = vertices[base].copy()
        height = np.clip((self._skirt_top - canonical_z[used]) / (self._skirt_top - self._skirt_bottom), 0, 1)
        middle = rest.mean(0)
        rest[:, :2] += (rest[:, :2] - middle[:2]) * (skirt.flare * height)[:, None]
        thighs = self._legs & (self._canonical[:, 2] > skirt.bottom + 0.03)
        hips = self._trunk & (self._canonical[:, 2] < min(skirt.top, self._skirt_top) - 0.04)
        return Piece(
            rest=rest.astype(np.float32),
            faces=faces.reshape(-1, 3).astype(np.int32),
            corner_uv=self._skirt_uv[keep],
            weights=body.weights[base],
            bone_index=body.bone_index[base],
            canonical=self._skirt_canonical[used],
            part_weights=self._skirt_parts[used],
            part=self._skirt_part[used],
            covers=(thighs | hips) & self._skin,
            lies_on=None,
        )

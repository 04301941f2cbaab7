"""The parametric body: phenotype -> rest vertices and joints, and posing by linear blend skinning."""

from __future__ import annotations

import numpy as np
from numba import njit

from ddp_video.synthesis.charts import build_tables
from ddp_video.synthesis.pack import SKIN_VERTICES, Body
from ddp_video.synthesis.rig import Rig

_ANCHORS = {"gender": 2, "age": 5, "muscle": 3, "weight": 3, "height": 2, "proportions": 2, "cupsize": 3, "firmness": 3}
_FIRST_ANCHOR = {"age": -1 / 3}  # newborns lie below the 0 of the age scale
_LEAST_SHAPE = np.float32(1e-4)  # m
_ORIGINS = ("african", "asian", "caucasian")


class BodyModel:
    """Evaluates `Body` for people. `visible` lists the V' of its V vertices that are drawn (skin and eyes)."""

    def __init__(self, body: Body):
        self.data = body
        self.rig = Rig(tuple(map(str, body.bones)), body.parents, body.canonical_heads.astype(np.float64))
        self.visible = np.unique(body.faces)
        renumber = np.full(len(body.canonical), -1, np.int32)
        renumber[self.visible] = np.arange(len(self.visible), dtype=np.int32)
        self.renumber = renumber
        self.faces = renumber[body.faces]
        skin = self.visible[self.visible < SKIN_VERTICES]
        joints = {name: self.rig.head(name) for name in self.rig.bones}
        self.charts = build_tables(body.canonical[skin], joints, body.part_weights[skin].argmax(1))
        self.keypoints = [
            (renumber[body.keypoint_vertex[a:b]], body.keypoint_weight[a:b])
            for a, b in zip(body.keypoint_start[:-1], body.keypoint_start[1:], strict=True)
        ]
        eyes = [self.rig.index["eye.L"], self.rig.index["eye.R"]]
        self.eye_faces = np.isin(body.bone_index[body.faces, 0], eyes).all(1) & (body.faces >= SKIN_VERTICES).all(1)
        self._basis_reach = np.maximum(np.abs(body.basis).max(1), np.float32(1e-12))
        self._basis = np.rint(body.basis * (32767 / self._basis_reach[:, None])).astype(
            np.int16
        )  # half as much to read
        self.expression = {str(name): i for i, name in enumerate(body.expression_names)}

    def coefficients(self, phenotype: dict[str, float]) -> np.ndarray:
        """[K] shape coefficients of a person given by eleven values in 0..1.

        gender 0 male .. 1 female; age 0 baby, 1/3 child, 2/3 young, 1 old; african, asian and caucasian are normalised.
        """
        origin = np.array([phenotype[name] for name in _ORIGINS])
        values = list(origin / origin.sum())
        for name, count in _ANCHORS.items():  # tent functions between the anchor bodies of each scale
            anchors = np.linspace(_FIRST_ANCHOR.get(name, 0.0), 1, count)
            x = np.clip(phenotype[name], anchors[0], anchors[-1])
            values += list(np.maximum(0, 1 - np.abs(x - anchors) / (anchors[1] - anchors[0])))
        products = np.empty(len(self.data.phenotype_mask), np.float32)
        _masked_products(self.data.phenotype_mask, np.array(values, np.float32), products)
        return products @ self.data.projection

    def shape(self, coefficients: np.ndarray, expression: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Rest vertices [V, 3] float32 of the whole base mesh and bone heads [B, 3] float64, m.

        expression: strength 0..1 of facial movements by name.
        """
        body = self.data
        vertices = body.template.copy()
        _add_directions(coefficients * self._basis_reach, self._basis, vertices.reshape(-1))
        heads = body.bone_heads + (coefficients @ body.heads_basis).reshape(-1, 3)
        if expression:
            moved = body.expression_vertex
            scale = np.ptp(vertices[moved, 2]) / np.ptp(body.canonical[moved, 2])
            for name, strength in expression.items():
                movement = body.expressions[self.expression[name]]
                vertices[moved] += np.float32(strength * scale) * movement
        return vertices, heads.astype(np.float64)


@njit(cache=True, fastmath=True)
def _masked_products(mask, values, out):
    """out [M] = product of the values [P] that each row of mask [M, P] chooses."""
    for i in range(len(mask)):
        product = np.float32(1)
        for k in range(mask.shape[1]):
            if mask[i, k] > 0:
                product *= values[k]
        out[i] = product


@njit(cache=True, fastmath=True)
def _add_directions(reach, basis, out):
    """out [n] += reach [K] m @ basis [K, n] int16 / 32767, but for directions that reach no further than `_LEAST_SHAPE`."""
    block = 4096  # stays in the nearest cache while all directions are added
    for start in range(0, len(out), block):
        end = min(start + block, len(out))
        for k in range(len(reach)):
            step = np.float32(reach[k] / 32767)
            if abs(reach[k]) > _LEAST_SHAPE:
                for i in range(start, end):
                    out[i] += step * np.float32(basis[k, i])


@njit(cache=True, fastmath=True)
def skin(rest, weights, bone_index, matrices, out):
    """Pose rest vertices [n, 3] by the six strongest of the [B, 3, 4] bone transforms each, into out [n, 3]."""
    for i in range(len(rest)):
        x, y, z = rest[i, 0], rest[i, 1], rest[i, 2]
        px = py = pz = np.float32(0)
        for k in range(weights.shape[1]):
            w = weights[i, k]
            if w < 1e-4:
                break
            m = matrices[bone_index[i, k]]
            px += w * (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3])
            py += w * (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3])
            pz += w * (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3])
        out[i, 0], out[i, 1], out[i, 2] = px, py, pz

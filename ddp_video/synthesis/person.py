"""A dressed person at rest as one mesh, and how it is put together from body, clothes and things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Person:
    """A dressed person at rest: n vertices, the first `body_vertices` of them the body's, F triangles, M materials.

    rest: [n, 3] m. heads: [B, 3]. weights, bone_index: [n, 6]. canonical: [n, 3]. part_weights: [n, 14] and part: [n], the
    strongest. dense: [n]. faces: [F, 3]. corner_uv: [F, 3, 2]. flags, material: [F]. own: [F] bool, False = a thing in the
    hand. materials: [M, COLUMNS]. texture: [M] image ids. height, leg: m. wears: names of the garments. grip: [10, 3] curls of
    fingers that close around a thing, NaN for the others.
    """

    rest: np.ndarray
    heads: np.ndarray
    weights: np.ndarray
    bone_index: np.ndarray
    canonical: np.ndarray
    part_weights: np.ndarray
    part: np.ndarray
    dense: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray
    flags: np.ndarray
    material: np.ndarray
    own: np.ndarray
    materials: np.ndarray
    texture: np.ndarray
    body_vertices: int
    height: float
    leg: float
    wears: tuple[str, ...]
    grip: np.ndarray


class Assembly:
    """Meshes put together into one."""

    def __init__(self):
        self._parts: list[dict[str, np.ndarray]] = []
        self._rows: list[np.ndarray] = []
        self._textures: list[int] = []
        self._count = 0

    def material(self, row: np.ndarray, texture: int) -> int:
        """Number of a new material."""
        self._rows.append(row)
        self._textures.append(texture)
        return len(self._rows) - 1

    def add(
        self, *, faces: np.ndarray, flags, material, rest: np.ndarray, own: bool = True, **arrays: np.ndarray
    ) -> None:
        """A mesh: faces count its own vertices; arrays as in `Person`."""
        count = len(faces)
        self._parts.append(
            {
                "rest": rest,
                "faces": faces + np.int32(self._count),
                "flags": np.broadcast_to(np.asarray(flags, np.int32), count),
                "material": np.broadcast_to(np.asarray(material, np.int32), count),
                "own": np.broadcast_to(np.bool_(own), count),
                **arrays,
            }
        )
        self._count += len(rest)

    def arrays(self) -> dict[str, np.ndarray]:
        """All meshes in one."""
        joined = {name: np.concatenate([p[name] for p in self._parts]) for name in self._parts[0]}
        return joined | {"materials": np.stack(self._rows), "texture": np.array(self._textures)}

"""Readers of MakeHuman's text files: .obj meshes, .mhclo clothes, .mhmat materials, .bvh poses.

Only the offline build of the pack uses them. MakeHuman's axes are x left, y up, z forward, in decimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ddp_video.errors import DataError
from ddp_video.synthesis.rotation import about_axis


def _lines(path: Path) -> list[list[str]]:
    """The file's lines as words, without comments and empty lines."""
    try:
        text = path.read_text(encoding="utf8", errors="ignore")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; is the MakeHuman folder complete?") from error
    words = (line.split() for line in text.splitlines())
    return [w for w in words if w and not w[0].startswith("#")]


@dataclass(frozen=True)
class ObjMesh:
    """vertices [V, 3], texture coordinates [T, 2], and triangles [F, 3] into each; faces_by_group: names of the triangles."""

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    uv_faces: np.ndarray
    group: np.ndarray


def read_obj(path: Path) -> ObjMesh:
    """A Wavefront mesh; polygons are cut into fans of triangles."""
    vertices, uv, faces, uv_faces, groups, group = [], [], [], [], [], ""
    for words in _lines(path):
        if words[0] == "v":
            vertices.append(words[1:4])
        elif words[0] == "vt":
            uv.append(words[1:3])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:]]
            vertex = [int(c[0]) - 1 for c in corners]
            texture = [int(c[1]) - 1 if len(c) > 1 and c[1] else 0 for c in corners]
            for k in range(1, len(corners) - 1):
                faces.append((vertex[0], vertex[k], vertex[k + 1]))
                uv_faces.append((texture[0], texture[k], texture[k + 1]))
                groups.append(group)
    return ObjMesh(
        np.array(vertices, np.float32),
        np.array(uv or [(0, 0)], np.float32),
        np.array(faces, np.int32),
        np.array(uv_faces, np.int32),
        np.array(groups),
    )


@dataclass(frozen=True)
class Binding:
    """How a garment hangs on the base mesh.

    Each garment vertex is the mean of three body vertices (indices, weights [V, 3]) plus an offset [V, 3] that scales with
    the body: `scale` gives, for each of MakeHuman's axes, two body vertices and their reference distance.
    hidden: body vertices that the garment covers.
    """

    indices: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    scale: dict[str, tuple[int, int, float]]
    hidden: np.ndarray
    obj_file: str


def _ranges(words: list[str]) -> list[int]:
    """'3 7 - 9' -> [3, 7, 8, 9]."""
    out: list[int] = []
    i = 0
    while i < len(words):
        if i + 2 < len(words) and words[i + 1] == "-":
            out += range(int(words[i]), int(words[i + 2]) + 1)
            i += 3
        else:
            out.append(int(words[i]))
            i += 1
    return out


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_mhclo(path: Path) -> Binding:
    """How one garment is fitted."""
    indices, weights, offsets, hidden, scale = [], [], [], [], {}
    obj_file, section = path.stem + ".obj", ""
    for words in _lines(path):
        if not _is_number(words[0]):  # other keywords may stand amid the vertices
            if words[0] in ("verts", "delete_verts", "weights"):
                section = words[0]
            elif words[0] in ("x_scale", "y_scale", "z_scale"):
                scale[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
            elif words[0] == "obj_file":
                obj_file = words[1]
        elif section == "verts":
            if len(words) == 1:  # bound to one vertex exactly
                indices.append([int(words[0])] * 3)
                weights.append([1, 0, 0])
                offsets.append([0, 0, 0])
            else:
                indices.append([int(w) for w in words[:3]])
                weights.append([float(w) for w in words[3:6]])
                offsets.append([float(w) for w in words[6:9]] or [0, 0, 0])
        elif section == "delete_verts":
            hidden += _ranges(words)
    return Binding(
        np.array(indices, np.int32),
        np.array(weights, np.float32),
        np.array(offsets, np.float32),
        scale,
        np.array(hidden, np.int32),
        obj_file,
    )


def diffuse_textures(asset: Path) -> list[Path]:
    """Diffuse images that the materials of an asset folder name, those that exist."""
    found = []
    for material in sorted([*asset.glob("*.mhmat"), *asset.glob("materials/*.mhmat")]):
        for words in _lines(material):
            if words[0] == "diffuseTexture":
                found += sorted(asset.parent.rglob(words[1]))[:1]
    return found


def read_texture(path: Path, size: int) -> np.ndarray:
    """uint8 BGRA [size, size, 4]; the ambient occlusion image beside a diffuse one is multiplied in."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"cannot read the texture {path}: missing or damaged (a Git LFS pointer?)")
    if image.dtype != np.uint8:
        image = (image / 257).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGRA)
    elif image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    occlusion_path = path.with_name(path.name.replace("_diffuse", "_ao"))
    if occlusion_path != path and occlusion_path.exists():
        occlusion = cv2.imread(str(occlusion_path), cv2.IMREAD_GRAYSCALE)
        occlusion = cv2.resize(occlusion, image.shape[1::-1], interpolation=cv2.INTER_AREA) / np.float32(255)
        image[..., :3] = image[..., :3] * (0.35 + 0.65 * occlusion[..., None])
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def read_bvh_pose(path: Path) -> dict[str, np.ndarray]:
    """Local rotation [3, 3] of each bone in the single frame of a MakeHuman pose (already world-aligned, z up)."""
    names, channels, values = [], [], []
    lines = _lines(path)
    start = next((i for i, words in enumerate(lines) if words[0] == "MOTION"), None)
    if start is None:
        raise DataError(f"{path} has no MOTION section; is it a BVH file?")
    for words in lines[:start]:
        if words[0] in ("ROOT", "JOINT"):
            names.append(words[1])
        elif words[0] == "CHANNELS":
            channels.append(words[2:])
    for words in lines[start + 3 :]:
        values += [float(word) for word in words]
    pose, at = {}, 0
    for name, chans in zip(names, channels, strict=True):
        rotation = np.eye(3)
        for channel in chans:
            if channel.endswith("rotation"):
                rotation = rotation @ about_axis(channel[0], np.radians(values[at]))
            at += 1
        pose[name] = rotation
    return pose

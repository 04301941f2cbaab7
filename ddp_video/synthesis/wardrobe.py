"""Who somebody is and what they wear: body shape, face, skin, hair, clothes and their colours, as one mesh at rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis import materials as m
from ddp_video.synthesis.accessories import Accessory, backpack, brim, glasses
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.charts import PARTS
from ddp_video.synthesis.colours import EYES, cloth_colour
from ddp_video.synthesis.identity import Identity, draw_identity
from ddp_video.synthesis.outfits import Levels, draw_outfit
from ddp_video.synthesis.pack import Garment, Pack, fit
from ddp_video.synthesis.raster import ALPHA_TEST, BIAS_SHIFT, CULL_BACK
from ddp_video.synthesis.tailor import Piece, Tailor
from ddp_video.synthesis.textures import luminance

_FLAGS = {  # of the triangles of each kind: hidden sides, see-through texels, and what wins where surfaces nearly touch
    "hair": ALPHA_TEST,
    "brow": ALPHA_TEST | 1 << BIAS_SHIFT,
    "suit": 2 << BIAS_SHIFT,
    "hat": 3 << BIAS_SHIFT,
    "shoes": 0,
    "bottom": 1 << BIAS_SHIFT,
    "top": 2 << BIAS_SHIFT,
    "beanie": 3 << BIAS_SHIFT,
    "accessory": 3 << BIAS_SHIFT,
}
_OUTFITS = ("suit", "cut", "painted")  # MakeHuman's, of our own tailor, and close-fitting clothes painted on the skin
_OUTFIT_ODDS = (0.35, 0.5, 0.15)


@dataclass
class Person:
    """A dressed person at rest: n vertices, the first `body_vertices` of them the body's, F triangles, M materials.

    rest: [n, 3] m. heads: [B, 3]. weights, bone_index: [n, 6]. canonical: [n, 3]. part_weights: [n, 14]. dense: [n].
    faces: [F, 3]. corner_uv: [F, 3, 2]. flags, material: [F]. materials: [M, COLUMNS]. texture: [M] image ids.
    height, leg: m. wears: names of the garments.
    """

    rest: np.ndarray
    heads: np.ndarray
    weights: np.ndarray
    bone_index: np.ndarray
    canonical: np.ndarray
    part_weights: np.ndarray
    dense: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray
    flags: np.ndarray
    material: np.ndarray
    materials: np.ndarray
    texture: np.ndarray
    body_vertices: int
    height: float
    leg: float
    wears: tuple[str, ...]


class _Assembly:
    """Meshes put together into one."""

    def __init__(self):
        self.parts: list[dict[str, np.ndarray]] = []
        self.rows: list[np.ndarray] = []
        self.textures: list[int] = []
        self.count = 0

    def material(self, row: np.ndarray, texture: int) -> int:
        self.rows.append(row)
        self.textures.append(texture)
        return len(self.rows) - 1

    def add(self, *, faces: np.ndarray, flags, material, rest: np.ndarray, **arrays: np.ndarray) -> None:
        count = len(faces)
        self.parts.append(
            {
                "rest": rest,
                "faces": faces + np.int32(self.count),
                "flags": np.broadcast_to(np.asarray(flags, np.int32), count),
                "material": np.broadcast_to(np.asarray(material, np.int32), count),
                **arrays,
            }
        )
        self.count += len(rest)

    def arrays(self) -> dict[str, np.ndarray]:
        joined = {name: np.concatenate([p[name] for p in self.parts]) for name in self.parts[0]}
        return joined | {"materials": np.stack(self.rows), "texture": np.array(self.textures)}


class Wardrobe:
    """Draws people out of a pack."""

    def __init__(self, pack: Pack, model: BodyModel, fabrics: list[tuple[int, float]]):
        """fabrics: image ids of weaves and their mean luminance."""
        self.pack, self.model, self.fabrics = pack, model, fabrics
        self.tailor = Tailor(model)
        self._luminance = [luminance(texture) for texture in pack.textures]
        self._by_kind: dict[str, list[str]] = {}
        for name, garment in pack.garments.items():
            self._by_kind.setdefault(garment.kind, []).append(name)
        self._hidden = {}
        for name, garment in pack.garments.items():
            covered = np.zeros(len(pack.body.canonical), bool)
            covered[garment.hidden] = True
            self._hidden[name] = covered[model.visible]
        body = pack.body
        self._body_arrays = {
            "weights": body.weights[model.visible],
            "bone_index": body.bone_index[model.visible],
            "canonical": body.canonical[model.visible],
            "part_weights": body.part_weights[model.visible],
            "dense": np.ones(len(model.visible), np.float32),
        }
        heights = body.canonical_heads[:, 2]
        self._levels = Levels(
            *(float(heights[model.rig.index[b]]) for b in ("neck01", "spine04", "upperleg01.L", "eye.L"))
        )

    def draw(self, rng: np.random.Generator) -> Person:
        """A random person."""
        identity = draw_identity(rng, list(self.model.expression))
        vertices, heads = self.model.shape(self.model.coefficients(identity.phenotype), identity.face)
        outfit = str(rng.choice(_OUTFITS, p=_OUTFIT_ODDS))
        wears = self._choose(rng, identity.female, outfit)
        patterns = draw_outfit(rng, self._levels, identity.female) if outfit == "cut" else ()
        pieces = [(kind, self.tailor.make(vertices, pattern)) for kind, pattern in patterns]
        pieces += self._headwear(rng, vertices, wears)
        assembly = _Assembly()
        shod = any(self.pack.garments[n].kind == "shoes" for n in wears)
        skin_row = self._skin_row(rng, identity, outfit == "painted", shod)
        skin = self.pack.skins[identity.skin(list(self.pack.skins), rng)]
        body = self._add_body(assembly, rng, vertices, wears, pieces, skin_row, skin)
        self._add_pieces(assembly, rng, pieces)
        for name in wears:
            self._add_garment(assembly, rng, name, vertices, skin_row, identity.hair)
        height = float(body[:, 2].max() - body[:, 2].min())
        for accessory in self._accessories(rng, body, heads, height, pieces):
            self._add_accessory(assembly, rng, accessory, heads)
        rig = self.model.rig
        leg = heads[rig.index["upperleg01.L"], 2] - heads[rig.index["foot.L"], 2]
        return Person(
            **assembly.arrays(), heads=heads, body_vertices=len(body), height=height, leg=float(leg), wears=wears
        )

    def _headwear(
        self, rng: np.random.Generator, vertices: np.ndarray, wears: tuple[str, ...]
    ) -> list[tuple[str, Piece]]:
        """A beanie or cap, at times, on heads whose hair leaves room for it."""
        bulky = any(self.pack.garments[n].kind in ("hair", "hat") and not n.startswith("short") for n in wears)
        if bulky or rng.random() > 0.2:
            return []
        return [
            (
                "beanie",
                self.tailor.beanie(vertices, self._levels.brow + rng.uniform(0.02, 0.05), rng.uniform(0.016, 0.024)),
            )
        ]

    def _accessories(self, rng, body, heads, height: float, pieces) -> list[Accessory]:
        """Things to wear, placed on this body."""
        found, index = [], self.model.rig.index
        eyes = heads[index["eye.L"]], heads[index["eye.R"]]
        if rng.random() < 0.16:
            found.append(glasses(*eyes, rng))
        if rng.random() < 0.1:
            z = heads[index["spine01"], 2]
            near = (np.abs(body[:, 2] - z) < 0.06 * height) & (np.abs(body[:, 0]) < 0.07 * height)
            found.append(backpack(np.array([0, body[near, 1].max(), z]), height, rng))
        cap = next((piece for kind, piece in pieces if kind == "beanie"), None)
        if cap is not None and rng.random() < 0.5:
            front = cap.rest[cap.rest[:, 1].argmin()]
            found.append(brim(np.array([0, front[1] + 0.012, front[2] - 0.004]), 0.42 * np.ptp(cap.rest[:, 0]), rng))
        return found

    def _choose(self, rng: np.random.Generator, female: bool, outfit: str) -> tuple[str, ...]:
        def pick(kind: str, fits=lambda name: True) -> list[str]:
            names = [n for n in self._by_kind.get(kind, []) if fits(n)]
            return [str(rng.choice(names))] if names else []

        wears: list[str] = []
        if outfit == "suit":
            crossed = rng.random() < 0.12
            wears += pick("suit", lambda n: crossed or n.startswith("female") == female)
        if rng.random() < 0.87:
            wears += pick("shoes")
        if rng.random() < 0.92:
            wears += pick("hair", lambda n: female or n.startswith(("short", "afro")) or rng.random() < 0.12)
        wears += pick("brow")
        if rng.random() < 0.07:
            wears += pick("hat")
        return tuple(wears)

    def _skin_row(self, rng: np.random.Generator, identity: Identity, painted: bool, shod: bool) -> np.ndarray:
        """Material of the skin, and of the clothes that are painted on it."""
        row = np.zeros(m.COLUMNS, np.float32)
        row[m.KIND], row[m.SPECULAR], row[m.SHININESS] = m.SKIN, rng.uniform(0.02, 0.07), 12
        row[m.WRINKLE], row[m.WRINKLE_SCALE] = rng.uniform(0.05, 0.3), rng.uniform(1.2, 3.0)
        for first in (m.UPPER, m.LOWER):
            self._dye(row, first, rng)
        if rng.random() < 0.15:
            row[m.LOWER : m.LOWER + 8] = row[m.UPPER : m.UPPER + 8]
        row[m.WAIST], row[m.NECK], row[m.SLEEVE], row[m.TROUSER], row[m.SOCK] = -9, -9, -9, 0, 2
        if painted:
            row[m.WAIST] = self._levels.waist + rng.uniform(-0.06, 0.08)
            row[m.NECK] = self._levels.neck + rng.uniform(-0.03, 0.04)
            row[m.SLEEVE] = rng.choice([0.12, 0.45, 0.6, 1.5, 1.93, 1.95])
            row[m.TROUSER] = rng.choice([0.22, 0.45, 0.8, 1.5, 1.9, 1.95], p=[0.12, 0.2, 0.13, 0.1, 0.25, 0.2])
            if identity.adult and identity.female and rng.random() < 0.08:  # a one-piece swimsuit
                row[m.WAIST], row[m.TROUSER] = -9, 0.2
            elif identity.adult and not identity.female and rng.random() < 0.08:  # bathing trunks
                row[m.NECK], row[m.TROUSER] = -9, max(0.3, min(row[m.TROUSER], 0.5))
        if not shod and rng.random() < 0.7:
            row[m.SOCK] = rng.uniform(0.6, 0.98)
        row[m.SOCK_COLOUR : m.SOCK_COLOUR + 3] = cloth_colour(rng)
        row[m.TONE : m.TONE + 3] = identity.skin_tone
        return row

    def _add_body(self, assembly, rng, vertices, wears, pieces, skin_row, texture) -> np.ndarray:
        model, body = self.model, self.pack.body
        eye_row = np.zeros(m.COLUMNS, np.float32)
        eye_row[m.KIND], eye_row[m.SPECULAR], eye_row[m.SHININESS] = m.EYE, 0.5, 60
        eye_row[m.UPPER : m.UPPER + 3] = EYES[rng.choice(len(EYES), p=[0.4, 0.3, 0.2, 0.1])]
        skin, eye = assembly.material(skin_row, texture), assembly.material(eye_row, texture)
        covered = np.zeros(len(model.visible), bool)
        for name in wears:
            covered |= self._hidden[name]
        for _, piece in pieces:
            covered |= piece.covers
        shown = ~covered[model.faces].all(1)
        rest = vertices[model.visible]
        assembly.add(
            rest=rest,
            faces=model.faces[shown],
            flags=CULL_BACK,
            material=np.where(model.eye_faces[shown], eye, skin),
            corner_uv=body.corner_uv[shown],
            **self._body_arrays,
        )
        return rest

    def _add_pieces(self, assembly, rng, pieces) -> None:
        """Cut clothes; all tops are of one cloth (a dress, a coat), all bottoms of another."""
        rows: dict[str, int] = {}
        for k, (kind, piece) in enumerate(pieces):
            if kind not in rows:
                texture, luminance = self.fabrics[rng.integers(len(self.fabrics))]
                row = np.zeros(m.COLUMNS, np.float32)
                row[m.KIND], row[m.TINT], row[m.MEAN_LUMINANCE] = m.CLOTH, 1, luminance
                row[m.SPECULAR], row[m.SHININESS] = rng.uniform(0, 0.06), 8
                row[m.WRINKLE], row[m.WRINKLE_SCALE] = rng.uniform(0.04, 0.26), rng.uniform(0.8, 2.0)
                self._dye(row, m.UPPER, rng)
                row[m.WAIST], row[m.LOWER : m.LOWER + 10] = -9, row[m.UPPER : m.UPPER + 10]
                rows[kind] = assembly.material(row, texture)
            shown = np.ones(len(piece.faces), bool)
            for _, outer in pieces[k + 1 :] if piece.lies_on is not None else ():
                shown &= ~outer.covers[piece.lies_on][piece.faces].all(1)
            assembly.add(
                rest=piece.rest,
                faces=piece.faces[shown],
                flags=_FLAGS[kind],
                material=rows[kind],
                corner_uv=piece.corner_uv[shown],
                weights=piece.weights,
                bone_index=piece.bone_index,
                canonical=piece.canonical,
                part_weights=piece.part_weights,
                dense=np.ones(len(piece.rest), np.float32),
            )

    @staticmethod
    def _dye(row: np.ndarray, first: int, rng: np.random.Generator) -> None:
        """Two colours and a pattern into the columns from `first` on."""
        row[first : first + 3], row[first + 3 : first + 6] = cloth_colour(rng), cloth_colour(rng)
        row[first + m.PATTERN] = rng.integers(1, m.NUM_PATTERNS) if rng.random() < 0.4 else m.SOLID
        row[first + m.FREQUENCY] = rng.uniform(30, 220)

    def _add_accessory(self, assembly, rng, accessory: Accessory, heads: np.ndarray) -> None:
        """Stiff things: charts of the head's surface below, or none."""
        rig, shape = self.model.rig, accessory.shape
        count, head = len(shape.vertices), PARTS.index("head")
        row = np.zeros(m.COLUMNS, np.float32)
        row[m.KIND], row[m.SPECULAR], row[m.SHININESS] = m.PLAIN, rng.uniform(0.02, 0.4), 25
        row[m.UPPER : m.UPPER + 3] = row[m.UPPER + 3 : m.UPPER + 6] = cloth_colour(rng)
        weights, bone_index = np.zeros((count, 6), np.float32), np.zeros((count, 6), np.int32)
        weights[:, 0], bone_index[:, 0] = 1, rig.index[accessory.bone]
        part_weights = np.zeros((count, len(PARTS)), np.float32)
        part_weights[:, head if accessory.on_head else 0] = 1
        canonical = shape.vertices - heads[rig.index["eye.L"]] + rig.head("eye.L")
        assembly.add(
            rest=shape.vertices.astype(np.float32),
            faces=shape.faces,
            flags=_FLAGS["accessory"],
            material=assembly.material(row, 0),
            corner_uv=shape.corner_uv.astype(np.float32),
            weights=weights,
            bone_index=bone_index,
            canonical=canonical.astype(np.float32),
            part_weights=part_weights,
            dense=np.full(count, accessory.on_head, np.float32),
        )

    def _add_garment(self, assembly, rng, name: str, vertices, skin_row, hair: np.ndarray) -> None:
        garment: Garment = self.pack.garments[name]
        texture = int(rng.choice(garment.texture))
        row = np.zeros(m.COLUMNS, np.float32)
        row[m.MEAN_LUMINANCE] = max(self._luminance[texture], 0.08)
        if garment.kind in ("hair", "brow"):
            row[m.KIND], row[m.TINT] = m.HAIR, rng.uniform(0.4, 1)
            row[m.SPECULAR], row[m.SHININESS] = (rng.uniform(0.01, 0.06), 14) if garment.kind == "hair" else (0, 1)
            row[m.UPPER : m.UPPER + 3] = hair
        else:
            row[m.KIND], row[m.WAIST] = m.CLOTH, self._levels.waist + 0.03
            row[m.UPPER : m.LOWER + 10] = skin_row[m.UPPER : m.LOWER + 10]
            row[m.WRINKLE], row[m.WRINKLE_SCALE] = rng.uniform(0, 0.2), rng.uniform(1.5, 3.5)
            row[m.TINT] = rng.choice([0, 0.6, 0.85, 1.0]) if garment.kind == "suit" else rng.choice([0, 0.5, 0.9])
            row[m.SPECULAR], row[m.SHININESS] = (0.2, 20) if garment.kind == "shoes" else (0.03, 8)
            if garment.kind in ("shoes", "hat"):
                plain = cloth_colour(rng)
                row[m.UPPER : m.UPPER + 3] = row[m.LOWER : m.LOWER + 3] = plain
                row[m.UPPER + m.PATTERN] = row[m.LOWER + m.PATTERN] = m.SOLID
                row[m.WRINKLE] = 0
        rest = fit(
            garment.binding_index,
            garment.binding_weight,
            garment.offset,
            garment.scale_vertices,
            garment.scale_reference,
            vertices,
        )
        assembly.add(
            rest=rest.astype(np.float32),
            faces=garment.faces,
            flags=_FLAGS[garment.kind],
            material=assembly.material(row, texture),
            corner_uv=garment.corner_uv,
            weights=garment.weights,
            bone_index=garment.bone_index,
            canonical=garment.canonical,
            part_weights=garment.part_weights,
            dense=garment.dense,
        )

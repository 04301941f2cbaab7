"""Who somebody is and what they wear: body shape, face, skin, hair, clothes and their colours, as one mesh at rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video.synthesis import materials as m
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.colours import EYES, cloth_colour, hair_colour
from ddp_video.synthesis.outfits import Levels, draw_outfit
from ddp_video.synthesis.pack import Garment, Pack, fit
from ddp_video.synthesis.raster import ALPHA_TEST, BIAS_SHIFT, CULL_BACK
from ddp_video.synthesis.tailor import Tailor
from ddp_video.synthesis.textures import luminance

_FLAGS = {  # of the triangles of each kind: hidden sides, see-through texels, and what wins where surfaces nearly touch
    "hair": ALPHA_TEST,
    "brow": ALPHA_TEST | 1 << BIAS_SHIFT,
    "suit": 2 << BIAS_SHIFT,
    "hat": 3 << BIAS_SHIFT,
    "shoes": 0,
    "bottom": 1 << BIAS_SHIFT,
    "top": 2 << BIAS_SHIFT,
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


def _phenotype(rng: np.random.Generator) -> dict[str, float]:
    gender = rng.random() * 0.25
    if rng.random() < 0.5:
        gender = 1 - gender
    age = (
        rng.uniform(0.6, 0.8)
        if rng.random() < 0.65
        else rng.uniform(0.8, 1.0)
        if rng.random() < 0.5
        else rng.uniform(0.15, 0.6)
    )
    african, asian, caucasian = rng.dirichlet([0.5, 0.5, 0.5])

    def around_half(spread: float, low: float = 0.0) -> float:
        return float(np.clip(rng.normal(0.5, spread), low, 1))

    return {
        "gender": gender,
        "age": age,
        "muscle": around_half(0.2),
        "weight": around_half(0.22, 0.05),
        "height": around_half(0.2),
        "proportions": rng.uniform(0.2, 1),
        "cupsize": rng.uniform(0.1, 0.9),
        "firmness": rng.uniform(0.2, 0.8),
        "african": african,
        "asian": asian,
        "caucasian": caucasian,
    }


# Faces: movements that go together, and how strong they may be.
_FACES = {
    "neutral": {},
    "smile": {"mouthSmile": 0.9, "cheekSquint": 0.5},
    "laugh": {"mouthSmile": 1.0, "jawOpen": 0.5, "cheekSquint": 0.8, "eyeSquint": 0.5},
    "talk": {"jawOpen": 0.45, "mouthFunnel": 0.4, "mouthLowerDown": 0.4},
    "surprise": {"eyeWide": 0.9, "browInnerUp": 0.8, "browOuterUp": 0.8, "jawOpen": 0.6},
    "frown": {"browDown": 0.9, "mouthFrown": 0.7, "eyeSquint": 0.4},
    "closed eyes": {"eyeBlink": 1.0},
    "pout": {"mouthPucker": 0.9},
}
_FACE_ODDS = (0.36, 0.2, 0.1, 0.16, 0.05, 0.06, 0.04, 0.03)


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
        self._levels = Levels(*(float(heights[model.rig.index[b]]) for b in ("neck01", "spine04", "upperleg01.L")))

    def draw(self, rng: np.random.Generator) -> Person:
        """A random person."""
        phenotype = _phenotype(rng)
        vertices, heads = self.model.shape(self.model.coefficients(phenotype), self._face(rng))
        female, old = phenotype["gender"] > 0.5, phenotype["age"] > 0.85
        outfit = str(rng.choice(_OUTFITS, p=_OUTFIT_ODDS))
        wears = self._choose(rng, female, outfit)
        assembly = _Assembly()
        pieces = [
            (kind, self.tailor.make(vertices, cut))
            for kind, cut in (draw_outfit(rng, self._levels, female) if outfit == "cut" else ())
        ]
        skin_row = self._skin_row(
            rng, phenotype, outfit == "painted", any(self.pack.garments[n].kind == "shoes" for n in wears)
        )
        body = self._add_body(
            assembly, rng, vertices, wears, pieces, skin_row, self._skin_texture(rng, phenotype, female, old)
        )
        self._add_pieces(assembly, rng, pieces)
        hair = hair_colour(rng, old)
        for name in wears:
            self._add_garment(assembly, rng, name, vertices, skin_row, hair)
        skin_height = body[:, 2].max() - body[:, 2].min()
        rig = self.model.rig
        leg = heads[rig.index["upperleg01.L"], 2] - heads[rig.index["foot.L"], 2]
        return Person(
            **assembly.arrays(),
            heads=heads,
            body_vertices=len(body),
            height=float(skin_height),
            leg=float(leg),
            wears=wears,
        )

    def _face(self, rng: np.random.Generator) -> dict[str, float]:
        chosen = _FACES[rng.choice(list(_FACES), p=_FACE_ODDS)]
        face: dict[str, float] = {}
        for movement, strength in chosen.items():
            amount = strength * rng.uniform(0.4, 1.0)
            for name in self.model.expression:
                if name == movement or name in (movement + "Left", movement + "Right"):
                    face[name] = amount * rng.uniform(0.8, 1.0)
        return face

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

    def _skin_texture(self, rng: np.random.Generator, phenotype: dict[str, float], female: bool, old: bool) -> int:
        dark = phenotype["african"] > 0.5
        sex = "_female" if female else "_male"
        age = "old" if old else "middleage" if phenotype["age"] > 0.75 else "young"

        def score(name: str) -> int:
            return 4 * (sex in name) + 2 * (("dark" in name) == dark) + name.startswith(age)

        best = max(map(score, self.pack.skins))
        return self.pack.skins[str(rng.choice([n for n in self.pack.skins if score(n) == best]))]

    def _skin_row(self, rng: np.random.Generator, phenotype, painted: bool, shod: bool) -> np.ndarray:
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
            adult = phenotype["age"] > 0.55
            if adult and phenotype["gender"] > 0.5 and rng.random() < 0.08:  # a one-piece swimsuit
                row[m.WAIST], row[m.TROUSER] = -9, 0.2
            elif adult and phenotype["gender"] < 0.3 and rng.random() < 0.08:  # bathing trunks
                row[m.NECK], row[m.TROUSER] = -9, max(0.3, min(row[m.TROUSER], 0.5))
        if not shod and rng.random() < 0.7:
            row[m.SOCK] = rng.uniform(0.6, 0.98)
        row[m.SOCK_COLOUR : m.SOCK_COLOUR + 3] = cloth_colour(rng)
        tone = rng.uniform(0.8, 1.12) * np.array([rng.uniform(0.93, 1.05), 1, rng.uniform(0.97, 1.05)])
        row[m.TONE : m.TONE + 3] = np.clip(tone, 0.5, 1.25)
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

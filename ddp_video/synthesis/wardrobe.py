"""Who comes and what they wear: body, clothes, hair, shoes and things, fitted and put together."""

from __future__ import annotations

import numpy as np

from ddp_video.synthesis import finishes
from ddp_video.synthesis.accessories import Accessory, backpack, brim, bun, glasses, tail
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.charts import PARTS
from ddp_video.synthesis.held import draw_held
from ddp_video.synthesis.identity import Identity, draw_identity
from ddp_video.synthesis.meshes import faces_inside
from ddp_video.synthesis.outfits import Levels, draw_outfit
from ddp_video.synthesis.pack import Garment, Pack, fit
from ddp_video.synthesis.person import Assembly, Person
from ddp_video.synthesis.props import Shape
from ddp_video.synthesis.raster import ALPHA_TEST, BIAS_SHIFT, CULL_BACK
from ddp_video.synthesis.tailor import Cut, Piece, Tailor
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
    "held": 0,
}
_OUTFITS = ("suit", "cut", "painted")  # MakeHuman's, of our own tailor, and close-fitting clothes painted on the skin
_OUTFIT_ODDS = (0.35, 0.5, 0.15)
_HOLDS = 0.12  # how often each hand holds something
_WORN = {"long": 4, "ponytail": 2}  # how much oftener than other long hair, by how its name begins
_HANGS = 0.4  # m below the ears: hair that hangs further is also worn cut, down to the shoulders


def _styled(rng: np.random.Generator, rest: np.ndarray, long: bool) -> np.ndarray:
    """Hair [n, 3] with more or less volume, and `long` hair longer or shorter than it was cut."""
    low, high = rest.min(0), rest.max(0)
    middle = (low + high) / 2
    middle[2] = high[2] - 0.12
    volume = 1 + (abs(rng.normal(0, 0.13)) if long else abs(rng.normal(0, 0.04)))
    styled = middle + (rest - middle) * np.array([volume, volume, 1 + 0.6 * (volume - 1)], np.float32)
    below = styled[:, 2] < middle[2]
    if long:
        shortest = 0.3 if middle[2] - low[2] > _HANGS else 0.8
        styled[below, 2] = middle[2] + (styled[below, 2] - middle[2]) * rng.uniform(shortest, 1.4)
    return styled.astype(np.float32)


class Wardrobe:
    """Draws people out of a pack."""

    def __init__(self, pack: Pack, model: BodyModel, fabrics: list[tuple[int, float]]):
        """fabrics: image ids of weaves and their mean luminance."""
        self.pack, self.model, self.fabrics = pack, model, fabrics
        self.tailor = Tailor(model)
        self._luminance = [luminance(texture) for texture in pack.textures]
        self._by_kind: dict[str, list[str]] = {}
        self._hidden, self._part = {}, {}
        for name, garment in pack.garments.items():
            self._by_kind.setdefault(garment.kind, []).append(name)
            covered = np.zeros(len(pack.body.canonical), bool)
            covered[garment.hidden] = True
            self._hidden[name] = covered[model.visible]
            self._part[name] = garment.part_weights.argmax(1).astype(np.uint8)
        body = pack.body
        self._body_arrays = {
            "weights": body.weights[model.visible],
            "bone_index": body.bone_index[model.visible],
            "canonical": body.canonical[model.visible],
            "part_weights": body.part_weights[model.visible],
            "part": body.part_weights[model.visible].argmax(1).astype(np.uint8),
            "dense": np.ones(len(model.visible), np.float32),
        }
        heights = body.canonical_heads[:, 2]
        self._levels = Levels(
            *(float(heights[model.rig.index[b]]) for b in ("neck01", "spine04", "upperleg01.L", "eye.L"))
        )

    def draw(self, rng: np.random.Generator) -> Person:
        """A random person."""
        identity, vertices, heads = self._body(rng)
        outfit = str(rng.choice(_OUTFITS, p=_OUTFIT_ODDS))
        wears = self._choose(rng, identity.female, outfit)
        patterns = draw_outfit(rng, self._levels, identity.female) if outfit == "cut" else ()
        pieces = [(kind, self.tailor.make(vertices, pattern)) for kind, pattern in patterns]
        pieces += self._headwear(rng, vertices, wears)
        assembly = Assembly()
        shod = any(self.pack.garments[n].kind == "shoes" for n in wears)
        skin_row = finishes.skin(rng, identity, self._levels, outfit == "painted", shod)
        skin = self.pack.skins[identity.skin(list(self.pack.skins), rng)]
        body = self._add_body(assembly, rng, vertices, wears, pieces, skin_row, skin)
        self._add_pieces(assembly, rng, pieces)
        for name in wears:
            self._add_garment(assembly, rng, name, vertices, skin_row, identity.hair)
        height = float(body[:, 2].max() - body[:, 2].min())
        short = any(n.startswith("short") for n in wears)
        for accessory in self._accessories(rng, body, heads, height, pieces, tied=short and identity.female):
            self._add_accessory(assembly, rng, accessory, heads, identity.hair)
        grip = self._fill_hands(assembly, rng, heads)
        rig = self.model.rig
        leg = heads[rig.index["upperleg01.L"], 2] - heads[rig.index["foot.L"], 2]
        return Person(
            **assembly.arrays(),
            heads=heads,
            body_vertices=len(body),
            height=height,
            leg=float(leg),
            wears=wears,
            grip=grip,
        )

    def _body(self, rng: np.random.Generator) -> tuple[Identity, np.ndarray, np.ndarray]:
        """Who somebody is, and the vertices and bone heads of his or her body at rest."""
        identity = draw_identity(rng, list(self.model.expression))
        return identity, *self.model.shape(self.model.coefficients(identity.phenotype), identity.face)

    def loose_clothes(self, rng: np.random.Generator, people: int) -> list[Shape]:
        """Tops and trousers of so many random people, by themselves and as worn."""
        clothes = []
        for _ in range(people):
            identity, vertices, _ = self._body(rng)
            for _, pattern in draw_outfit(rng, self._levels, identity.female):
                if isinstance(pattern, Cut):
                    piece = self.tailor.make(vertices, pattern)
                    clothes.append(Shape(piece.rest, piece.faces, piece.corner_uv))
        return clothes

    def _headwear(
        self, rng: np.random.Generator, vertices: np.ndarray, wears: tuple[str, ...]
    ) -> list[tuple[str, Piece]]:
        """A beanie or cap, at times, on heads whose hair leaves room for it."""
        bulky = any(self.pack.garments[n].kind in ("hair", "hat") and not n.startswith("short") for n in wears)
        if bulky or rng.random() > 0.2:
            return []
        line = self._levels.brow + rng.uniform(0.02, 0.05)
        return [("beanie", self.tailor.beanie(vertices, line, rng.uniform(0.016, 0.024)))]

    def _accessories(self, rng, body, heads, height: float, pieces, tied: bool) -> list[Accessory]:
        """Things to wear, placed on this body; `tied`: whether long hair may be tied."""
        found, index = [], self.model.rig.index
        skull = body[body[:, 2] > body[:, 2].max() - 0.085 * height]
        if tied and rng.random() < 0.7:
            tie = tail if rng.random() < 0.55 else bun
            found.append(tie(skull[skull[:, 1].argmax()], skull[skull[:, 2].argmax()], rng))
        eyes = heads[index["eye.L"]], heads[index["eye.R"]]
        if rng.random() < 0.16:
            found.append(glasses(*eyes, rng))
        if rng.random() < 0.08:
            z = heads[index["spine01"], 2]
            near = (np.abs(body[:, 2] - z) < 0.06 * height) & (np.abs(body[:, 0]) < 0.07 * height)
            found.append(backpack(np.array([0, body[near, 1].max(), z]), height, rng))
        cap = next((piece for kind, piece in pieces if kind == "beanie"), None)
        if cap is not None and rng.random() < 0.5:
            front = cap.rest[cap.rest[:, 1].argmin()]
            found.append(brim(np.array([0, front[1] + 0.012, front[2] - 0.004]), 0.42 * np.ptp(cap.rest[:, 0]), rng))
        return found

    def _choose(self, rng: np.random.Generator, female: bool, outfit: str) -> tuple[str, ...]:
        def pick(kind: str, fits=lambda name: True, odds=lambda name: 1) -> list[str]:
            names = [n for n in self._by_kind.get(kind, []) if fits(n)]
            shares = np.array([odds(n) for n in names], float)
            return [names[rng.choice(len(names), p=shares / shares.sum())]] if names else []

        wears: list[str] = []
        if outfit == "suit":
            crossed = rng.random() < 0.12
            wears += pick("suit", lambda n: crossed or n.startswith("female") == female)
        if rng.random() < 0.87:
            wears += pick("shoes")
        if rng.random() < 0.92:
            long = rng.random() < (0.65 if female else 0.15)
            wears += pick(
                "hair", lambda n: n.startswith("short") != long, lambda n: _WORN.get(n.rstrip("0123456789"), 1)
            )
        wears += pick("brow")
        if rng.random() < 0.07:
            wears += pick("hat")
        return tuple(wears)

    def _add_body(self, assembly: Assembly, rng, vertices, wears, pieces, skin_row, texture) -> np.ndarray:
        model, body = self.model, self.pack.body
        skin, eye = assembly.material(skin_row, texture), assembly.material(finishes.eye(rng), texture)
        covered = np.zeros(len(model.visible), bool)
        for name in wears:
            covered |= self._hidden[name]
        for _, piece in pieces:
            covered |= piece.covers
        shown = np.flatnonzero(~faces_inside(model.faces, covered))
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

    def _add_pieces(self, assembly: Assembly, rng, pieces) -> None:
        """Cut clothes; all tops are of one cloth (a dress, a coat), all bottoms of another."""
        rows: dict[str, int] = {}
        for k, (kind, piece) in enumerate(pieces):
            if kind not in rows:
                texture, mean_luminance = self.fabrics[rng.integers(len(self.fabrics))]
                rows[kind] = assembly.material(finishes.cut_cloth(rng, mean_luminance), texture)
            shown = np.ones(len(piece.faces), bool)
            for _, outer in pieces[k + 1 :] if piece.lies_on is not None else ():
                shown &= ~faces_inside(piece.faces, outer.covers[piece.lies_on])
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
                part=piece.part,
                dense=np.ones(len(piece.rest), np.float32),
            )

    def _add_stiff(self, assembly: Assembly, row, shape, bone: str, heads: np.ndarray, part: int, **kind) -> None:
        """A thing that follows one bone, its charts (where `dense`) those of the surface below."""
        rig, count = self.model.rig, len(shape.vertices)
        weights, bone_index = np.zeros((count, 6), np.float32), np.zeros((count, 6), np.int32)
        weights[:, 0], bone_index[:, 0] = 1, rig.index[bone]
        part_weights = np.zeros((count, len(PARTS)), np.float32)
        part_weights[:, part] = 1
        canonical = shape.vertices - heads[rig.index["eye.L"]] + rig.head("eye.L")
        assembly.add(
            rest=shape.vertices.astype(np.float32),
            faces=shape.faces,
            material=assembly.material(row, 0),
            corner_uv=shape.corner_uv.astype(np.float32),
            weights=weights,
            bone_index=bone_index,
            canonical=canonical.astype(np.float32),
            part_weights=part_weights,
            part=np.full(count, part, np.uint8),
            **kind,
        )

    def _add_accessory(self, assembly: Assembly, rng, accessory: Accessory, heads, hair: np.ndarray) -> None:
        dense = np.broadcast_to(np.float32(accessory.on_head), len(accessory.shape.vertices))
        part = PARTS.index("head" if np.any(accessory.on_head) else "torso")
        row = finishes.tied_hair(rng, hair) if accessory.hair else finishes.thing(rng)
        flags = _FLAGS["accessory"]
        self._add_stiff(assembly, row, accessory.shape, accessory.bone, heads, part, flags=flags, dense=dense)

    def _fill_hands(self, assembly: Assembly, rng, heads: np.ndarray) -> np.ndarray:
        """Something in some hands; returns the curls [10, 3] of fingers that hold, NaN for those that are free."""
        grip = np.full((10, 3), np.nan)
        for first, side in ((0, "L"), (5, "R")):
            if rng.random() < _HOLDS:
                held = draw_held(self.model.rig, heads, side, rng)
                none = np.zeros(len(held.shape.vertices), np.float32)
                flags = _FLAGS["held"]
                self._add_stiff(
                    assembly, finishes.thing(rng), held.shape, held.bone, heads, 0, flags=flags, dense=none, own=False
                )
                grip[first : first + 5] = held.curls
        return grip

    def _add_garment(self, assembly: Assembly, rng, name: str, vertices, skin_row, hair: np.ndarray) -> None:
        garment: Garment = self.pack.garments[name]
        texture = int(garment.texture[rng.integers(len(garment.texture))])
        waist = self._levels.waist + 0.03
        row = finishes.garment(rng, garment.kind, self._luminance[texture], waist, skin_row, hair)
        rest = fit(
            garment.binding_index,
            garment.binding_weight,
            garment.offset,
            garment.scale_vertices,
            garment.scale_reference,
            vertices,
        )
        if garment.kind == "hair":
            rest = _styled(rng, rest, long=not name.startswith("short"))
        assembly.add(
            rest=rest,
            faces=garment.faces,
            flags=_FLAGS[garment.kind],
            material=assembly.material(row, texture),
            corner_uv=garment.corner_uv,
            weights=garment.weights,
            bone_index=garment.bone_index,
            canonical=garment.canonical,
            part_weights=garment.part_weights,
            part=self._part[name],
            dense=garment.dense,
        )

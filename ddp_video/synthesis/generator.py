"""The front door of generation: open a pack once, then draw labelled pictures by (seed, index)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ddp_video.allocator import keep_freed_memory
from ddp_video.synthesis.backdrop import BackdropMaker
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.canvases import Canvases
from ddp_video.synthesis.flow import flow_between
from ddp_video.synthesis.furnishing import Furnisher
from ddp_video.synthesis.motion import Director
from ddp_video.synthesis.pack import load_pack
from ddp_video.synthesis.pose import PoseMaker
from ddp_video.synthesis.render import Frame, Renderer
from ddp_video.synthesis.scene import Scene, SceneMaker
from ddp_video.synthesis.surfaces import make_tiles
from ddp_video.synthesis.textures import TextureBank
from ddp_video.synthesis.wardrobe import Wardrobe

MIN_SIZE, MAX_SIZE = 64, 2048
_LOOSE_CLOTHES = 8  # people whose clothes may lie about


@dataclass(frozen=True)
class ShotFrame:
    """A frame of a shot. forward, backward: flow [H, W, 2] px to the next and the previous frame and where that frame shows
    the same point [H, W] bool; None at the ends of the shot."""

    frame: Frame
    forward: tuple[np.ndarray, np.ndarray] | None
    backward: tuple[np.ndarray, np.ndarray] | None


class Generator:
    """Draws pictures of synthetic people; equal (seed, index, size) give equal pictures, whatever came before.

    size: side of square pictures, or (height, width), px.
    """

    def __init__(self, pack: Path, size: int | tuple[int, int] = 384):
        height, width = (size, size) if isinstance(size, int) else size
        if not (min(height, width) >= MIN_SIZE and max(height, width) <= MAX_SIZE):
            raise ValueError(f"size {width}x{height}: the sides of the pictures must be {MIN_SIZE} to {MAX_SIZE} px")
        keep_freed_memory()
        data = load_pack(Path(pack))
        tiles = make_tiles()
        things = {"wood": tiles["wood"], "cloth": tiles["cloth"], "photo": tiles["floor"] + tiles["wall"]}
        things["leaves"] = tiles["leaves"]
        images = list(data.textures)
        finishes: dict[str, list[int]] = {}
        for finish, pictures in things.items():
            finishes[finish] = list(range(len(images), len(images) + len(pictures)))
            images += pictures
        bank = TextureBank([i if i.shape[2] == 4 else cv2.cvtColor(i, cv2.COLOR_BGR2BGRA) for i in images])
        self.model = BodyModel(data.body)
        director = Director(data.motion, data.poses, PoseMaker(self.model.rig))
        fabrics = [(k, float(images[k].mean()) / 255) for k in finishes["cloth"]]
        wardrobe = Wardrobe(data, self.model, fabrics)
        backdrops = BackdropMaker(Canvases(tiles, data.backgrounds, data.background_names))
        clothes = wardrobe.loose_clothes(np.random.default_rng(0), _LOOSE_CLOTHES)
        furnisher = Furnisher(self.model, finishes, clothes)
        self.scenes = SceneMaker(self.model, wardrobe, director, backdrops, furnisher, width / height)
        self.renderer = Renderer(self.model, bank, (height, width))

    def draw(self, seed: int, index: int) -> Frame:
        """Picture number `index` of the endless row that `seed` names."""
        rng = np.random.default_rng([seed, index])
        scene = self.scenes.draw(rng)
        return self.renderer.render(scene, self.renderer.stage(scene), rng)[0]

    def shot(self, scene: Scene, rng: np.random.Generator) -> Iterator[ShotFrame]:
        """The frames of a scene, in order, each with its flow to the next and the one before."""
        renderer = self.renderer
        stage = renderer.stage(scene)
        faces = stage.triangles.faces
        pending, before = None, None
        for t in range(scene.frames):
            frame, view = renderer.render(scene, stage, rng, t)
            backward = flow_between(view, before, faces) if before else None
            if pending:
                yield ShotFrame(pending.frame, flow_between(before, view, faces), pending.backward)
            pending, before = ShotFrame(frame, None, backward), view
            for actor in scene.actors:
                actor.forget(t)
        yield pending

"""The front door of generation: open a pack once, then draw labelled pictures by (seed, index)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ddp_video.synthesis.backdrop import BackdropMaker
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.motion import Director
from ddp_video.synthesis.pack import load_pack
from ddp_video.synthesis.pose import PoseMaker
from ddp_video.synthesis.render import Frame, Renderer
from ddp_video.synthesis.scene import Scene, SceneMaker
from ddp_video.synthesis.surfaces import make_tiles
from ddp_video.synthesis.textures import TextureBank
from ddp_video.synthesis.wardrobe import Wardrobe

_ATTEMPTS = 5  # to draw a scene whose first person is in view
MIN_SIZE, MAX_SIZE = 64, 2048


class Generator:
    """Draws pictures of synthetic people; equal (seed, index, size) give equal pictures, whatever came before."""

    def __init__(self, pack: Path, size: int = 384):
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise ValueError(f"size {size}: the side of the pictures must be {MIN_SIZE} to {MAX_SIZE} px")
        data = load_pack(Path(pack))
        tiles = make_tiles()
        things = {"wood": tiles["wood"], "cloth": tiles["cloth"], "photo": tiles["floor"] + tiles["wall"]}
        images = list(data.textures)
        finishes: dict[str, list[int]] = {}
        for finish, pictures in things.items():
            finishes[finish] = list(range(len(images), len(images) + len(pictures)))
            images += pictures
        bank = TextureBank(images)
        self.model = BodyModel(data.body)
        director = Director(data.motion, data.poses, PoseMaker(self.model.rig))
        wardrobe = Wardrobe(data, self.model, bank)
        backdrops = BackdropMaker(tiles, data.backgrounds, data.background_names)
        self.scenes = SceneMaker(self.model, wardrobe, director, backdrops, finishes)
        self.renderer = Renderer(self.model, bank, size)

    def scene(self, rng: np.random.Generator, frames: int = 1, fps: float = 25.0) -> Scene:
        """A scene; where nobody is in view, another is drawn."""
        for _ in range(_ATTEMPTS):
            scene = self.scenes.draw(rng, frames, fps)
            if not scene.actors or self._in_view(scene):
                break
        return scene

    def _in_view(self, scene: Scene) -> bool:
        first = scene.actors[0]
        points = (first.vertices(0, self.model)[first.landmarks] - scene.camera.position) @ scene.camera.rotation
        ahead = points[:, 2] > 0.1
        seen = np.abs(points[:, :2]) < 0.5 / scene.camera.focal * points[:, 2:]
        return (ahead & seen.all(1)).mean() > 0.12

    def draw(self, seed: int, index: int) -> Frame:
        """Picture number `index` of the endless row that `seed` names."""
        rng = np.random.default_rng([seed, index])
        scene = self.scene(rng)
        return self.renderer.render(scene, self.renderer.stage(scene), rng)

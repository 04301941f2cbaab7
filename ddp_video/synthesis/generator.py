"""The front door of generation: open a pack once, then draw labelled pictures by (seed, index)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ddp_video.synthesis.backdrop import BackdropMaker
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.memory import keep_freed_memory
from ddp_video.synthesis.motion import Director
from ddp_video.synthesis.pack import load_pack
from ddp_video.synthesis.pose import PoseMaker
from ddp_video.synthesis.render import Frame, Renderer
from ddp_video.synthesis.scene import SceneMaker
from ddp_video.synthesis.surfaces import make_tiles
from ddp_video.synthesis.textures import TextureBank
from ddp_video.synthesis.wardrobe import Wardrobe

MIN_SIZE, MAX_SIZE = 64, 2048


class Generator:
    """Draws pictures of synthetic people; equal (seed, index, size) give equal pictures, whatever came before."""

    def __init__(self, pack: Path, size: int = 384):
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise ValueError(f"size {size}: the side of the pictures must be {MIN_SIZE} to {MAX_SIZE} px")
        keep_freed_memory()
        data = load_pack(Path(pack))
        tiles = make_tiles()
        things = {"wood": tiles["wood"], "cloth": tiles["cloth"], "photo": tiles["floor"] + tiles["wall"]}
        images = list(data.textures)
        finishes: dict[str, list[int]] = {}
        for finish, pictures in things.items():
            finishes[finish] = list(range(len(images), len(images) + len(pictures)))
            images += pictures
        bank = TextureBank([i if i.shape[2] == 4 else cv2.cvtColor(i, cv2.COLOR_BGR2BGRA) for i in images])
        self.model = BodyModel(data.body)
        director = Director(data.motion, data.poses, PoseMaker(self.model.rig))
        wardrobe = Wardrobe(data, self.model)
        backdrops = BackdropMaker(tiles, data.backgrounds, data.background_names)
        self.scenes = SceneMaker(self.model, wardrobe, director, backdrops, finishes)
        self.renderer = Renderer(self.model, bank, size)

    def draw(self, seed: int, index: int) -> Frame:
        """Picture number `index` of the endless row that `seed` names."""
        rng = np.random.default_rng([seed, index])
        scene = self.scenes.draw(rng)
        return self.renderer.render(scene, self.renderer.stage(scene), rng)

    def sample(self, seed: int, index: int) -> dict[str, np.ndarray]:
        """`draw` as training workers take it (see data.generated): image [S, S, 3] uint8 RGB, iuv [S, S, 3] uint8
        (I, 255 U, 255 V), instance [S, S] uint8, keypoints [n, 17, 3]."""
        frame = self.draw(seed, index)
        return {
            "image": np.ascontiguousarray(frame.image),
            "iuv": frame.iuv(),
            "instance": frame.person,
            "keypoints": frame.keypoints,
        }

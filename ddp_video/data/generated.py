"""Pictures that are made when they are asked for: the synthetic people as a training source."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ddp_video.data.sample import Sample

# (seed, index) -> a labelled picture: image [H, W, 3] uint8 RGB, instance [H, W] uint8, iuv [H, W, 3] uint8 (I, 255 U, 255 V).
Generator = Callable[[int, int], dict[str, np.ndarray]]


class Generated:
    """As many pictures of a generator as anyone asks for; the same (seed, index) is the same picture."""

    charts = "ddp-video"

    def __init__(self, generator: Generator, seed: int, length: int = 2**31):
        self.generator, self.seed, self.length = generator, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        made = self.generator(self.seed, index)
        part, instance = np.ascontiguousarray(made["iuv"][..., 0]), made["instance"]
        uv = np.ascontiguousarray(made["iuv"][..., 1:])
        return Sample(made["image"], instance, part > 0, np.ones(instance.max(), bool), part, uv)

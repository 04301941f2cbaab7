"""Pictures that are made when they are asked for: the synthetic people as a training source."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from ddp_video.data.sample import Sample


class Generated:
    """As many pictures of synthetic people as anyone asks for; the same (seed, index) is the same picture.

    Args:
        pack: what `ddp-video synthesize assets` wrote.
        seed: names the endless row of pictures.
        size: px, side of the pictures.
    """

    charts = "ddp-video"

    def __init__(self, pack: str | Path, seed: int, size: int):
        self.pack, self.seed, self.size = Path(pack), seed, size

    @cached_property
    def generator(self):
        """Opened at the first picture, hence once in every worker process."""
        from ddp_video.synthesis.generator import Generator

        return Generator(self.pack, self.size)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> Sample:
        made = self.generator.draw(self.seed, index)
        uv = np.rint(made.uv * 255).astype(np.uint8)
        return Sample(made.image, made.person, made.part > 0, np.ones(made.person.max(), bool), made.part, uv)

"""Reading predictions frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddp_video.errors import PredictionsError
from ddp_video.predictions import schema
from ddp_video.predictions.blocks import BlockReader, block_numbers, count_frames, read_block
from ddp_video.predictions.store import BLOCKS, STORE, Root
from ddp_video.structures import Grid


def open_predictions(path: str | Path) -> Predictions:
    """Open the predictions of a run folder, or a `predictions.zarr` itself.

    Raises PredictionsError where there are none, or none that this version reads.
    """
    path = Path(path)
    return Predictions(path if path.name == STORE else path / STORE)


class Predictions(Sequence):
    """A sequence of `FramePrediction`, read as they are asked for; slices are sequences too, and read nothing.

    header: what the run says about itself. finished: whether the run came to its end; if not, these are the frames that
    are stored so far. Logits are float32 tensors of float16 values. One block of frames is kept, so reading in order is
    fast and memory does not grow. A frame of a damaged block raises PredictionsError, which names the block's frames.
    """

    def __init__(self, path: Path):
        self.path = path
        root = Root.load(path)
        self.header, self.finished = root.header, root.num_frames is not None
        self._folder = path / BLOCKS
        self._blocks = BlockReader(self._folder)
        stored = stored_frames(self._folder)
        if root.num_frames not in (None, stored):
            raise PredictionsError(
                f"{path}: frames from {stored} to {root.num_frames - 1} are missing; `ddp-video infer --resume` makes them"
            )
        self._frames = range(stored)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index):
        if not isinstance(index, slice):
            return self._blocks.frame(self._frames[index])
        part = object.__new__(Predictions)
        part.__dict__.update(self.__dict__)
        part._frames = self._frames[index]
        return part

    def __repr__(self) -> str:
        state = "finished" if self.finished else "unfinished"
        return f"Predictions({str(self.path)!r}, {len(self)} frames, {state})"

    @property
    def grid(self) -> Grid | None:
        """How the frames lie on the stride-4 grid; None where there are none."""
        return self._blocks.grid(self._frames[0]) if self._frames else None

    def person_masks(self, index: int) -> list[np.ndarray]:
        """COCO run lengths, uint32, of the masks of a frame's people at the size of the video (see `rle`)."""
        return self._blocks.runs(self._frames[index])

    def damaged(self) -> list[range]:
        """The frame ranges of blocks that cannot be read. Reads the whole store."""
        found = []
        for number in range(-(-stored_frames(self._folder) // schema.BLOCK_FRAMES)):
            try:
                read_block(self._folder, number)
            except PredictionsError:
                found.append(range(number * schema.BLOCK_FRAMES, (number + 1) * schema.BLOCK_FRAMES))
        return found


def stored_frames(folder: Path) -> int:
    """One more than the number of the last frame that the blocks in a folder hold."""
    numbers = block_numbers(folder)
    return numbers[-1] * schema.BLOCK_FRAMES + count_frames(folder, numbers[-1]) if numbers else 0

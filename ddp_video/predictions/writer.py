"""Writing predictions as they come, so that a run killed at any moment can go on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from ddp_video.errors import OutputError, PredictionsError
from ddp_video.predictions.blocks import PARTIAL, BlockReader, block_numbers, frame_range, read_block, write_block
from ddp_video.predictions.packing import Arrays, pack_block, pack_frame, pack_states, unpack_frame, unpack_states
from ddp_video.predictions.schema import BLOCK_FRAMES, block_name
from ddp_video.predictions.store import BLOCKS, OWN_FILES, Root
from ddp_video.structures import FramePrediction, Grid

State = dict[str, np.ndarray]  # of whatever goes through the video with the frames, such as a tracker


class PredictionWriter:
    """Appends predictions to a store in blocks of 16 frames.

    A block appears whole or not at all, so a killed run loses at most the frames of one. Leaving the `with` block stores
    the frames that do not fill a block, and, if no exception is on its way, marks the store as finished.

    header: what the run says about itself, JSON. With `resume` an existing store of the same header is checked, block by
    block, and continued: `frames_done` frames are there already. Where a block is damaged, `frames_done` ends before it;
    good blocks behind it are kept, and appending their frames again changes nothing. A frame that was there can be read
    as `writer[i]`; `lacks` tells of the others. Without `resume` an existing store is replaced.

    Raises OutputError where it cannot be written, PredictionsError where the store to resume is another run's.
    """

    def __init__(self, path: str | Path, header: dict, resume: bool = False):
        self.path = Path(path)
        self.frames_done = 0
        self._folder = self.path / BLOCKS
        self._root = Root(header)
        self._grid: Grid | None = None
        self._kept: set[int] = set()  # blocks that are full and sound
        self._found: dict[int, int] = {}  # sound blocks that were there when the store was opened, and their frames
        self._end: int | None = None  # of the frames, if the store was finished and its last block is sound
        self._buffer: list[Arrays] = []  # the frames of the block being filled
        self._states: dict[int, State] = {}
        self._stored = BlockReader(self._folder)
        with self._guarded():
            if resume and Root.exists(self.path):
                self._resume()
            else:
                remove_store(self.path)
            self._root.save(self.path)

    def append(self, prediction: FramePrediction) -> None:
        """Store the next frame, number `frames_done`. Logits that are no float16 values are rounded."""
        if prediction.index != self.frames_done:
            raise ValueError(f"frame {self.frames_done} comes next, got frame {prediction.index}")
        if prediction.grid != (self._grid or prediction.grid):
            raise ValueError(f"all frames of a store lie on one grid, {self._grid}, got {prediction.grid}")
        self._grid = prediction.grid
        if prediction.index // BLOCK_FRAMES not in self._kept:
            self._buffer.append(pack_frame(prediction))
        self.frames_done += 1
        if len(self._buffer) == BLOCK_FRAMES:
            self._commit()

    @property
    def frames_found(self) -> int:
        """How many frames were there when the store was opened."""
        return sum(self._found.values())

    def lacks(self, frames: range) -> bool:
        """Whether one of these frames was not there when the store was opened (and is not behind the end of the run)."""
        return any(
            index % BLOCK_FRAMES >= self._found.get(index // BLOCK_FRAMES, 0)
            for index in frames
            if self._end is None or index < self._end
        )

    def __getitem__(self, index: int) -> FramePrediction:
        """A frame that was there when the store was opened."""
        return self._stored.frame(index)

    def keep_state(self, index: int, state: State) -> None:
        """Store with frame `index`, before it is appended, whatever is needed to go on from there."""
        if index // BLOCK_FRAMES not in self._kept:
            self._states[index] = state

    def state(self, index: int) -> State:
        """The state that was kept for a frame whose block is on disk; PredictionsError where there is none."""
        states = self._stored.states(index)
        if index not in states:
            raise PredictionsError(f"{self.path}: cannot go on at frame {index}, whose state was not kept; start anew")
        return states[index]

    def close(self, finished: bool = True) -> None:
        """Store what is buffered; `finished` says that no frame will follow."""
        if self._buffer:
            self._commit()
        if finished:
            self._root = replace(self._root, num_frames=self.frames_done)
            with self._guarded():
                self._root.save(self.path)

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self.close()
        else:
            with suppress(OutputError):  # the exception on its way matters more
                self.close(finished=False)

    def _commit(self) -> None:
        number = (self.frames_done - 1) // BLOCK_FRAMES
        states = {index: self._states[index] for index in frame_range(number) if index in self._states}
        arrays = pack_block(self._buffer) | {"states": pack_states(states)}
        with self._guarded():
            write_block(self._folder, number, arrays, self._grid)
        if len(self._buffer) == BLOCK_FRAMES:
            self._kept.add(number)
            self._buffer.clear()
            for index in states:
                del self._states[index]

    def _resume(self) -> None:
        older = Root.load(self.path)
        if older.header != self._root.header:
            mine, theirs = self._root.header, older.header
            different = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
            raise PredictionsError(
                f"{self.path} belongs to a run with another {', '.join(different)}; resume with the same settings, "
                "or write to another folder"
            )
        for leftover in self._folder.glob("*" + PARTIAL):
            shutil.rmtree(leftover)
        begun: dict[int, tuple[Arrays, Grid]] = {}  # the last block, or one within which the run was interrupted
        for number in block_numbers(self._folder):
            try:
                block, self._grid = read_block(self._folder, number)
            except PredictionsError:
                shutil.rmtree(self._folder / block_name(number))
                continue
            self._found[number] = len(block["pts"])
            if self._found[number] == BLOCK_FRAMES:
                self._kept.add(number)
            else:
                begun[number] = block, self._grid
                self._states |= unpack_states(block)
        if (
            older.num_frames
            and self._found.get((older.num_frames - 1) // BLOCK_FRAMES, 0) > (older.num_frames - 1) % BLOCK_FRAMES
        ):
            self._end = older.num_frames
        full = next(number for number in count() if number not in self._kept)
        self.frames_done = full * BLOCK_FRAMES
        if full in begun:
            block, grid = begun[full]
            frames = [unpack_frame(block, row, 0, grid) for row in range(len(block["pts"]))]
            self._buffer = [pack_frame(frame) for frame in frames]
            self.frames_done += len(frames)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot write {self.path}: {error.strerror or error}; is the disk full or the folder read-only?"
            ) from None


def remove_store(path: Path) -> None:
    """Remove a store, if there is one; OutputError where something else lies there. Raises OSError."""
    if path.exists():
        if any(item.name not in OWN_FILES for item in path.iterdir()):
            raise OutputError(f"{path} is not a store of predictions; remove it or give another folder")
        shutil.rmtree(path)

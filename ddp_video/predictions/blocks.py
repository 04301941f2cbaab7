"""Blocks of a store on disk: each appears whole, and is found out when it is damaged."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from ddp_video.errors import PredictionsError
from ddp_video.predictions import schema
from ddp_video.predictions.packing import Arrays, check_block, unpack_frame, unpack_runs, unpack_states
from ddp_video.structures import FramePrediction, Grid

PARTIAL = ".part"


def write_block(folder: Path, number: int, arrays: Arrays, grid: Grid) -> None:
    """Write a block, or replace it. A crash at any moment leaves the block whole or not there.

    folder: where the blocks of the store are. Raises OSError.
    """
    facts = _facts(number, len(arrays["pts"]), grid)
    files: dict = {}  # Zarr writes to memory, so that the disk sees each file once
    group = zarr.create_group(MemoryStore(files), attributes={**facts, "crc32": schema.checksum(arrays, facts)})
    for name, (dtype, _) in schema.ARRAYS.items():
        array = arrays[name]
        stored = group.create_array(
            name,
            shape=array.shape,
            dtype=dtype,
            chunks=tuple(max(length, 1) for length in array.shape),
            config={"write_empty_chunks": True},  # looking for chunks of zeros costs more than writing them
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
        )
        stored[...] = array
    final = folder / schema.block_name(number)
    partial = final.with_name(final.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    for name, content in files.items():
        file = partial / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.to_bytes())
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)


def read_block(folder: Path, number: int) -> tuple[Arrays, Grid]:
    """A block's arrays, checked; PredictionsError, naming its frames, where it is missing or damaged."""
    try:
        block = folder / schema.block_name(number)
        group = zarr.open_group(_load(block), mode="r", zarr_format=3)
        facts = dict(group.attrs)
        crc = facts.pop("crc32")
        grid = Grid(tuple(facts["frame_size"]), tuple(facts["input_size"]))
        arrays = {name: _read_array(group, name, _size_on_disk(block / name)) for name in schema.ARRAYS}
        if facts != _facts(number, len(arrays["pts"]), grid) or crc != schema.checksum(arrays, facts):
            raise ValueError("checksum differs")
        check_block(arrays, grid)
    except Exception as error:  # damaged bytes make Zarr and its codecs raise nearly anything
        raise _damaged(folder, number, error) from error
    return arrays, grid


def count_frames(folder: Path, number: int) -> int:
    """How many frames a block says it holds; PredictionsError where it cannot be told."""
    try:
        facts = json.loads((folder / schema.block_name(number) / "zarr.json").read_bytes())["attributes"]
        return max(0, min(int(facts["num_frames"]), schema.BLOCK_FRAMES))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise _damaged(folder, number, error) from error


def block_numbers(folder: Path) -> list[int]:
    """The blocks that are there, in order."""
    if not folder.is_dir():
        return []
    return sorted(int(item.name) for item in folder.iterdir() if re.fullmatch(r"[0-9]{6,9}", item.name))


def frame_range(number: int) -> range:
    """The frames that a full block of that number holds."""
    return range(number * schema.BLOCK_FRAMES, (number + 1) * schema.BLOCK_FRAMES)


def _facts(number: int, num_frames: int, grid: Grid) -> dict:
    return {
        "first_frame": frame_range(number)[0],
        "num_frames": num_frames,
        "frame_size": list(grid.frame_size),
        "input_size": list(grid.input_size),
        "grid_size": list(grid.size),
    }


def _load(block: Path) -> MemoryStore:
    """The files of a block in memory: Zarr would hand each of them to another thread and wait for it."""
    buffer = default_buffer_prototype().buffer
    found = (file for file in block.rglob("*") if file.is_file())
    return MemoryStore({file.relative_to(block).as_posix(): buffer.from_bytes(file.read_bytes()) for file in found})


def _read_array(group: zarr.Group, name: str, size_on_disk: int):
    array = group[name]
    dtype, row = schema.ARRAYS[name]
    most = schema.EASY_BYTES + schema.MOST_COMPRESSED * size_on_disk  # else what a damaged shape asks for would be made
    if array.dtype != dtype or array.shape[1:] != row or array.nbytes > most:
        raise ValueError(f"{name} is {array.dtype} {array.shape}")
    return array[...]


def _size_on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _damaged(folder: Path, number: int, error: Exception) -> PredictionsError:
    frames, reason = frame_range(number), " ".join(f"{type(error).__name__} {error}".split())
    return PredictionsError(
        f"{folder.parent}: frames {frames[0]} to {frames[-1]} are damaged or missing (block {schema.block_name(number)}: "
        f"{reason[:120]}); `ddp-video infer --resume` makes them again"
    )


class BlockReader:
    """Frames of a store by their number; the block that was read last is kept."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._number: int | None = None

    def frame(self, index: int) -> FramePrediction:
        block, row = self._find(index)
        return unpack_frame(block, row, index, self._grid)

    def runs(self, index: int) -> list[np.ndarray]:
        """COCO run lengths of the people of a frame."""
        return unpack_runs(*self._find(index))

    def states(self, index: int) -> dict[int, dict[str, np.ndarray]]:
        """What was kept with the frames of the block of a frame."""
        return unpack_states(self._find(index)[0])

    def grid(self, index: int) -> Grid:
        self._find(index)
        return self._grid

    def _find(self, index: int) -> tuple[Arrays, int]:
        number, row = divmod(index, schema.BLOCK_FRAMES)
        if number != self._number:
            self._block, self._grid = read_block(self._folder, number)
            self._number = number
        return self._block, row

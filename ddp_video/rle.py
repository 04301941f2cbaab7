"""COCO's run lengths of binary masks: counts of 0s and 1s in turn, columns first, beginning with 0s.

As a string they are five bits a character, low bits first, the sixth saying that more follow, in two's complement; from the
fourth on each is the difference to the one before the last.
"""

from __future__ import annotations

import numpy as np


def encode(mask: np.ndarray, size: tuple[int, int] | None = None, top: int = 0, left: int = 0) -> np.ndarray:
    """Counts, uint32, of a mask.

    mask: [h, w] bool, a rectangle at (top, left) of a picture of `size` (H, W) that is 0 elsewhere; without `size` the
    rectangle is the picture.
    """
    height, width = size or mask.shape
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)  # a 0 before and after each column
    columns[:, 1:-1] = mask.T
    steps = np.diff(columns, axis=1)

    def positions(step: int) -> np.ndarray:
        column, row = np.divmod(np.flatnonzero(steps == step), steps.shape[1])
        return (column + left) * height + row + top

    starts, ends = positions(1), positions(-1)
    joined = np.flatnonzero(ends[:-1] == starts[1:])  # a run that goes on at the top of the next column
    starts, ends = np.delete(starts, joined + 1), np.delete(ends, joined)
    bounds = np.stack([starts, ends], axis=1).ravel()
    counts = np.diff(bounds, prepend=0, append=height * width)
    return (counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts).astype(np.uint32)


def decode(counts: np.ndarray | list[int] | str | bytes, size: tuple[int, int]) -> np.ndarray:
    """[H, W] bool mask of counts or their string; ValueError where they do not add up to the picture."""
    height, width = size
    counts = decompress(counts) if isinstance(counts, str | bytes) else np.asarray(counts, np.int64)
    if (counts < 0).any():
        raise ValueError("run lengths below 0")
    total = int(np.sum(counts, dtype=np.float64)) if len(counts) else 0
    if total != height * width:
        raise ValueError(f"run lengths add up to {total}, a mask of {height} x {width} has {height * width} pixels")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def compress(counts: np.ndarray) -> str:
    """The string of counts."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    characters = []
    for value in values.tolist():
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            characters.append(chr(48 + bits + 32 * more))
            if not more:
                break
    return "".join(characters)


def decompress(string: str | bytes) -> np.ndarray:
    """Counts, int64, of their string; ValueError for what no mask can have."""
    numbers: list[int] = []
    value = shift = 0
    for character in string.encode() if isinstance(string, str) else string:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
            value = shift = 0
    if max(map(abs, numbers), default=0) >= 1 << 63:
        raise ValueError("run lengths that no mask can have")
    return np.array(numbers, np.int64)

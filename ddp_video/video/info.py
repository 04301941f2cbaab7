"""What a reader says about a video, and what it gives: plain values, no FFmpeg objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import NoneType

import numpy as np


@dataclass(frozen=True)
class VideoInfo:
    """Facts of one video.

    size: (H, W) px as shown, that is after rotation. time_base: seconds per unit of pts. average_rate: frames per
    second. frame_count, duration_seconds: of the whole source, as far as the container tells; None where it does not.
    pixel_aspect: width / height of one pixel as shown (1 but for anamorphic video).
    """

    path: str
    size: tuple[int, int]
    time_base: Fraction
    average_rate: Fraction
    frame_count: int | None
    duration_seconds: float | None
    codec: str
    pixel_format: str
    has_audio: bool
    pixel_aspect: Fraction = Fraction(1)

    def describe(self) -> dict:
        """The same facts as JSON can hold them; fractions are text ("30000/1001")."""
        fractions = {name: str(getattr(self, name)) for name in ("time_base", "average_rate", "pixel_aspect")}
        return {**vars(self), "size": list(self.size), **fractions}

    @classmethod
    def parse(cls, facts: dict) -> VideoInfo:
        """The inverse of `describe`; ValueError, naming the first fact that cannot be one."""
        values = {}
        for name, right in _FACTS.items():
            value = facts.get(name)
            if not right(value):
                raise ValueError(f"{name} is {str(value)[:40]!r}")
            values[name] = Fraction(value) if right is _is_fraction else value
        return cls(**values | {"size": tuple(values["size"])})


def _is_fraction(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,17}(/[1-9][0-9]{0,17})?", value) is not None


def _is_size(value: object) -> bool:
    return isinstance(value, list) and [type(n) for n in value] == [int, int] and all(0 < n < 1 << 16 for n in value)


def _is(*types: type) -> Callable[[object], bool]:
    return lambda value: type(value) in types


# What each fact of `VideoInfo.describe` looks like.
_FACTS: dict[str, Callable[[object], bool]] = {
    "path": _is(str),
    "size": _is_size,
    "time_base": _is_fraction,
    "average_rate": _is_fraction,
    "frame_count": _is(int, NoneType),
    "duration_seconds": _is(int, float, NoneType),
    "codec": _is(str),
    "pixel_format": _is(str),
    "has_audio": _is(bool),
    "pixel_aspect": _is_fraction,
}


@dataclass(frozen=True)
class Frame:
    """One decoded picture.

    rgb: [H, W, 3] uint8. pts: in units of `VideoInfo.time_base`, strictly increasing from frame to frame. index:
    position among the frames that the reader gives (after start, end and stride).
    """

    rgb: np.ndarray
    pts: int
    pts_seconds: float
    index: int

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, pts={self.pts}, rgb=uint8{list(self.rgb.shape)})"


@dataclass
class ReadReport:
    """What one pass over a source met and survived.

    damaged_packets: compressed packets (of image sequences: files) that could not be read or decoded whole.
    """

    damaged_packets: int = 0

"""What a reader says about a video, and what it gives: plain values, no FFmpeg objects."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

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

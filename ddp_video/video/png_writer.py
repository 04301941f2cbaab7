"""Writing image sequences."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ddp_video.errors import OutputError
from ddp_video.video.frame_writer import FrameWriter

TIMES_FILE = "timestamps.txt"


class PngSequenceWriter(FrameWriter):
    """Writes a folder of lossless RGB images, 000000.png and on, and their times.

    timestamps.txt has the time of each frame in milliseconds, as `mkvmerge --timestamps` and other tools read it
    ("timestamp format v2"). An older sequence in the folder is replaced; any other folder of that name is refused.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], time_base: Fraction, origin: int = 0):
        super().__init__(path, size)
        self._older = self.path.with_name(self.path.name + ".old")
        self._time_base, self._origin = time_base, origin
        self._times: list[str] = []
        if self.path.exists() and not (self.path / TIMES_FILE).is_file():
            raise OutputError(
                f"{self.path} exists and is not an image sequence of ours; remove it or give another name"
            )
        with self._guarded():
            for leftover in (self.partial, self._older):
                shutil.rmtree(leftover, ignore_errors=True)
            self.partial.mkdir(parents=True)

    def _write(self, rgb: np.ndarray, pts: int) -> None:
        _, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        (self.partial / f"{len(self._times):06d}.png").write_bytes(png)
        self._times.append(f"{float((pts - self._origin) * self._time_base * 1000):.6f}")

    def _finish(self) -> None:
        (self.partial / TIMES_FILE).write_text("# timestamp format v2\n" + "\n".join(self._times) + "\n")
        if self.path.exists():  # moved away first: half of it would not be known for a sequence of ours
            self.path.rename(self._older)
        self.partial.rename(self.path)
        shutil.rmtree(self._older, ignore_errors=True)

    def _discard(self) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)

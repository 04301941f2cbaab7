"""What all writers of frames share: checks, and appearing whole or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from av import FFmpegError

from ddp_video.errors import OutputError


class FrameWriter(ABC):
    """Takes RGB frames of one size with rising pts.

    The result appears under its name when `close` (or leaving the `with` block without exception) has finished it;
    until then it is NAME.part, which an exception or `abort` removes, and an older result under the name stays.
    Without a single frame nothing appears. Raises OutputError where it cannot be written.
    """

    def __init__(self, path: str | Path, size: tuple[int, int]):
        self.path, self.size = Path(path), size
        self.partial = self.path.with_name(self.path.name + ".part")
        self.first_pts: int | None = None
        self.last_pts: int | None = None
        self._open = True

    def write(self, rgb: np.ndarray, pts: int) -> None:
        """Append one frame. rgb: [H, W, 3] uint8. pts: in units of the writer's time base, later than the one before."""
        if rgb.dtype != np.uint8 or rgb.shape != (*self.size, 3):
            raise ValueError(f"{self.path.name} takes uint8 {[*self.size, 3]}, got {rgb.dtype} {list(rgb.shape)}")
        if self.last_pts is not None and pts <= self.last_pts:
            raise ValueError(f"pts must rise from frame to frame, got {pts} after {self.last_pts}")
        if not self._open:
            raise ValueError(f"{self.path.name} is closed")
        if self.first_pts is None:
            self.first_pts = pts
        self.last_pts = pts
        with self._guarded():
            self._write(rgb, pts)

    def close(self) -> None:
        """Finish the result and give it its name."""
        if self._open and self.last_pts is None:
            self.abort()
        elif self._open:
            with self._guarded():
                self._finish()
                self._open = False

    def abort(self) -> None:
        """Drop what was written."""
        if self._open:
            self._open = False
            self._discard()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever goes wrong drops the partial result; failures of the disk become OutputError."""
        try:
            yield
        except (FFmpegError, OSError) as error:
            self.abort()
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"cannot write {self.path}: {reason}; is the disk full or the folder read-only?"
            ) from None
        except BaseException:
            self.abort()
            raise

    @abstractmethod
    def _write(self, rgb: np.ndarray, pts: int) -> None: ...

    @abstractmethod
    def _finish(self) -> None:
        """Complete `partial` and rename it."""

    @abstractmethod
    def _discard(self) -> None:
        """Remove `partial`; never raises."""

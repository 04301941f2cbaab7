"""Image folders and globs as videos: natural order, a frame rate of choice, pts = index."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ddp_video.errors import VideoOpenError
from ddp_video.ordering import natural_key
from ddp_video.video.info import ReadReport, VideoInfo

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
DEFAULT_RATE = Fraction(25)


def find_images(source: str) -> list[Path] | None:
    """The images of a folder, a glob or a single image file, in natural order; None where `source` is none of these."""
    path = Path(source)
    if path.is_dir():
        found = [item for item in path.iterdir() if _is_image(item)]
        if not found:
            raise VideoOpenError(f"{source}: a folder without images ({' '.join(sorted(IMAGE_SUFFIXES))}) to read")
    elif path.is_file():
        if not _is_image(path):
            return None
        found = [path]
    elif glob.has_magic(source):
        found = [item for item in map(Path, glob.glob(source, recursive=True)) if _is_image(item)]  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if not found:
            raise VideoOpenError(f"{source}: no image matches; quote the pattern and check the folder")
    else:
        return None
    return sorted(found, key=natural_key)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith(".")


def read_image(path: Path) -> np.ndarray | None:
    """[H, W, 3] uint8 RGB, upright by its EXIF tag, 16 bits cut to 8, alpha dropped; None where it cannot be read."""
    try:
        bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


class ImageSource:
    """Reads a list of image files; the reader's other half is `VideoFile`."""

    def __init__(self, source: str, paths: list[Path], rate: Fraction):
        first = next((image for image in map(read_image, paths) if image is not None), None)
        if first is None:
            raise VideoOpenError(f"{source}: none of its {len(paths)} images can be read; are they damaged?")
        self.paths = paths
        self.report = ReadReport()
        self.info = VideoInfo(
            path=source,
            size=first.shape[:2],
            time_base=1 / rate,
            average_rate=rate,
            frame_count=len(paths),
            duration_seconds=float(len(paths) / rate),
            codec=paths[0].suffix[1:].lower(),
            pixel_format="rgb24",
            has_audio=False,
        )

    @property
    def origin(self) -> int:
        return 0

    def frames(self, first_pts: int) -> Iterator[tuple[int, Callable[[], np.ndarray]]]:
        """(pts, a function that gives the picture) of every readable image from `first_pts` on."""
        self.report = ReadReport()
        for pts, path in enumerate(self.paths[first_pts:], first_pts):
            image = read_image(path)
            if image is None:
                self.report.damaged_packets += 1
            else:
                yield pts, lambda image=image: image

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in self.paths:
            facts = path.stat()
            digest.update(f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()

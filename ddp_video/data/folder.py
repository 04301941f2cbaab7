"""A folder of pictures with dense label maps, and a folder of photographs without people.

The one place that knows the layout of the maps: NAME.jpg or .png, NAME_iuv.png (channels I, 255 U, 255 V as OpenCV reads them)
and NAME_inst.png (0 = nobody, 1..n = person). Labels that a machine made may leave gaps: I = UNLABELLED where dense pose
covers a person but nobody knows with which chart, one of `choices` where the chart is one of a few, U = V = 0 where only the
chart is known, and IGNORE in NAME_inst.png where there may be a person.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import cv2
import numpy as np

from ddp_video.data.choices import ALLOWED
from ddp_video.data.sample import UNLABELLED, Sample, named
from ddp_video.errors import DataError, NoPicturesError
from ddp_video.ordering import natural_key

HELD_OUT = 64  # one picture in so many

_MEANS_SOMETHING = ALLOWED.any(1)  # [256] bool, by value of a part map
_MEANS_SOMETHING[UNLABELLED] = True


def is_held_out(name: str) -> bool:
    """Whether a picture is kept from training: decided by its name alone, so that a folder may grow."""
    return zlib.crc32(name.encode()) % HELD_OUT == 0


class DenseFolder:
    """Pictures with a chart, u, v and a person at every pixel.

    Args:
        path: the folder.
        held_out: False gives the pictures to train on, True the few kept for validation, None all.
    Raises:
        NoPicturesError: where there is no such picture.
        DataError: where one cannot be read.
    """

    charts = "ddp-video"

    def __init__(self, path: str | Path, held_out: bool | None = False):
        self.path = Path(path)
        names = [e.name[:-9] for e in _entries(self.path) if e.name.endswith("_inst.png")]
        names.sort(key=lambda name: natural_key(name + ".jpg"))  # as the pictures themselves are ordered
        self.names = [n for n in names if held_out is None or is_held_out(n) == held_out]
        if not self.names:
            raise NoPicturesError(f"no labelled pictures in {path}: needed NAME.jpg, NAME_iuv.png and NAME_inst.png")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        stem = self.path / self.names[index]
        photograph, lossless = (stem.with_name(stem.name + suffix) for suffix in (".jpg", ".png"))
        image = read_image(lossless if lossless.exists() else photograph)
        iuv = _read(stem.with_name(stem.name + "_iuv.png"), cv2.IMREAD_COLOR)
        instance = _read(stem.with_name(stem.name + "_inst.png"), cv2.IMREAD_GRAYSCALE)
        if not image.shape[:2] == iuv.shape[:2] == instance.shape:
            raise DataError(f"{stem}: picture and label maps differ in size")
        part = np.ascontiguousarray(iuv[..., 0])
        if not _MEANS_SOMETHING[part].all():
            raise DataError(
                f"{stem}_iuv.png names chart {part[~_MEANS_SOMETHING[part]][0]}; needed 0 to 24 or a choice"
            )
        people = int(named(instance).max())
        return Sample(image, instance, part > 0, np.ones(people, bool), part, np.ascontiguousarray(iuv[..., 1:]))


class Photographs:
    """Photographs without people: everything in them is background."""

    charts = None

    def __init__(self, path: str | Path):
        suffixes = (".jpg", ".jpeg", ".png")
        self.files = sorted(Path(e.path) for e in _entries(Path(path)) if e.name.lower().endswith(suffixes))
        if not self.files:
            raise DataError(f"no photographs (jpg, png) in {path}")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        return Sample.without_people(read_image(self.files[index]))


def read_image(path: Path) -> np.ndarray:
    """[H, W, 3] uint8 RGB."""
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _read(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise DataError(f"cannot read {path}: missing or damaged")
    return image


def _entries(path: Path) -> list[os.DirEntry]:
    if not path.is_dir():
        raise DataError(f"no such data folder: {path}")
    with os.scandir(path) as entries:
        return list(entries)

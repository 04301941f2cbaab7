"""Gather again the free photographs and frames that the shipped weights learnt from, to label and to train on.

git clone every source OWNER/NAME of the list to CLONES/OWNER+NAME first, then
python examples/gather_pictures.py weights/people.tsv CLONES frames
ddp-video label frames -o real --bodypix ... --blazepose ...
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import cv2
import numpy as np

from ddp_video.errors import DDPVideoError
from ddp_video.video import VideoReader

LONGER_SIDE = 1280  # px, at most
QUALITY = 93


def read_list(path: Path) -> list[dict[str, str]]:
    """Rows with the columns source, file and, of videos, frame (0 = the first)."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def content_of(clone: Path, file: str) -> bytes | None:
    """A file of the newest commit of a clone, bare or not; None where it is not there."""
    found = subprocess.run(["git", "-C", clone, "cat-file", "blob", f"HEAD:{file}"], capture_output=True)
    return found.stdout if found.returncode == 0 else None


def frames_of(content: bytes, numbers: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames [H, W, 3] BGR of a video with these numbers, in order."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        for number, frame in enumerate(VideoReader(file.name, max_frames=max(numbers) + 1)):
            if number in numbers:
                yield number, frame.rgb[..., ::-1]


def pictures_of(content: bytes, frames: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Pictures [H, W, 3] BGR that a file holds, and what to add to its name for each."""
    numbers = [int(frame) for frame in frames if frame]
    if numbers:
        yield from ((f"_{number:05d}", frame) for number, frame in frames_of(content, numbers))
        return
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is not None:
        yield "", picture


def save(picture: np.ndarray, path: Path) -> None:
    scale = min(LONGER_SIDE / max(picture.shape[:2]), 1)
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", type=Path)
    parser.add_argument("clones", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows, written = read_list(arguments.list), 0
    for (source, file), group in groupby(rows, itemgetter("source", "file")):
        content = content_of(arguments.clones / source.replace("/", "+"), file)
        if content is None:
            print(f"not there: {source}: {file}")
            continue
        stem = f"{source}__{file}".replace("/", "__").replace(" ", "_").replace(".", "-")
        try:
            for suffix, picture in pictures_of(content, [row.get("frame") or "" for row in group]):
                save(picture, arguments.output / f"{stem}{suffix}.jpg")
                written += 1
        except DDPVideoError as error:
            print(f"{source}: {file}: {error}")
    print(f"{written} of {len(rows)} pictures in {arguments.output}")


if __name__ == "__main__":
    main()

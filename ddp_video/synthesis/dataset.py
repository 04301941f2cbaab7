"""Writing many pictures: dense label maps and COCO JSON, by any number of processes with the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from ddp_video.data.coco_file import by_image, read_coco
from ddp_video.errors import OutputError
from ddp_video.synthesis import coco
from ddp_video.synthesis.generator import Generator
from ddp_video.synthesis.render import Frame

JPEG_QUALITY = 92
ANNOTATIONS = "annotations.json"


def write_file(path: Path, data: bytes) -> None:
    """Write bytes; raises OutputError with one line where that fails."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another -o") from error


def make_folder(path: Path) -> None:
    """Make a folder that can be written to; raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}; choose another -o") from error
    if not os.access(path, os.W_OK):
        raise OutputError(f"cannot write into {path}: permission denied; choose another -o")


def encode(suffix: str, image: np.ndarray, *parameters: int) -> bytes:
    """An image (channels as OpenCV orders them) as a file's bytes."""
    return cv2.imencode(suffix, image, parameters)[1].tobytes()


def write_picture(folder: Path, name: str, frame: Frame, suffix: str = ".jpg") -> None:
    """NAME.jpg (or .png), NAME_iuv.png (channels I, 255 U, 255 V), NAME_inst.png, NAME_depth.png (uint16, mm), NAME.npz
    (keypoints: kps [n, 17, 3])."""
    fast = (cv2.IMWRITE_PNG_COMPRESSION, 1)
    quality = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY) if suffix == ".jpg" else fast
    millimetres = np.minimum(frame.depth * 1000, 65535).astype(np.uint16)
    write_file(folder / (name + suffix), encode(suffix, frame.image[..., ::-1], *quality))
    write_file(folder / (name + "_iuv.png"), encode(".png", frame.iuv(), *fast))
    write_file(folder / (name + "_inst.png"), encode(".png", frame.person, *fast))
    write_file(folder / (name + "_depth.png"), encode(".png", millimetres, *fast))
    np.savez(folder / (name + ".npz"), kps=frame.keypoints)


class _Job:
    """What a worker does with an index; made before the processes fork, so that they share one pack in memory."""

    generator: Generator
    folder: Path
    seed: int
    suffix: str


def _make_picture(index: int) -> tuple[str, list[dict]]:
    frame = _Job.generator.draw(_Job.seed, index)
    name = f"{_Job.seed:04d}_{index:06d}"
    write_picture(_Job.folder, name, frame, _Job.suffix)
    rng = np.random.default_rng([_Job.seed, index, 1])
    return name + _Job.suffix, coco.annotations(frame.person, frame.part, frame.uv, frame.keypoints, rng)


def in_order(function: Callable, items: range, workers: int, chunk: int = 4) -> Iterator:
    """Results of a function for each item, in order, from a number of forked processes."""
    if workers <= 1:
        yield from map(function, items)
        return
    # forked: the open pack is shared, not loaded once a process
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from pool.imap(function, items, chunksize=chunk)


def _earlier(folder: Path) -> dict[str, tuple[dict, list[dict]]]:
    """By name, the images that a folder's annotations.json holds already, each with its annotations."""
    path = folder / ANNOTATIONS
    if not path.exists():
        return {}
    images, annotations, _ = read_coco(path)
    found = by_image(annotations)
    return {image["file_name"]: (image, found[image["id"]]) for image in images}


def write_dataset(
    generator: Generator,
    folder: Path,
    count: int,
    seed: int,
    workers: int = 1,
    first: int = 0,
    suffix: str = ".jpg",
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write pictures first .. first + count - 1 of a seed and their annotations.json, after what it holds of others."""
    make_folder(folder)
    _Job.generator, _Job.folder, _Job.seed, _Job.suffix = generator, folder, seed, suffix
    height, width = generator.renderer.size
    pictures = _earlier(folder)
    for done, (name, found) in enumerate(in_order(_make_picture, range(first, first + count), workers), 1):
        pictures.pop(name, None)
        pictures[name] = {"file_name": name, "width": width, "height": height}, found
        progress(done)
    images, annotations = [], []
    for number, (image, found) in enumerate(pictures.values(), 1):
        images.append({**image, "id": number})
        annotations += [{**a, "id": len(annotations) + k, "image_id": number} for k, a in enumerate(found, 1)]
    content = {"info": coco.INFO, "images": images, "annotations": annotations, "categories": [coco.CATEGORY]}
    part = folder / (ANNOTATIONS + ".part")
    write_file(part, json.dumps(content).encode())
    part.replace(folder / ANNOTATIONS)

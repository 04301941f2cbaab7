"""Damaged files for every reader: what each reads, how it is damaged, and what may come of it.

A reader gives what it can, or raises an error of ours (DDPVideoError, ValueError) of one line; whatever else comes out of
`attack` is a fault. `tests/test_fuzz.py` tries a few of each, `benchmarks/endurance.py fuzz` thousands.
"""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from alike import IUV_ONLY
from discs import DiscPredictor, moving_discs, write_video
from safetensors.torch import save_file

from ddp_video.data.densepose_coco import DensePoseCoco
from ddp_video.decode import decode
from ddp_video.errors import DDPVideoError
from ddp_video.metrics.labels import CocoLabels
from ddp_video.model.config import CONFIGS
from ddp_video.model.densepose_rcnn import checkpoint
from ddp_video.model.weights import load_model
from ddp_video.pipeline import infer
from ddp_video.predictions import open_predictions
from ddp_video.redraw import redraw
from ddp_video.runs import RunFolder
from ddp_video.video import VideoReader

MOST_FRAMES = 64  # of a damaged video that says it has a million
HUGE = [0xFF, 0x7F, 0x80, 0x00]
ODD_VALUES = [
    None,
    True,
    -1,
    0,
    1,
    1e308,
    -1e308,
    float("inf"),
    float("nan"),
    10**12,
    10**40,
    "",
    "x",
    "1/0",
    [],
    {},
    [[]],
]
ODD_VALUES += [[10**9, 10**9], [-1, -1], ["x"], {"size": [10**9, 10**9], "counts": [10**18]}]


@dataclass(frozen=True)
class Target:
    """files: whole ones, each of which is damaged in turn (one at a time). read: a reader, given the file's path."""

    name: str
    files: list[Path]
    read: Callable[[Path], object]
    is_json: bool = False


def attack(target: Target, seed: int) -> str:
    """Damage one of a target's files, read it, and put it right again. What came of it: 'read' or the error's text."""
    chance = random.Random(f"{target.name} {seed}")
    file = chance.choice(target.files)
    whole = file.read_bytes()
    damaged = damage_json(whole, chance) if target.is_json and chance.random() < 0.8 else damage(whole, chance)
    file.write_bytes(damaged)
    try:
        target.read(file)
        return "read"
    except (DDPVideoError, ValueError) as error:
        assert "\n" not in str(error).strip(), f"{target.name} {seed}: {error}"
        return str(error)
    finally:
        file.write_bytes(whole)


def damage(data: bytes, chance: random.Random) -> bytes:
    """Cut short, bits turned, numbers made huge, pieces lost, doubled or moved."""
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5, 20])):
        # Headers matter most, and lie at either end.
        reach = chance.choice([64, 1024, len(data)])
        at = min(chance.randrange(max(reach, 1)), len(data))
        at = len(data) - at if chance.random() < 0.2 else at
        kind = chance.randrange(6)
        if kind == 0:
            del data[at:]
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            length = chance.choice([2, 4, 8])
            data[at : at + length] = bytes([chance.choice(HUGE)]) * length
        elif kind == 3:
            del data[at : at + chance.randrange(1, 64)]
        elif kind == 4:
            data[at:at] = data[at : at + chance.randrange(1, 64)]
        else:
            data[at : at + 8] = chance.randbytes(8)
    return bytes(data)


def damage_json(data: bytes, chance: random.Random) -> bytes:
    """A value somewhere replaced by an odd one, or left out, or nested deeper than anybody reads."""
    content = json.loads(data)
    for _ in range(chance.choice([1, 1, 3])):
        place, key = content, chance.choice(list(content))
        while isinstance(place[key], dict | list) and place[key] and chance.random() < 0.85:
            place = place[key]
            key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
        if chance.random() < 0.2:
            del place[key]
        else:
            place[key] = copy.deepcopy(chance.choice(ODD_VALUES))
        if not content:
            break
    text = json.dumps(content)
    return (text.replace("null", "[" * 100_000, 1) if chance.random() < 0.02 else text).encode()


# --- targets --------------------------------------------------------------------------------------------------------


def make_targets(folder: Path, run: RunFolder, weights: Path) -> list[Target]:
    """All of them, with files of their own in `folder`. `run`: a finished run folder of a few frames (it is damaged, and
    mended). `weights`: a file of ours, without a hash in its name."""
    blocks = [file for file in run.store.rglob("*") if file.is_file()]
    pickles, pths, safe = _checkpoints(folder)
    return [
        Target("video", _videos(folder), _read_video),
        Target("image", _images(folder), _read_video),
        Target("store", blocks, lambda _: _read_store(run)),
        Target("run.json", [run.path / "run.json"], lambda file: _read_run(file.parent), is_json=True),
        Target("weights", [weights], load_model),
        Target("densepose pickle", pickles, checkpoint.read_tensors),
        Target("densepose pth", pths, checkpoint.read_tensors),
        Target("densepose safetensors", safe, checkpoint.read_tensors),
        Target("coco", [_coco(folder)], _read_coco, is_json=True),
    ]


def make_run(folder: Path) -> RunFolder:
    video = write_video(folder / "clip.mkv", moving_discs(18))
    return infer(video, DiscPredictor(), folder / "run", pictures=IUV_ONLY)


def make_weights(folder: Path) -> Path:
    """A small network of another shape than the description says: enough for all that reads it before the network is
    made."""
    header = {"format": 1, "config": CONFIGS["ddp_lite"].to_dict(), "metadata": {"recipe": "none"}}
    path = folder / "small.safetensors"
    state = {"fpn.coarsest.bias": torch.zeros(96), "fpn.coarsest.weight": torch.zeros(96, 8, 1, 1)}
    save_file(state, path, {"ddp_video": json.dumps(header)})
    return path


def _videos(folder: Path) -> list[Path]:
    kinds = [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.mov", "mpeg4", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.flv", "flv1", "yuv420p"),
    ]
    for name, codec, pixel_format in kinds:
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
            stream.codec_context.time_base = Fraction(1, 25)
            for pts, picture in enumerate(moving_discs(8, 48, 64)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
                frame.pts, frame.time_base = pts, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return [folder / name for name, *_ in kinds]


def _images(folder: Path) -> list[Path]:
    suffixes = (".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm", ".jp2")
    for suffix in suffixes:
        cv2.imwrite(str(folder / f"image{suffix}"), moving_discs(1)[0])
    return [folder / f"image{suffix}" for suffix in suffixes]


def _checkpoints(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    rng = np.random.default_rng(0)
    arrays = {f"backbone.layer{k}.weight": rng.random((4, 3, k + 1), np.float32) for k in range(6)}
    content = {"model": arrays, "__author__": "nobody", "iteration": 7, "scale": np.float64(2)}
    for protocol in (2, 4, 5):
        (folder / f"p{protocol}.pkl").write_bytes(pickle.dumps(content, protocol))
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"model": tensors}, folder / "t.pth")
    save_file(tensors, folder / "t.safetensors")
    return [folder / f"p{protocol}.pkl" for protocol in (2, 4, 5)], [folder / "t.pth"], [folder / "t.safetensors"]


def _coco(folder: Path) -> Path:
    mask = {"size": [256, 256], "counts": [1000, 30000, 34536]}
    person = {
        "id": 1,
        "image_id": 7,
        "category_id": 1,
        "iscrowd": 0,
        "area": 500.0,
        "bbox": [10.0, 5.0, 50.0, 40.0],
        "segmentation": [[10.0, 5.0, 60.0, 5.0, 60.0, 45.0]],
        "dp_x": [10.0, 100.0],
        "dp_y": [20.0, 200.0],
        "dp_I": [2.0, 23.0],
        "dp_U": [0.25, 0.5],
        "dp_V": [0.75, 1.0],
        "dp_masks": [mask, []] * 7,
    }
    crowd = {**person, "id": 2, "iscrowd": 1, "segmentation": {"size": [64, 96], "counts": "PPY11O1"}}
    path = folder / "people.json"
    cv2.imwrite(str(folder / "a.png"), moving_discs(1)[0])
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 64, "width": 96}],
        "annotations": [person, crowd],
        "categories": [{"id": 1, "name": "person"}],
    }
    path.write_text(json.dumps(content))
    return path


# --- readers: everything that a user of the file would do with it ---------------------------------------------------


def _read_video(path: Path) -> None:
    reader = VideoReader(path, max_frames=MOST_FRAMES)
    last = None
    for frame in reader:
        assert frame.rgb.shape == (*reader.info.size, 3) and (last is None or frame.pts > last)
        last = frame.pts
    assert reader.frame_count is None or reader.frame_count >= 0
    reader.fingerprint()
    list(VideoReader(path, start=0.1, max_frames=2))


def _read_store(run: RunFolder) -> None:
    predictions = open_predictions(run.path)
    for prediction in predictions:
        decode(prediction)


def _read_run(folder: Path) -> None:
    run = RunFolder.open(folder)
    assert isinstance(run.finished, bool) and isinstance(run.source, str)
    redraw(run, folder / "again", IUV_ONLY, overwrite=True)
    run.reader()


def _read_coco(path: Path) -> None:
    labels = CocoLabels(path, path.parent)
    for index in range(len(labels)):
        labels.people(index)
    data = DensePoseCoco(path, path.parent, held_out=None)
    for index in range(len(data)):
        assert data[index].image.ndim == 3

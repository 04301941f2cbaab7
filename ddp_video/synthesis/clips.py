"""Writing shots: videos with their frames, label maps and exact flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from ddp_video.synthesis.dataset import in_order, make_folder, write_picture
from ddp_video.synthesis.generator import Generator, ShotFrame
from ddp_video.video import VideoWriter


class _Clips:
    """What a worker does with an index; set before the processes fork."""

    generator: Generator
    folder: Path
    seed: int
    frames: int
    fps: Fraction


def _make_clip(index: int) -> str:
    generator, job = _Clips.generator, _Clips
    rng = np.random.default_rng([job.seed, index, 2])  # a row of its own: clip 0 is not picture 0 that goes on
    name = f"{job.seed:04d}_{index:06d}"
    scene = generator.scenes.draw(rng, job.frames, float(job.fps))
    write_clip(job.folder / name, job.folder / (name + ".mp4"), generator.shot(scene, rng), job.fps)
    return name


def write_clip(folder: Path, video: Path, shot: Iterable[ShotFrame], fps: Fraction) -> None:
    """A video, and a folder with its frames as PNG, their label maps, and TTTTT_flow.npz: forward, backward [H, W, 2]
    float16 px, forward_visible, backward_visible [H, W] bool (those that there are)."""
    make_folder(folder)
    writer = None
    for t, item in enumerate(shot):
        image = np.ascontiguousarray(item.frame.image)
        if writer is None:
            writer = VideoWriter(video, image.shape[:2], 1 / fps, fps)
        writer.write(image, t)
        write_picture(folder, f"{t:05d}", item.frame, ".png")
        flows = {}
        for name, found in (("forward", item.forward), ("backward", item.backward)):
            if found is not None:
                flows[name], flows[name + "_visible"] = found[0].astype(np.float16), found[1]
        np.savez_compressed(folder / f"{t:05d}_flow.npz", **flows)
    if writer is not None:
        writer.close()


def write_clips(
    generator: Generator,
    folder: Path,
    count: int,
    seed: int,
    frames: int,
    fps: Fraction,
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write clips 0 .. count - 1 of a seed: NAME.mp4 and the folder NAME."""
    make_folder(folder)
    _Clips.generator, _Clips.folder, _Clips.seed, _Clips.frames, _Clips.fps = generator, folder, seed, frames, fps
    for done, _ in enumerate(in_order(_make_clip, range(count), workers, chunk=1), 1):
        progress(done)

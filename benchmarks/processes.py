"""Whole commands in processes of their own: start-up time, and memory against the length of the clip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.report import Table
from benchmarks.settings import CLIP, Settings
from benchmarks.timing import Timing
from ddp_video.video import VideoReader, VideoWriter

FRAMES = (400, 1200)  # the first few hundred fill the queues and what the C library keeps for them


def startup(settings: Settings) -> Table:
    """How long it is until something happens."""
    first_frame = [*_infer(settings, CLIP, "OUT"), "--max-frames", "1"]
    commands = {
        "ddp-video --help": ["-m", "ddp_video", "--help"],
        "import torch": ["-c", "import torch"],
        "import torch, torchvision": ["-c", "import torch, torchvision"],
        "infer, one frame": first_frame,
    }
    rounds: dict[str, list[Timing]] = {name: [] for name in commands}
    for number in range(settings.rounds + 1):
        for name, command in commands.items():
            timing = _run(command)
            if number:  # the first warms the disk's cache
                rounds[name].append(timing)
    return Table(
        "Start-up",
        ("command", "CPU s", "wall s"),
        [(name, median(t.cpu for t in of), median(t.wall for t in of)) for name, of in rounds.items()],
        "Warm disk cache. Of `infer` to its first frame, the import of torch is to be subtracted.",
    )


def memory(settings: Settings) -> Table:
    """The largest resident size of `infer --smooth`, by the number of frames."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        frames = settings.sides(*FRAMES)
        _repeat(video, max(frames))
        for count in frames:
            _run([*_infer(settings, video, folder), "--smooth", "--flow", "dis", "--max-frames", str(count)])
            facts = json.loads((Path(folder) / "long" / "run.json").read_text())["statistics"]
            rows.append((count, facts["peak_memory_mib"]))
    rows.append(("ratio", rows[-1][1] / rows[0][1]))
    return Table(
        "Peak memory",
        ("frames", "MiB"),
        rows,
        "The example clip, repeated; process of its own for each length; with PyTorch itself.",
    )


def _infer(settings: Settings, video: Path, folder: str) -> list[str]:
    return ["-m", "ddp_video", "infer", str(video), "-o", folder, "--overwrite", "-q", "--device", settings.device]


def _repeat(path: Path, count: int) -> None:
    """Write `count` frames of the example clip, over and over."""
    frames = [frame.rgb for frame in VideoReader(CLIP)]
    with VideoWriter(path, frames[0].shape[:2], Fraction(1, 25), Fraction(25)) as writer:
        for pts, frame in enumerate(islice(cycle(frames), count)):
            writer.write(frame, pts)


def _run(command: list[str]) -> Timing:
    with tempfile.TemporaryDirectory() as folder:
        command = [folder if part == "OUT" else part for part in command]
        before, wall = os.times(), time.perf_counter()
        result = subprocess.run([sys.executable, *command], capture_output=True, text=True)
        wall, after = time.perf_counter() - wall, os.times()
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {result.stderr.strip()[-400:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Timing(wall, used)

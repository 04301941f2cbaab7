"""Synthetic people: pictures a second, milliseconds by stage, memory a worker, and two workers against one.

python -m benchmarks.synthesis PACK PICTURES      one process's figures as JSON; `synthesis` runs it in a child
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.report import Table
from benchmarks.settings import Settings
from benchmarks.timing import Stopwatch
from ddp_video.allocator import peak_memory_mib
from ddp_video.synthesis import render
from ddp_video.synthesis.dataset import write_dataset
from ddp_video.synthesis.generator import Generator

SIDE = 384  # px
PICTURES = 120
WORKERS = (1, 2)
_SEED = 20
_STAGES = (  # of a picture: what does it, its method, what it is called in the table
    ("wardrobe", "draw", "bodies and clothes"),
    ("director", "draw", "poses"),
    ("backdrops", "draw", "backdrops"),
    ("furnisher", "draw", "things"),
)
_KERNELS = {
    "shade_pixels": "colour",
    "draw_planes": "backdrop, drawn",
    "rasterize": "visibility and shadow map",
    "label_pixels": "labels",
    "smear": "motion blur",
    "develop": "lens, sensor, codec",
}


def synthesis(settings: Settings) -> dict[str, Table]:
    """Tables of one process's figures, of its stages, and of workers side by side."""
    if settings.pack is None:
        return {"synthesis": Table("Synthetic people", ("figure", "measured"), [], "Left out: --pack was not given.")}
    (count,) = settings.sides(PICTURES)
    child = [sys.executable, "-m", "benchmarks.synthesis", str(settings.pack), str(count)]
    found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    people, seconds = found["people"], found["cpu_seconds"]
    rows = [
        ("pictures/s a core (CPU)", 1 / seconds),
        ("people in sight a picture", people),
        ("the same at 2.5 people (fitted)", 1 / found["cpu_seconds_at_2.5"]),
        ("MiB, one process, at most", found["peak_mib"]),
        ("MiB that a further worker adds", found["worker_mib"]),
    ]
    notes = (
        f"{count} pictures of {SIDE} px, seed {_SEED}, in memory. CPU seconds a picture are fitted to a line in the number "
        "of people in sight. A worker is forked and shares the pack."
    )
    stages = [(name, 1000 * cpu, cpu / seconds) for name, cpu in sorted(found["stages"].items(), key=lambda s: -s[1])]
    return {
        "synthesis": Table("Synthetic people", ("figure", "measured"), rows, notes),
        "synthesis_stages": Table("Synthetic people: stages", ("stage", "CPU ms a picture", "share"), stages),
        "synthesis_workers": _workers(settings, count),
    }


def _workers(settings: Settings, count: int) -> Table:
    """Wall time of writing a data set with one worker and with two."""
    generator = Generator(settings.pack, SIDE)
    wall: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(settings.rounds + 1):
            for workers in WORKERS:
                began = time.perf_counter()
                write_dataset(generator, Path(folder), count, _SEED, workers)
                if number:
                    wall[workers].append(time.perf_counter() - began)
    one = median(wall[1])
    rows = [(workers, count / median(of), one / median(of)) for workers, of in wall.items()]
    notes = (
        f"Written to disk, compressed. This machine has {os.cpu_count()} cores and a load of {os.getloadavg()[0]:.1f}: "
        "with other work on them the ratio says little."
    )
    return Table("Synthetic people: workers", ("workers", "pictures/s (wall)", "ratio"), rows, notes)


def _watched(watch: Stopwatch, generator: Generator) -> ExitStack:
    """While it lasts, the stages of every picture are counted."""
    scenes, renderer = generator.scenes, generator.renderer
    calls = [(getattr(scenes, owner), method, name) for owner, method, name in _STAGES]
    calls += [
        (scenes, "draw", "choosing places and light"),
        (renderer, "stage", "putting meshes together"),
        (renderer, "vertices", "posing and skinning"),
        (renderer, "render", "the rest of rendering"),
    ]
    stack = ExitStack()
    for owner, method, name in [*calls, *((render, kernel, name) for kernel, name in _KERNELS.items())]:
        stack.enter_context(watch.calls(owner, method, name))
    return stack


def _private_mib(generator: Generator, out) -> None:
    """Send what this forked process holds for itself after some pictures."""
    for index in range(12):
        generator.draw(_SEED + 1, index)
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    out.send(sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024)


def measure(pack: Path, count: int) -> dict:
    """One process's figures: CPU seconds a picture, its stages, people in sight and memory."""
    generator = Generator(pack, SIDE)
    for index in range(8):
        generator.draw(_SEED + 1, index)
    watch = Stopwatch()
    seconds, people = np.zeros(count), np.zeros(count)
    with _watched(watch, generator):
        for index in range(count):
            began = time.process_time()
            frame = generator.draw(_SEED, index)
            seconds[index] = time.process_time() - began
            people[index] = len(np.unique(frame.person)) - 1
    slope, start = np.polyfit(people, seconds, 1) if np.ptp(people) else (0.0, seconds.mean())
    peak = peak_memory_mib()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    worker = context.Process(target=_private_mib, args=(generator, there))
    worker.start()
    private = here.recv()
    worker.join()
    return {
        "cpu_seconds": seconds.mean(),
        "cpu_seconds_at_2.5": start + 2.5 * slope,
        "people": people.mean(),
        "stages": {name: timing.cpu / count for name, timing in watch.total.items()},
        "peak_mib": peak,
        "worker_mib": private,
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))

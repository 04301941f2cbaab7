"""What takes too long for the test suite: long videos, kills at random moments, readers fed with damage.

    python benchmarks/endurance.py memory [--frames 10000]   memory of infer and of smooth, to OUT/memory.png
    python benchmarks/endurance.py kills [--times 20]        kill -9, then resume: equal to a run never stopped?
    python benchmarks/endurance.py fuzz [--rounds 2000]      every reader, in a process that must survive

Each prints what it found, and fails if anything is not as it should be. All use examples/people.mp4, made small.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import shutil
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ddp_video.allocator import keep_few_kernels, keep_freed_memory
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model
from ddp_video.pipeline import infer, smooth
from ddp_video.predictions import open_predictions
from ddp_video.runs import RunFolder
from ddp_video.temporal.smoothing import SmoothingSettings
from ddp_video.video import VideoReader, VideoWriter

EXAMPLE = Path(__file__).parents[1] / "examples" / "people.mp4"
SIDE = 64  # px, the short side of the small clip
GROWTH = 1.05  # of memory, from frame 100 on
SAMPLE_EVERY = 50  # frames
MOST_MEMORY = 4 << 30  # bytes, that reading a damaged file may ask for, also without touching it
HANGS_SECONDS = 300


def small_clip(path: Path, frames: int) -> Path:
    """The example clip, small, forwards and backwards until there are so many frames."""
    pictures = [frame.rgb for frame in VideoReader(EXAMPLE)]
    height, width = pictures[0].shape[:2]
    size = SIDE, round(width * SIDE / height / 2) * 2
    pictures = [cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA) for picture in pictures]
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, size, Fraction(1, 25), Fraction(25)) as writer:
        for pts, picture in enumerate(itertools.islice(itertools.cycle(pictures + pictures[-2:0:-1]), frames)):
            writer.write(picture, pts)
    return path


def small_predictor() -> DDPPredictor:
    """What ships, in frames of the small clip's own size."""
    return DDPPredictor(load_model("ddp_lite"), size=SIDE)


# --- memory ---------------------------------------------------------------------------------------------------------


def resident_mib() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def watched(job: str, source: Path, out: Path, frames: int, results: multiprocessing.Queue) -> None:
    """In a process of its own, set up as the commands are: run a job and tell how memory went, [(frame, MiB)]."""
    keep_freed_memory()
    keep_few_kernels()
    samples = []

    def progress(done: int, _: int | None) -> None:
        if done % SAMPLE_EVERY == 0:
            samples.append((done, resident_mib()))
            if done % 500 == 0 or done == SAMPLE_EVERY:
                print(f"  {job}: frame {done}, {samples[-1][1]:.0f} MiB", flush=True)

    if job == "infer":
        infer(source, small_predictor(), out, overwrite=True, progress=progress)
    else:
        smooth(source, out, overwrite=True, progress=progress)
    assert len(open_predictions(out)) == frames
    results.put(samples)


def memory(out: Path, frames: int) -> bool:
    clip = small_clip(out / "long.mp4", frames)
    context, good, curves = multiprocessing.get_context("spawn"), True, {}
    for job, source in (("infer", clip), ("smooth", out / "infer")):
        results = context.Queue()
        child = context.Process(target=watched, args=(job, source, out / job, frames, results))
        began = time.monotonic()
        child.start()
        child.join()  # a few kB wait in the queue: it need not be emptied first
        if child.exitcode:
            print(f"{job}: ended with {child.exitcode}", flush=True)
            return False
        samples = curves[job] = results.get()
        start = max(mib for frame, mib in samples if frame <= 100)
        end = max(mib for frame, mib in samples if frame > frames - 500)
        most = max(mib for _, mib in samples)
        ok = most <= GROWTH * start
        good &= ok
        print(
            f"{job}: {frames} frames in {time.monotonic() - began:.0f} s; {start:.0f} MiB after 100 frames, {end:.0f} at the "
            f"end ({end / start - 1:+.1%}), at most {most:.0f} ({most / start - 1:+.1%}) {'flat' if ok else 'GROWS'}",
            flush=True,
        )
        draw(curves, out / "memory.png")
    return good


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Memory over frames, from 0 MiB up; dashed: 5 % more than after 100 frames."""
    width, height, left, bottom, top = 1200, 500, 90, 50, 30
    picture = np.full((height, width, 3), 255, np.uint8)
    last = max(frame for curve in curves.values() for frame, _ in curve)
    highest = 1.2 * max(mib for curve in curves.values() for _, mib in curve)

    def place(frame: float, mib: float) -> tuple[int, int]:
        across, up = (width - left - 30) * frame / last, (height - bottom - top) * mib / highest
        return round(left + across), round(height - bottom - up)

    def write(text: str, at: tuple[int, int], colour=(60, 60, 60)) -> None:
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)

    for tick in np.linspace(0, highest, 6):
        x, y = place(0, tick)
        cv2.line(picture, (x, y), (width - 30, y), (228, 228, 228), 1)
        write(f"{tick:.0f} MiB", (8, y + 5))
    for tick in np.linspace(0, last, 6):
        x, y = place(tick, 0)
        write(f"{tick:.0f}", (x - 15, y + 25))
    write("frames", (width - 80, height - 8))
    for number, ((job, curve), colour) in enumerate(zip(curves.items(), [(178, 114, 0), (0, 94, 213)], strict=False)):
        cv2.polylines(picture, [np.array([place(*point) for point in curve])], False, colour, 2, cv2.LINE_AA)
        limit = GROWTH * max(mib for frame, mib in curve if frame <= 100)
        for frame in np.linspace(0, last, 60):
            cv2.line(picture, place(frame, limit), place(frame + last / 150, limit), colour, 1)
        write(job, (left + 20 + 120 * number, 22), colour)
    cv2.imwrite(str(path), picture)


# --- kills ----------------------------------------------------------------------------------------------------------


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a store."""
    store = run / "predictions.zarr"
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


def same(one: Path, other: Path) -> bool:
    """Predictions, byte by byte, and lossless videos, pixel by pixel."""
    pictures = zip(*(VideoReader(run / "iuv.mkv") for run in (one, other)), strict=True)
    return contents(one) == contents(other) and all(
        a.pts == b.pts and np.array_equal(a.rgb, b.rgb) for a, b in pictures
    )


def kills(out: Path, times: int, seed: int) -> bool:
    cv2.setNumThreads(0)  # threads do not come along into a forked child
    torch.set_num_threads(1)
    clip = small_clip(out / "short.mp4", 150)
    predictor = small_predictor()
    fork = multiprocessing.get_context("fork")  # the network is there when a child begins
    chance = random.Random(seed)
    good = True
    for smoothing in (None, SmoothingSettings()):

        def run(folder: str, resume: bool, smoothing=smoothing) -> None:
            infer(clip, predictor, out / folder, smoothing=smoothing, resume=resume, overwrite=not resume)

        began = time.monotonic()
        whole = fork.Process(target=run, args=("whole", False))
        whole.start()
        whole.join()
        usual, resume, killed = time.monotonic() - began, False, 0
        while killed < (times + 1) // 2:
            child = fork.Process(target=run, args=("cut", resume))
            child.start()
            child.join(chance.uniform(0, usual))  # the random moment
            if child.is_alive():
                child.kill()
                killed += 1
                folder = out / "cut" / "predictions.zarr" / "blocks"
                print(f"  killed with {len(list(folder.glob('*[0-9]')))} blocks stored", flush=True)
            child.join()
            if child.exitcode > 0:
                good = False
                print(f"  ended by itself with {child.exitcode}", flush=True)
            resume = (out / "cut" / "run.json").exists()
            # After every second kill the run may end, so that there are both: runs killed once, and time and again.
            if child.exitcode >= 0 or killed % 2 == 0:
                child = fork.Process(target=run, args=("cut", resume))
                child.start()
                child.join()
                ok = child.exitcode == 0 and RunFolder.open(out / "cut").finished and same(out / "cut", out / "whole")
                good &= ok
                print(
                    f"{'smoothed' if smoothing else 'plain'}, {killed} kills: {'equal' if ok else 'DIFFERENT'}",
                    flush=True,
                )
                shutil.rmtree(out / "cut")
                resume = False
    return good


# --- fuzz -----------------------------------------------------------------------------------------------------------


def attacked(out: Path, first: int, rounds: int, log) -> None:
    """In a process of its own: attack every target with some seeds; says before each what it is about to do."""
    import resource

    from fuzzing import attack, make_run, make_targets, make_weights

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    targets = make_targets(out, make_run(out), make_weights(out))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, used + MOST_MEMORY))
    for seed in range(first, first + rounds):
        for target in targets:
            log.send((target.name, seed))
            try:
                attack(target, seed)
            except BaseException as error:
                log.send(("fault", f"{target.name} {seed}: {type(error).__name__} {str(error)[:200]}"))
    log.send(("end", ""))


def fuzz(out: Path, rounds: int, seed: int) -> bool:
    """Whoever dies, hangs, or lets another error than ours escape is printed with the seed that did it."""
    faults, first, end = [], seed, seed + rounds
    while first < end:
        log, child_log = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("spawn").Process(
            target=attacked, args=(out / "fuzz", first, end - first, child_log)
        )
        child.start()
        child_log.close()
        what, where = "starting", first
        try:
            while log.poll(HANGS_SECONDS) and what != "end":
                name, value = log.recv()
                if name == "fault":
                    faults.append(value)
                    print(value, flush=True)
                else:
                    what, where = name, value
            died = "" if what == "end" else f"{what} {where}: no answer for {HANGS_SECONDS} s"
        except EOFError:
            child.join()
            died = f"{what} {where}: the process ended with {child.exitcode}"
        child.kill()
        child.join()
        if died:
            faults.append(died)
            print(died, flush=True)
        first = end if what == "end" else (int(where) + 1)
    print(f"{rounds} rounds, {len(faults)} faults")
    return not faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "kills", "fuzz"])
    parser.add_argument("--out", type=Path, default=Path("endurance"), help="folder for clips, runs and the plot")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    jobs: dict[str, Callable[[], bool]] = {
        "memory": lambda: memory(options.out, options.frames),
        "fuzz": lambda: fuzz(options.out, options.rounds, options.seed),
        "kills": lambda: kills(options.out, options.times, options.seed),
    }
    sys.exit(0 if jobs[options.what]() else 1)


if __name__ == "__main__":
    main()

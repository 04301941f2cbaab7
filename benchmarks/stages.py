"""What every stage of `infer` takes, and the whole of it: decoding to encoded videos, on the example clip."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

from benchmarks.report import Table
from benchmarks.settings import Settings
from benchmarks.timing import Stopwatch, Timing
from ddp_video import pictures, pipeline
from ddp_video.model import ddp
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.scale import both_sizes
from ddp_video.model.weights import load_model
from ddp_video.pipeline import Clip, infer
from ddp_video.predictions import PredictionWriter
from ddp_video.streaming import sent_ahead
from ddp_video.temporal.smoothing import Smoother, SmoothingSettings
from ddp_video.temporal.tracking import Tracker
from ddp_video.video import VideoReader

FRAMES = 48  # of the clip
WARM_UP = 8
ORDER = (
    "decode",
    "prepare",
    "backbone",
    "instance branch",
    "IUV branch",
    "rest of the network",
    "identities",
    "smoothing",
    "decode of charts",
    "render",
    "encode",
    "store",
)


def stages(settings: Settings) -> dict[str, Table]:
    model = load_model("ddp_lite")
    size = model.config.short_side
    predictor = DDPPredictor(model, settings.device, size=size)
    both_looks = predictor.at_sizes(both_sizes(size))
    frames = max(settings.sides(FRAMES)[0], 2)
    with tempfile.TemporaryDirectory() as folder:

        def run(count: int, smoothing: SmoothingSettings | None, predictor: DDPPredictor = predictor) -> Timing:
            wall, cpu = time.perf_counter(), time.process_time()
            clip = Clip(max_frames=count)
            infer(settings.clip, predictor, Path(folder) / "run", clip=clip, smoothing=smoothing, overwrite=True)
            return Timing((time.perf_counter() - wall) / count, (time.process_time() - cpu) / count)

        run(min(WARM_UP, frames), SmoothingSettings())
        rows, whole = [], []
        for smoothing in (None, SmoothingSettings()):
            rounds = []
            for _ in range(min(settings.rounds, 3)):
                watch = Stopwatch()
                with _watched(watch, predictor):
                    run(frames, smoothing)
                rounds.append({name: Timing(t.wall / frames, t.cpu / frames) for name, t in watch.total.items()})
            found = {name: _median([of_round[name] for of_round in rounds]) for name in rounds[0]}
            rows.append(found)
            whole.append(_median([run(frames, smoothing) for _ in range(min(settings.rounds, 3))]))
        whole.append(run(frames, None, both_looks))
    height, width = VideoReader(settings.clip).info.size
    what = f"{frames} frames of {settings.clip.name} ({width} x {height} px)"
    return {"stages": _stage_table(*rows, what), "whole": _whole_table(whole, what)}


def _median(timings: list[Timing]) -> Timing:
    return Timing(median(t.wall for t in timings), median(t.cpu for t in timings))


@contextmanager
def _watched(watch: Stopwatch, predictor: DDPPredictor) -> Iterator[None]:
    """Runs the pipeline on one thread, stage by stage: so what a stage takes is its own, and not its neighbours'."""
    model = predictor.model
    styles = {name: _Timed(watch, style) for name, style in pictures.STYLES.items()}
    read = VideoReader._batches
    with ExitStack() as stack:
        for patched in (
            patch.object(VideoReader, "batches", lambda reader, size: watch.items(read(reader, size), "decode")),
            patch.object(pipeline, "ahead", lambda source, depth: _OnThisThread(source)),
            patch.object(predictor, "predict_all", partial(sent_ahead, send=predictor.predict, window=0)),
            patch.object(pictures, "STYLES", styles),
            watch.calls(predictor, "_prepare", "prepare"),
            watch.calls(model, "forward", "rest of the network"),
            watch.calls(model, "extract", "backbone"),
            watch.calls(model.instance_branch, "forward", "instance branch"),
            watch.calls(ddp, "detect", "instance branch"),
            watch.calls(model.instance_branch, "masks", "instance branch"),
            watch.calls(model.iuv_branch, "forward", "IUV branch"),
            watch.calls(Tracker, "update", "identities"),
            watch.calls(Smoother, "push", "smoothing"),
            watch.calls(Smoother, "flush", "smoothing"),
            watch.calls(pictures, "decode", "decode of charts"),
            watch.calls(pictures.PictureWriters, "write", "encode"),
            watch.calls(PredictionWriter, "append", "store"),
        ):
            stack.enter_context(patched)
        yield


class _OnThisThread:
    """In the place of a pipeline's stage: gives the source's items when they are asked for."""

    def __init__(self, source: Iterator):
        self._source = source

    def __iter__(self) -> Iterator:
        return self._source

    def close(self, wait: bool = True) -> None:
        self._source.close()


class _Timed:
    """A style whose drawing counts as the stage "render"."""

    def __init__(self, watch: Stopwatch, style):
        self._watch, self._style = watch, style

    def __call__(self, *what):
        with self._watch.stage("render"):
            return self._style(*what)

    def __getattr__(self, name: str):
        return getattr(self._style, name)


def _stage_table(raw: dict[str, Timing], smooth: dict[str, Timing], what: str) -> Table:
    def sum_of(timings: dict[str, Timing]) -> Timing:
        return Timing(sum(t.wall for t in timings.values()), sum(t.cpu for t in timings.values()))

    raw, smooth = ({**of, "sum": sum_of(of)} for of in (raw, smooth))
    rows = [
        (name, 1e3 * raw[name].cpu, 1e3 * raw[name].wall, raw[name].cpu / raw["sum"].cpu, 1e3 * smooth[name].cpu)
        for name in (*ORDER, "sum")
    ]
    return Table(
        "Stages of infer",
        ("stage", "CPU ms a frame", "wall ms a frame", "share of CPU", "with smoothing: CPU ms a frame"),
        rows,
        f"`ddp_lite`, {what}, the three default videos and the store; stages one after the other on one thread. backbone = "
        "with pyramid and aggregation; store = with run lengths.",
    )


def _whole_table(whole: list[Timing], what: str) -> Table:
    lines = [
        (name, 1 / timing.wall, timing.cpu, 1 / timing.cpu)
        for name, timing in zip(("infer", "infer --smooth (DIS)", "infer, two looks"), whole, strict=True)
    ]
    return Table(
        "Frames a second, decode to encoded videos",
        ("command", "frames/s", "CPU s a frame", "frames per CPU second"),
        lines,
        f"{what} through the pipeline as it is, its stages on threads of their own; looked at once, in the model's own size "
        "(`--size 576`) but for the last row.",
    )

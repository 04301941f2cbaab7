"""The two streaming loops: frames to predictions (`infer`), predictions to steadier ones (`smooth`).

Both run as stages on threads of their own, joined by bounded queues: reading, computing, drawing, and writing. Memory
does not grow with the clip. The store's finished blocks are the truth: a run that was killed goes on behind them and
draws the pictures before them again from what is stored.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np

from ddp_video.allocator import peak_memory_mib
from ddp_video.errors import PredictionsError
from ddp_video.model.ddp import DDP
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.scale import fitted
from ddp_video.pictures import PictureSettings, PictureWriters
from ddp_video.predictions import PredictionWriter, round_to_half
from ddp_video.runs import RunFolder, run_name, versions
from ddp_video.streaming import Stage, ahead, sent_ahead
from ddp_video.structures import FrameBatch, FramePrediction
from ddp_video.temporal.flow import DISFlow, FlowEstimator
from ddp_video.temporal.hindsight import LOOK_AHEAD, Step, TrackedStep, in_hindsight
from ddp_video.temporal.smoothing import Smoother, SmoothingSettings
from ddp_video.temporal.tracking import Tracker
from ddp_video.video import VideoReader

STAGE_DEPTH = 4  # frames between two stages
SAMPLE = 5  # frames that stand for a clip
Progress = Callable[[int, int | None], None]  # frames done, frames in all if known


class Predictor(Protocol):
    """What `infer` needs of a model; `DDPPredictor` is one.

    One that works on several batches at once has `predict_all` too, which takes an iterator of batches and gives each with
    its predictions, in order (`cluster.SpreadPredictor`).

    One that suits itself to a clip has `for_clip`, which takes a function that gives some frames of it, and gives the
    predictor for it.
    """

    charts: str

    def predict(self, frames: FrameBatch) -> list[FramePrediction]: ...

    def describe(self) -> dict: ...


@dataclass(frozen=True)
class Clip:
    """Which frames of a video: from `start` to before `end` seconds, every `stride`-th, at most `max_frames`."""

    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    stride: int = 1


def infer(
    source: str | Path,
    model: DDP | Predictor,
    out: str | Path | None = None,
    *,
    clip: Clip | None = None,
    smoothing: SmoothingSettings | None = None,
    flow: FlowEstimator | None = None,
    batch_size: int = 4,
    pictures: PictureSettings | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RunFolder:
    """Predict every frame of a video into the run folder `out` (default: runs/NAME).

    With `smoothing` the predictions are smoothed on the way (paper section 4): the folder equals what `smooth` makes of
    an unsmoothed one, and unsmoothed logits are never stored. `flow` moves identities and logits between frames; default
    DIS. `batch_size` frames go through the network at once.
    """
    clip, pictures, flow = clip or Clip(), pictures or PictureSettings(), flow or DISFlow()
    out = out or Path("runs") / run_name(source)
    predictor = DDPPredictor(model) if isinstance(model, DDP) else model
    reader = VideoReader(source, **asdict(clip))
    predictor = fitted(predictor, lambda: reader.sample(SAMPLE))
    facts = {
        "source": _source_facts(reader, clip),
        "model": predictor.describe(),
        "charts": predictor.charts,
        "smoothing": _smoothing_facts(smoothing, flow),
        "batch_size": batch_size,
    }

    def steps(store: PredictionWriter) -> Iterator[Step]:
        smoother = Smoother(smoothing or SmoothingSettings(radius=0), flow)
        one_by_one = partial(sent_ahead, send=predictor.predict, window=0)
        predict_all = getattr(predictor, "predict_all", one_by_one)

        def tracked(batches: Iterator[FrameBatch]) -> Iterator[TrackedStep]:
            tracker: Tracker | None = None
            for batch, predictions in predict_all(batches):
                # A run that goes on does so with identities as they were when this batch came.
                tracker = tracker or (
                    Tracker.restore(store.state(batch.first_index)) if batch.first_index else Tracker()
                )
                store.keep_state(batch.first_index, tracker.state())
                for picture, prediction in zip(batch.data, predictions, strict=True):
                    frame = _rgb(picture)
                    yield frame, tracker.update(round_to_half(prediction), frame), tracker.exchanges

        def raw(batches: Iterator[FrameBatch]) -> Iterator[Step]:
            return in_hindsight(tracked(batches))

        yield from _through_smoother(reader.batches(batch_size), batch_size, raw, LOOK_AHEAD, smoother, store)

    return _run(reader, out, facts, steps, pictures, resume, overwrite, progress)


def smooth(
    run: RunFolder | str | Path,
    out: str | Path | None = None,
    *,
    smoothing: SmoothingSettings | None = None,
    flow: FlowEstimator | None = None,
    video: str | Path | None = None,
    pictures: PictureSettings | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RunFolder:
    """Smooth the predictions of a finished run folder (paper section 4) into another, `out` (default: smoothed/NAME).

    The flow is that of the source video, which run.json names; `video` says where it is now, if it has moved.
    """
    smoothing, pictures, flow = smoothing or SmoothingSettings(), pictures or PictureSettings(), flow or DISFlow()
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    out = Path(out or Path("smoothed") / run.path.resolve().name)
    run.need_finished()
    if run.facts["smoothing"]:
        raise PredictionsError(
            f"{run.path} is smoothed already; give the run folder that `ddp-video infer` made without --smooth"
        )
    if out.resolve() == run.path.resolve():
        raise ValueError(f"the smoothed run cannot replace its own source {run.path}; give another output folder")
    reader = run.reader(video)
    predictions = run.predictions
    facts = {key: run.facts[key] for key in ("source", "model", "charts", "batch_size")}
    facts["smoothing"] = _smoothing_facts(smoothing, flow)

    def steps(store: PredictionWriter) -> Iterator[Step]:
        def raw(batches: Iterator[FrameBatch]) -> Iterator[Step]:
            for batch in batches:
                for index, picture in enumerate(batch.data, batch.first_index):
                    yield _rgb(picture), predictions[index]

        yield from _through_smoother(reader.batches(STAGE_DEPTH), STAGE_DEPTH, raw, 0, Smoother(smoothing, flow), store)

    return _run(reader, out, facts, steps, pictures, resume, overwrite, progress)


def _through_smoother(
    batches: Stage[FrameBatch],
    size: int,
    raw: Callable[[Iterator[FrameBatch]], Iterator[Step]],
    raw_look_ahead: int,
    smoother: Smoother,
    store: PredictionWriter,
) -> Iterator[Step]:
    """Every frame with its finished prediction: stored ones as they are, the others from `raw`, whose predictions depend on
    `raw_look_ahead` later frames, through the smoother.

    What is missing comes out as it would have in a run that was never interrupted, since whole batches of `size` are
    computed from so far before it to so far behind it as a frame depends on others.
    """

    def missing(batch: FrameBatch) -> bool:
        first = batch.first_index
        look_ahead = smoother.look_ahead + raw_look_ahead
        return store.lacks(range(max(first - look_ahead, 0), first + size + smoother.warm_up))

    def smoothed(batches: Iterator[FrameBatch]) -> Iterator[Step]:
        waiting: deque[np.ndarray] = deque()
        for frame, prediction in raw(batches):
            waiting.append(frame)
            for done in smoother.push(prediction, frame):
                yield waiting.popleft(), done
        for done in smoother.flush():
            yield waiting.popleft(), done

    with closing(batches):
        for compute, stretch in groupby(batches, missing):
            if compute:
                for frame, prediction in smoothed(stretch):
                    index = prediction.index
                    yield frame, prediction if store.lacks(range(index, index + 1)) else store[index]
            else:
                for batch in stretch:
                    for index, picture in enumerate(batch.data, batch.first_index):
                        yield _rgb(picture), store[index]


def _run(
    reader: VideoReader,
    out: str | Path,
    facts: dict,
    steps: Callable[[PredictionWriter], Iterator[Step]],
    pictures: PictureSettings,
    resume: bool,
    overwrite: bool,
    progress: Progress | None,
) -> RunFolder:
    """Write what `steps` gives into a run folder: predictions, then pictures, frame by frame."""
    began = time.monotonic()
    facts = {**facts, "pictures": pictures.describe()}
    with RunFolder.begin(out, facts, resume=resume, overwrite=overwrite) as run:
        if run.finished:
            if _is_sound(run):
                run.save()  # where the video lies now
                return run
            run.facts["state"] = "running"
            run.save()
        store = PredictionWriter(run.store, header=run.settings, resume=resume)
        with PictureWriters(run.path, reader, pictures) as writers, ExitStack() as stack:
            computed = ahead(steps(store), STAGE_DEPTH)
            drawing = ((prediction, writers.draw(frame, prediction)) for frame, prediction in computed)
            drawn = ahead(drawing, STAGE_DEPTH)
            # Left in the opposite order: what is finished goes to the disk before anything is waited for.
            for context in (_running(drawn), _running(computed), store):
                stack.enter_context(context)
            total = reader.frame_count
            count = 0
            for count, (prediction, images) in enumerate(drawn, 1):
                if prediction.index >= store.frames_done:
                    store.append(prediction)
                writers.write(images, prediction.pts)
                if progress:
                    progress(count, total)
        seconds = time.monotonic() - began
        run.facts["state"] = "finished"
        run.facts["statistics"] = {
            "frames": count,
            "frames_found": store.frames_found,
            "seconds": round(seconds, 3),
            "frames_per_second": round((count - store.frames_found) / seconds, 3),
            "peak_memory_mib": peak_memory_mib(),
            "damaged_packets": reader.damaged_packets,
            "resized_frames": reader.resized_frames,
            "audio_skipped": writers.audio_skipped,
        }
        run.facts["versions"] = versions()
        run.save()
        return run


@contextmanager
def _running(stage: Stage) -> Iterator[None]:
    """Closes a stage; after Ctrl-C without waiting for the batch that is on its way through the network."""
    wait = True
    try:
        yield
    except KeyboardInterrupt:
        wait = False
        raise
    finally:
        stage.close(wait)


def _is_sound(run: RunFolder) -> bool:
    """Whether every block of a finished store can be read; what was damaged since is predicted again."""
    try:
        return not run.predictions.damaged()
    except PredictionsError:
        return False


def _source_facts(reader: VideoReader, clip: Clip) -> dict:
    return {**reader.info.describe(), "fingerprint": reader.fingerprint(), "clip": asdict(clip)}


def _smoothing_facts(smoothing: SmoothingSettings | None, flow: FlowEstimator) -> dict | None:
    return smoothing and {**asdict(smoothing), "flow": flow.describe()}


def _rgb(picture) -> np.ndarray:
    """[3, H, W] tensor of a batch -> [H, W, 3] array, without a copy."""
    return picture.permute(1, 2, 0).numpy()

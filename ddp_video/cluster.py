"""Many videos on many machines, through Ray (`pip install ddp-video[ray]`).

A clip is a task: some worker makes its run folder, whole, just as `infer` does. A clip that has more than its share of all
frames would keep the others waiting at the end. Its frames go to the workers in batches, and come back as predictions; this
process gives identities, smooths, draws and stores. Identities and smoothing thus see the frames in order, in one place,
and no seam has to be mended: the folders equal those of one process, bit by bit where the machines compute alike.

The work of a worker that is lost is done again: a batch from its beginning, a clip from its last stored block.

Every machine must have this package, and must see inputs, weights and outputs under the paths that are given here.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ddp_video.errors import DDPVideoError
from ddp_video.model.scale import fitted
from ddp_video.pipeline import Predictor, Progress
from ddp_video.runs import RunFolder
from ddp_video.streaming import sent_ahead
from ddp_video.structures import FrameBatch, FramePrediction

LEAST_LONG = 256  # frames; a shorter clip is never spread
BATCHES_PER_WORKER = 2  # on their way at once, so that no worker waits for frames
RETRIES = 3
TELL_EVERY = 8  # frames
_POLL_SECONDS = 0.5  # between two looks at how far the workers are

MakePredictor = Callable[[], Predictor]


class ClusterError(DDPVideoError):
    """Ray is missing, its cluster is not there, or workers were lost too often."""


@dataclass(frozen=True)
class Job:
    """A clip to do. frames: how many it is thought to have. infer: (predictor, again, progress) makes the run folder
    `out`; `again` says that a worker was lost at it before. It must be fit to be pickled."""

    out: Path
    frames: int
    infer: Callable[[Predictor, bool, Progress], RunFolder]


def run_jobs(
    jobs: list[Job],
    predictor: Any,
    make_predictor: MakePredictor,
    address: str | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Job, RunFolder | Exception]]:
    """Do all jobs on a Ray cluster; each comes with its run folder or what went wrong, in the order in which they end.

    predictor: tells of its device and itself here; `make_predictor`, to be pickled, makes one like it on a worker. address:
    of a running cluster; else one is started on this machine. progress: frames done of all frames.
    """
    ray, started = _connect(address)
    try:
        resource = "GPU" if predictor.device.type == "cuda" else "CPU"
        workers = int(ray.cluster_resources().get(resource, 0))
        if workers < 1:
            raise ClusterError(f"the Ray cluster has no {resource}; needed at least one for a worker")
        needs = {"num_cpus": 1, **({"num_gpus": 1, "max_calls": 0} if resource == "GPU" else {})}
        tally = _Tally(jobs, progress)
        total = sum(job.frames for job in jobs)
        long = [job for job in jobs if workers > 1 and job.frames > max(total / workers, LEAST_LONG)]
        task = ray.remote(max_retries=RETRIES, **needs)(_predict)
        for job in long:
            spread = SpreadPredictor(ray, task, predictor, make_predictor, BATCHES_PER_WORKER * workers)
            try:
                yield job, job.infer(spread, False, tally.of(job))
            except Exception as error:
                yield job, _cause(error)
        whole = [job for job in jobs if job not in long]
        yield from _run_whole(ray, needs, whole, make_predictor, tally)
    finally:
        if started:
            ray.shutdown()


class SpreadPredictor:
    """Predicts on the workers of a cluster, several batches at once; see `pipeline.Predictor`."""

    def __init__(self, ray, task, like: Any, make_predictor: MakePredictor, window: int):
        self._ray, self._task, self._like, self._make, self._window = ray, task, like, make_predictor, window
        self.device, self.charts = like.device, like.charts

    def describe(self) -> dict:
        return self._like.describe()

    def for_clip(self, sample: Callable[[], FrameBatch]) -> SpreadPredictor:
        """What is decided here, once, holds for every worker."""
        like = fitted(self._like, sample)
        if like is self._like:
            return self
        make = partial(_at_sizes, self._make, like.sizes)
        return SpreadPredictor(self._ray, self._task, like, make, self._window)

    def predict(self, frames: FrameBatch) -> list[FramePrediction]:
        return self._ray.get(self._task.remote(self._make, frames))

    def predict_all(self, batches: Iterator[FrameBatch]) -> Iterator[tuple[FrameBatch, list[FramePrediction]]]:
        """Every batch with its predictions, in order."""
        for batch, answer in sent_ahead(batches, lambda batch: self._task.remote(self._make, batch), self._window):
            yield batch, self._ray.get(answer)


class _Tally:
    """Adds up how far all clips are."""

    def __init__(self, jobs: list[Job], progress: Progress | None):
        self._frames, self._done = {job.out: job.frames for job in jobs}, {job.out: 0 for job in jobs}
        self._progress = progress

    def of(self, job: Job) -> Progress:
        def tell(done: int, total: int | None) -> None:
            self._done[job.out] = max(done, self._done[job.out])  # a lost clip goes over its frames again
            if self._progress:
                self._progress(sum(self._done.values()), max(sum(self._frames.values()), sum(self._done.values())))

        return tell


def _run_whole(ray, needs: dict, jobs: list[Job], make: MakePredictor, tally: _Tally):
    meter = ray.remote(num_cpus=0)(_Meter).remote()
    task = ray.remote(max_retries=0, **needs)(_run_clip)  # a lost clip is to go on, not to begin again
    running = {task.remote(make, job, False, meter): (job, 0) for job in jobs}
    done: dict[Path, int] = {}
    while running:
        ended, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
        with suppress(ray.exceptions.RayError):  # a lost meter costs the progress bar, not the clips
            done = ray.get(meter.read.remote())
        for job in jobs:
            if job.out in done:
                tally.of(job)(done[job.out], None)
        for answer in ended:
            job, lost = running.pop(answer)
            try:
                run = RunFolder.open(ray.get(answer))
                tally.of(job)(run.facts["statistics"]["frames"], None)
                yield job, run
            except ray.exceptions.RayTaskError as error:
                yield job, _cause(error)
            except DDPVideoError as error:  # the folder is not here: the worker writes to another disk
                yield job, error
            except ray.exceptions.RayError as error:  # not the clip's fault
                if lost < RETRIES:
                    running[task.remote(make, job, True, meter)] = job, lost + 1
                else:
                    text = " ".join(str(error).split())[:200]
                    yield job, ClusterError(f"{job.out}: its worker was lost {lost + 1} times ({text}); try --resume")


class _Meter:
    """An actor that the workers tell how far they are."""

    def __init__(self):
        self._done: dict[Path, int] = {}

    def tell(self, out: Path, done: int) -> None:
        self._done[out] = done

    def read(self) -> dict[Path, int]:
        return self._done


# --- on a worker ----------------------------------------------------------------------------------------------------

_made: tuple[bytes, Predictor] | None = None  # the last predictor, for the next task of this process


def _predictor(make: MakePredictor) -> Predictor:
    global _made
    key = pickle.dumps(make)
    if _made is None or _made[0] != key:
        _made = key, make()
    return _made[1]


def _at_sizes(make: MakePredictor, sizes: tuple[int, ...]) -> Predictor:
    return make().at_sizes(sizes)


def _predict(make: MakePredictor, frames: FrameBatch) -> list[FramePrediction]:
    return _predictor(make).predict(frames)


def _run_clip(make: MakePredictor, job: Job, again: bool, meter) -> Path:
    def tell(done: int, _: int | None) -> None:
        if done % TELL_EVERY == 0:
            meter.tell.remote(job.out, done)

    return job.infer(_predictor(make), again, tell).path


# --- here -----------------------------------------------------------------------------------------------------------


def _connect(address: str | None):
    """The ray module, and whether it was this call that connected it to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ClusterError("--engine ray needs Ray: pip install 'ddp-video[ray]'") from None
    if ray.is_initialized():
        return ray, False
    there = address or os.environ.get("RAY_ADDRESS")
    try:
        ray.init(address, include_dashboard=None if there else False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise ClusterError(f"no Ray cluster at {there or 'this machine'} ({text})") from error
    return ray, True


def _cause(error: Exception) -> Exception:
    """What went wrong on the worker, without the words that Ray puts around it."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error

"""Stability of videos and run folders side by side: one pass over all of them, frame by frame, in constant memory.

A run folder is measured by its isocontour.mp4 (ITF, ISI, E_warp) and by its decoded predictions (everything else), along
the flow of the video that it was made from. A plain video is measured by its pictures, along the flow of `source` or
else its own; its own flow follows flicker too, so such an E_warp is a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from ddp_video.metrics.geodesics import load_body
from ddp_video.metrics.gps import AccuracyEvaluator
from ddp_video.metrics.stability import (
    ChartStability,
    Correspondence,
    IdentitySwitches,
    Lag,
    PictureStability,
    Series,
    WarpStability,
)
from ddp_video.runs import RunFolder
from ddp_video.stability.inputs import LabelsInput, RunInput, Step, VideoInput, open_input
from ddp_video.stability.truth import LabelledClip
from ddp_video.temporal.cuts import CutDetector
from ddp_video.temporal.flow import DISFlow, FlowEstimator
from ddp_video.video import VideoReader


@dataclass
class StabilityResult:
    """What was measured on one input.

    series: by name, see `METRICS` of `stability.table`. id_switches: None where there are no identities. lag: against
    the first run folder of the same video; None for that one and for plain videos. accuracy: against exact labels, where
    there are some; id_switches are then those of the labelled people.
    """

    name: str
    frames: int = 0
    identical_pairs: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    id_switches: int | None = None
    lag: Lag | None = None
    accuracy: AccuracyEvaluator | None = None


def evaluate_stability(
    inputs: Sequence[str | Path],
    source: str | Path | None = None,
    flow: FlowEstimator | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    truth: str | Path | None = None,
) -> list[StabilityResult]:
    """Measure video files and run folders together, one result each; with `truth` one more, of the labels themselves.

    source: where the video is that run folders were made from, if it has moved, and whose flow plain videos follow.
    flow: default DIS, which gives the same figures on every machine. progress: called with frames done and in all.
    truth: folder of the clip's exact labels, see `stability.truth`; every input must then be a run folder.
    """
    if not inputs:
        raise ValueError("nothing to evaluate: give at least one video or run folder")
    if truth and not all(RunFolder.is_one(path) for path in inputs):
        raise ValueError("only run folders can be measured against labels, and there is a plain video among the inputs")
    flow = flow or DISFlow()
    geodesics = load_body() if truth else None
    with ExitStack() as stack:
        motions: dict[str, _Motion] = {}
        measured = []
        opened = [open_input(path, source) for path in inputs]
        for of in [*opened, LabelsInput(truth, opened[0])] if truth else opened:
            if of.motion_key not in motions:
                motions[of.motion_key] = _Motion(of.moving(), flow, stack)
            compared = truth and isinstance(of, RunInput)
            labels = LabelledClip(Path(truth), of.frame_count, of.charts, geodesics) if compared else None
            measured.append(_Measurement(of, motions[of.motion_key], stack, labels))
        total = max((m.frame_count for m in measured if m.frame_count), default=None)
        done = 0
        while True:
            for motion in motions.values():
                motion.advance()
            if not sum([m.advance() for m in measured]):  # a list: every one of them moves on
                break
            for m in measured:
                reference = next(r for r in measured if r.motion is m.motion)
                if m is not reference:
                    m.compare(reference)
            done += 1
            if progress:
                progress(done, total)
    return [m.result() for m in measured]


def pool(results: Sequence[StabilityResult], name: str) -> StabilityResult:
    """The results of several clips as one: means over all their pairs of frames, counts added up."""
    lags = [result.lag for result in results if result.lag]
    switches = [result.id_switches for result in results if result.id_switches is not None]
    accuracy = [result.accuracy for result in results if result.accuracy]
    return StabilityResult(
        name,
        sum(result.frames for result in results),
        sum(result.identical_pairs for result in results),
        {key: Series.joined([result.series[key] for result in results]) for key in results[0].series},
        sum(switches) if switches else None,
        Lag.joined(lags) if lags else None,
        AccuracyEvaluator.joined(accuracy) if accuracy else None,
    )


class _Motion:
    """The flow of one video, worked out once for all inputs that follow it. `points` leads to the latest frame."""

    def __init__(self, reader: VideoReader, flow: FlowEstimator, stack: ExitStack):
        self._frames = stack.enter_context(closing(iter(reader)))
        self._flow = flow
        self._cuts = CutDetector()
        self._previous = None
        self.size = reader.info.size
        self.points: Correspondence | None = None

    def advance(self) -> None:
        frame = next(self._frames, None)
        self.points = None
        if frame is None:
            return
        current = self._flow.prepare(frame.rgb)
        if not self._cuts.is_cut(frame.rgb) and self._previous is not None:
            there, back = ([self._previous], [current]), ([current], [self._previous])
            self.points = Correspondence.from_flow(self._flow.flow(*there), self._flow.flow(*back), self.size)
        self._previous = current


class _Measurement:
    """The accumulators of one input."""

    def __init__(
        self,
        of: VideoInput | RunInput | LabelsInput,
        motion: _Motion,
        stack: ExitStack,
        labels: LabelledClip | None = None,
    ):
        self._name, self.frame_count, self.motion = of.name, of.frame_count, motion
        self._steps = stack.enter_context(closing(of.steps()))
        self._step: Step | None = None
        self._frames = 0
        self._picture, self._warp, self._charts = PictureStability(), WarpStability(), ChartStability()
        self._identities: IdentitySwitches | None = None
        self._lag: Lag | None = None
        self._labels = labels

    def advance(self) -> bool:
        """Measure the next frame; False when there is none."""
        self._step = step = next(self._steps, None)
        if step is None:
            return False
        excess = [got - wanted for got, wanted in zip(step.picture.shape, self.motion.size, strict=False)]
        if not all(0 <= more <= 1 for more in excess):  # H.264 pads odd sizes by a row or column
            raise ValueError(
                f"{self._name} is {step.picture.shape[1]} x {step.picture.shape[0]} px and the video whose flow it follows "
                f"{self.motion.size[1]} x {self.motion.size[0]}; give a source of the same size"
            )
        points = self.motion.points
        self._frames += 1
        self._picture.push(step.picture)
        self._warp.push(step.picture, points)
        if step.charts is not None:
            self._charts.push(step.charts, points)
        if step.prediction is not None:
            self._identities = self._identities or IdentitySwitches()
            self._identities.push(step.prediction, points)
            if self._labels:
                self._labels.push(self._frames - 1, step.prediction, step.pose, new_shot=points is None)
        return True

    def compare(self, reference: _Measurement) -> None:
        """Follow a run folder of the same video, frame by frame, for the lag."""
        if self._step and reference._step and self._step.prediction and reference._step.prediction:
            self._lag = self._lag or Lag()
            self._lag.push(reference._step.charts, self._step.charts)

    def result(self) -> StabilityResult:
        series = {
            "itf": self._picture.psnr,
            "isi": self._picture.ssim,
            "warp_error": self._warp.error,
            "iuv_warp_error": self._charts.error,
            "chart_flips": self._charts.flips,
            "uv_drift": self._charts.drift,
            "edge_jitter": self._charts.jitter,
        }
        switches = self._identities.count if self._identities else None
        accuracy = None
        if self._labels:
            switches, accuracy = self._labels.identities.switches, self._labels.accuracy
        identical = self._picture.identical_pairs
        return StabilityResult(self._name, self._frames, identical, series, switches, self._lag, accuracy)

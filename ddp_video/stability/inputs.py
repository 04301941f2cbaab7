"""What stability is measured on: a video, a run folder, or exact labels; each as a row of frames with what is known of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from ddp_video.decode import decode
from ddp_video.errors import VideoOpenError
from ddp_video.metrics.labels import DenseLabels
from ddp_video.render import isocontour, iuv
from ddp_video.runs import RunFolder
from ddp_video.structures import DensePose, FramePrediction
from ddp_video.video import VideoReader, VideoWriter

PICTURE = "isocontour.mp4"
EXACT_LABELS = "exact labels"


def open_input(path: str | Path, source: str | Path | None) -> VideoInput | RunInput:
    """A run folder, or else a video. source: as in `evaluate_stability`."""
    return RunInput(Path(path), source) if RunFolder.is_one(path) else VideoInput(path, source)


def picture_video(path: str | Path) -> Path:
    """The video that an input's pictures are measured on: a run folder's isocontours, or the video itself."""
    path = Path(path)
    if not RunFolder.is_one(path):
        return path
    if not (path / PICTURE).is_file():
        raise VideoOpenError(
            f"{path} has no {PICTURE}, which stability is measured on; "
            f"draw it with `ddp-video render {path} --style isocontour --overwrite`"
        )
    return path / PICTURE


class Step(NamedTuple):
    """One frame of an input: its picture, and of a run folder the dense pose, that as a picture, and the prediction."""

    picture: np.ndarray
    pose: DensePose | None = None
    charts: np.ndarray | None = None
    prediction: FramePrediction | None = None


class VideoInput:
    def __init__(self, path: str | Path, source: str | Path | None):
        self.name = str(path)
        self._reader = VideoReader(path)
        self._source = source
        self.frame_count = self._reader.frame_count
        self.motion_key = str(source or path)

    def moving(self) -> VideoReader:
        return VideoReader(self._source) if self._source else VideoReader(self._reader.info.path)

    def steps(self) -> Iterator[Step]:
        return (Step(frame.rgb) for frame in self._reader)


class RunInput:
    def __init__(self, path: Path, source: str | Path | None):
        self.name = str(path)
        self._run = RunFolder.open(path)
        self._source = source
        self._picture = VideoReader(picture_video(path))
        self._predictions = self._run.predictions
        self.frame_count = len(self._predictions)
        self.charts = self._run.facts["charts"]
        self.motion_key = json.dumps([str(source), self._run.settings["source"]], sort_keys=True)

    def moving(self) -> VideoReader:
        return self._run.reader(self._source)

    def steps(self) -> Iterator[Step]:
        pictures = (frame.rgb for frame in self._picture)
        for picture, prediction in zip(pictures, self._predictions, strict=False):
            pose = decode(prediction)
            yield Step(picture, pose, iuv(pose), prediction)


class LabelsInput:
    """The exact labels of the clip that a run folder was made from: what a run without any error would measure.

    Their isocontours are drawn over the same frames and encoded as those of a run are, which costs some detail.
    """

    def __init__(self, folder: str | Path, run: RunInput):
        self.name = EXACT_LABELS
        self.frame_count, self.motion_key, self.moving = run.frame_count, run.motion_key, run.moving
        self._labels = DenseLabels(folder)

    def steps(self) -> Iterator[Step]:
        with TemporaryDirectory() as folder:
            self._draw(Path(folder) / PICTURE)
            for index, picture in enumerate(VideoReader(Path(folder) / PICTURE)):
                pose = self._labels.pose(index)
                yield Step(picture.rgb, pose, iuv(pose))

    def _draw(self, target: Path) -> None:
        reader = self.moving()
        with VideoWriter(target, reader.info.size, reader.info.time_base, reader.info.average_rate) as writer:
            for index, frame in zip(range(len(self._labels)), reader, strict=False):
                writer.write(isocontour(frame.rgb, self._labels.pose(index)), frame.pts)

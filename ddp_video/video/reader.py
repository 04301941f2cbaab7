"""Reading any video: files, image folders and globs as one stream of upright RGB frames with exact times."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import count, islice
from pathlib import Path

import cv2
import numpy as np
import torch

from ddp_video.errors import VideoOpenError
from ddp_video.streaming import ahead
from ddp_video.structures import FrameBatch
from ddp_video.video.decoding import VideoFile
from ddp_video.video.images import DEFAULT_RATE, ImageSource, find_images
from ddp_video.video.info import Frame, VideoInfo

READ_AHEAD_BATCHES = 2
WORTH_SEEKING = 100  # frames; nearer ones are reached sooner by decoding what lies between
_MOST = 1_000_000_000  # seconds or frames: longer than any video, and no overflow in FFmpeg's integers


class VideoReader:
    """Frames of a video file, an image file, a folder of images or a glob.

    `start` and `end` are seconds after the first frame; frames with start <= time < end are read. Of these every
    `stride`-th is given, at most `max_frames`. `first_index` skips that many of the frames that would be given, to go on
    after an interruption: what follows is identical, frames and indices. `rate` is that of image sequences.

    Every frame has a pts, strictly later than the one before (see `decoding.Clock`); time base and variable frame rates
    are kept. Frames of another size than the first are resized to it. Iterating again starts again.

    Raises VideoOpenError, at once, where nothing can be read; and while iterating where the range holds no frame.
    """

    def __init__(
        self,
        source: str | os.PathLike,
        start: float | None = None,
        end: float | None = None,
        max_frames: int | None = None,
        stride: int = 1,
        first_index: int = 0,
        rate: Fraction | float = DEFAULT_RATE,
    ):
        if not 0 <= (start or 0) < (_MOST if end is None else end) <= _MOST:
            raise ValueError(f"no range of a video from {start or 0} s to {end} s; give 0 <= start < end in seconds")
        most = 1 if max_frames is None else max_frames
        if not (0 < stride <= _MOST and 0 < most <= _MOST and 0 <= first_index <= _MOST):
            raise ValueError(
                "stride and max_frames must be at least 1, first_index at least 0, and none absurdly large"
            )
        if not 0 < rate <= _MOST:
            raise ValueError(f"the frame rate must be positive, got {rate}")
        self.start, self.end, self.max_frames = start, end, max_frames
        self.stride, self.first_index = stride, first_index
        self._source = _open(os.fspath(source), Fraction(rate).limit_denominator(1_000_000))
        self._resized = 0

    @property
    def info(self) -> VideoInfo:
        return self._source.info

    @property
    def time_zero(self) -> int:
        """The pts at which a video made from these frames begins: `start`, or 0 so that times are those of the source."""
        return 0 if self.start is None else self._pts_at(self.start)

    @property
    def damaged_packets(self) -> int:
        """Packets (of image sequences: files) that the latest pass could not read or decode whole."""
        return self._source.report.damaged_packets

    @property
    def resized_frames(self) -> int:
        """Frames of the latest pass whose size differed from the first frame's."""
        return self._resized

    @property
    def frame_count(self) -> int | None:
        """How many frames are to be expected, skipped ones included; None where the source does not tell."""
        if self.info.frame_count is None:
            return self.max_frames
        first, end = (0 if t is None else math.ceil(t * self.info.average_rate - 1e-6) for t in (self.start, self.end))
        frames = min(end if self.end is not None else self.info.frame_count, self.info.frame_count) - first
        given = -(-max(frames, 0) // self.stride)
        return given if self.max_frames is None else min(given, self.max_frames)

    def fingerprint(self) -> str:
        """Changes when the source is replaced or cut short, so that a resumed run can refuse it."""
        return self._source.fingerprint()

    def __iter__(self) -> Iterator[Frame]:
        self._resized = 0
        first_pts = self._pts_at(self.start or 0)
        end_pts = math.inf if self.end is None else self._pts_at(self.end)
        # The last position to decode is that of the last frame to give: nothing is decoded in vain after it.
        stop = None if self.max_frames is None else (self.max_frames - 1) * self.stride + 1
        given = False
        with closing(self._source.frames(first_pts)) as frames:
            wanted = islice(frames, self.first_index * self.stride, stop, self.stride)
            for index, (pts, picture) in zip(count(self.first_index), wanted, strict=False):
                if pts >= end_pts:
                    break
                given = True
                yield self._frame(pts, picture, index)
        if not given and not self.first_index:
            raise self._nothing_there()

    def batches(self, size: int) -> Iterator[FrameBatch]:
        """The frames in batches of `size`, the last one perhaps smaller, read ahead by a thread of its own.

        Tensors are [T,3,H,W] views of [T,H,W,3] memory (channels last), so `data[t].permute(1, 2, 0).numpy()` is the
        picture without a copy. Close the generator to stop early.
        """
        if size < 1:
            raise ValueError(f"a batch holds at least 1 frame, got {size}")
        return ahead(self._batches(size), READ_AHEAD_BATCHES)

    def sample(self, count: int) -> FrameBatch:
        """Up to `count` frames spread over those that will be read (the first one where their number is not known), as a
        batch of which only the pictures and their times mean something."""
        frames = self.frame_count or 1
        count = min(count, frames)
        places = [k * frames // count * self.stride for k in range(count)]  # after `start`
        passes = [places] if places[-1] < WORTH_SEEKING * count else [[place] for place in places]
        found = {}
        for first, *others in passes:
            seconds = (self.start or 0) + first / float(self.info.average_rate)
            wanted = {0, *(place - first for place in others)}
            with closing(self._source.frames(self._pts_at(seconds))) as there:
                for place, (pts, picture) in enumerate(islice(there, max(wanted) + 1)):
                    if place in wanted:
                        found.setdefault(pts, self._frame(pts, picture, 0))
        if not found:
            raise self._nothing_there()
        return _batch(list(found.values()))

    def _batches(self, size: int) -> Iterator[FrameBatch]:
        with closing(iter(self)) as frames:
            while batch := list(islice(frames, size)):
                yield _batch(batch)

    def _nothing_there(self) -> VideoOpenError:
        return VideoOpenError(
            f"{self.info.path}: no frame between {self.start or 0:g} s and {self.end or math.inf:g} s; "
            f"it lasts {self.info.duration_seconds or 0:.2f} s"
        )

    def _pts_at(self, seconds: float) -> int:
        """The first pts that is not before `seconds` after the first frame."""
        return self._source.origin + math.ceil(seconds / self.info.time_base - 1e-6)

    def _frame(self, pts: int, picture: Callable[[], np.ndarray], index: int) -> Frame:
        return Frame(self._fit(picture()), pts, float(pts * self.info.time_base), index)

    def _fit(self, rgb: np.ndarray) -> np.ndarray:
        if rgb.shape[:2] == self.info.size:
            return rgb
        self._resized += 1
        height, width = self.info.size
        shrinks = rgb.shape[0] * rgb.shape[1] > height * width
        return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _batch(frames: list[Frame]) -> FrameBatch:
    return FrameBatch(
        torch.from_numpy(np.stack([frame.rgb for frame in frames])).permute(0, 3, 1, 2),
        torch.tensor([frame.pts for frame in frames], dtype=torch.int64),
        torch.tensor([frame.pts_seconds for frame in frames], dtype=torch.float64),
        frames[0].index,
    )


def _open(source: str, rate: Fraction) -> VideoFile | ImageSource:
    if not source:
        raise VideoOpenError("the input has an empty name; give a video, a folder of images or a glob")
    images = find_images(source)
    if images is not None:
        return ImageSource(source, images, rate)
    path = Path(source)
    if not path.exists():
        raise VideoOpenError(f"{source}: no such file or folder; streams and URLs must be saved to a file first")
    if not path.is_file():  # a pipe or a device: FFmpeg would wait for it
        raise VideoOpenError(f"{source}: not a file; videos are read more than once, so pipes must be saved first")
    if not os.access(path, os.R_OK):
        raise VideoOpenError(f"{source}: no permission to read it")
    return VideoFile(source)

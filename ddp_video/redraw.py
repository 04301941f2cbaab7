"""Pictures of a finished run folder drawn again, in other styles, without inference."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ddp_video.errors import OutputError, PredictionsError, VideoOpenError
from ddp_video.pictures import PictureSettings, PictureWriters
from ddp_video.pipeline import STAGE_DEPTH, Progress
from ddp_video.runs import RunFolder
from ddp_video.streaming import ahead
from ddp_video.video import VideoInfo, VideoReader


@dataclass(frozen=True)
class _Remembered:
    """What run.json knows of a source that is out of reach, in the place of its reader: pictures without its frames and
    its sound need no more."""

    info: VideoInfo
    time_zero: int
    stride: int

    @classmethod
    def of(cls, run: RunFolder) -> _Remembered:
        clip = run.facts["source"]["clip"]
        info = replace(run.source_info, has_audio=False)
        return cls(info, 0 if clip["start"] is None else run.predictions[0].pts, clip["stride"])


def redraw(
    run: RunFolder,
    out: str | Path,
    pictures: PictureSettings,
    *,
    video: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Draw pictures of a run folder into the folder `out` (which may be the run folder); how many frames.

    The source video is needed only by pictures that show its frames; `video` says where it is, if it has moved.
    """
    run.need_finished()
    predictions = run.predictions
    out = Path(out)
    if not overwrite:
        for name in pictures.styles:
            for path in (out / f"{name}.mp4", out / f"{name}.mkv", out / name):
                if path.exists():
                    raise OutputError(
                        f"{path} exists already; replace it with --overwrite, or name another folder with -o"
                    )
    reader = _reader(run, video, pictures.need_frames)
    with ExitStack() as stack:
        frames: Iterable[np.ndarray | None] = [None] * len(predictions)
        if pictures.need_frames:
            frames = (frame.rgb for frame in stack.enter_context(closing(iter(reader))))
        writers = stack.enter_context(PictureWriters(out, reader, pictures))
        drawing = (
            (prediction.pts, writers.draw(frame, prediction))
            for frame, prediction in zip(frames, predictions, strict=False)
        )
        count = 0
        for count, (pts, drawn) in enumerate(stack.enter_context(closing(ahead(drawing, STAGE_DEPTH))), 1):
            writers.write(drawn, pts)
            if progress:
                progress(count, len(predictions))
        if count < len(predictions):
            raise VideoOpenError(
                f"{reader.info.path} ends after {count} of the {len(predictions)} frames of {run.path}; "
                "name the video that was predicted on with --video"
            )
    return count


def _reader(run: RunFolder, video: str | Path | None, need_frames: bool) -> VideoReader | _Remembered:
    try:
        return run.reader(video)
    except (VideoOpenError, PredictionsError):
        if need_frames or video:
            raise
        return _Remembered.of(run)

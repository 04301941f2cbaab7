"""The videos of a run folder: each frame decoded once, drawn in every style that was asked for, and written."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ddp_video.decode import decode
from ddp_video.render import STYLES, RenderOptions
from ddp_video.structures import FramePrediction
from ddp_video.video import PngSequenceWriter, VideoReader, VideoWriter
from ddp_video.video.frame_writer import FrameWriter

FORMATS = ("video", "png")


@dataclass(frozen=True)
class PictureSettings:
    """styles: which pictures, names of `render.STYLES`. formats: 'video' (H.264 in .mp4, or lossless FFV1 in .mkv for
    styles whose pixels are data), 'png' (a folder of images), or both. options: how they look."""

    styles: tuple[str, ...] = ("isocontour", "iuv", "parts")
    formats: tuple[str, ...] = ("video",)
    options: RenderOptions = field(default_factory=RenderOptions)

    def __post_init__(self):
        for what, given, known in (("style", self.styles, STYLES), ("format", self.formats, FORMATS)):
            for name in given:
                if name not in known:
                    raise ValueError(f"unknown picture {what} {name!r}; choose from {', '.join(known)}")

    def describe(self) -> dict:
        return asdict(self)

    @property
    def need_frames(self) -> bool:
        """Whether any picture shows the video's own frames."""
        return any(STYLES[name].needs_frame(self.options) for name in self.styles)


class PictureWriters:
    """Writers for one clip; a context manager. Videos appear under their names when it is left without exception."""

    def __init__(self, folder: Path, reader: VideoReader, settings: PictureSettings):
        self._settings = settings
        self._writers: list[tuple[str, FrameWriter]] = []
        self._stack = ExitStack()
        info = reader.info
        shared = {"size": info.size, "time_base": info.time_base, "origin": reader.time_zero}
        try:
            for name in settings.styles:
                if "video" in settings.formats:
                    if STYLES[name].lossless:
                        target = {"path": folder / f"{name}.mkv", "codec": "ffv1"}
                    else:
                        target = {"path": folder / f"{name}.mp4", "audio_from": info.path if info.has_audio else None}
                    writer = VideoWriter(
                        rate=info.average_rate / reader.stride, pixel_aspect=info.pixel_aspect, **target, **shared
                    )
                    self._writers.append((name, self._stack.enter_context(writer)))
                if "png" in settings.formats:
                    writer = PngSequenceWriter(folder / name, **shared)
                    self._writers.append((name, self._stack.enter_context(writer)))
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise

    def __enter__(self) -> PictureWriters:
        return self

    def __exit__(self, *exception) -> bool | None:
        return self._stack.__exit__(*exception)

    def draw(self, frame_rgb: np.ndarray | None, prediction: FramePrediction) -> dict[str, np.ndarray]:
        """One picture [H, W, 3] uint8 RGB a style."""
        if not self._writers:
            return {}
        pose = decode(prediction)
        return {
            name: STYLES[name](frame_rgb, pose, prediction, self._settings.options) for name in self._settings.styles
        }

    def write(self, drawn: dict[str, np.ndarray], pts: int) -> None:
        for name, writer in self._writers:
            writer.write(drawn[name], pts)

    @property
    def audio_skipped(self) -> str | None:
        """Why a video has no sound although its source has, or None."""
        reasons = (getattr(writer, "audio_skipped", None) for _, writer in self._writers)
        return next((reason for reason in reasons if reason), None)

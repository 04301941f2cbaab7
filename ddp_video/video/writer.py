"""Writing videos: H.264 that every player opens, FFV1 that loses nothing."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ddp_video.video.audio import AudioCopy
from ddp_video.video.color import BT601, BT709, FULL, LIMITED
from ddp_video.video.frame_writer import FrameWriter

SUFFIXES = {"h264": ".mp4", "ffv1": ".mkv"}
_BT709_TAGS = {"color_primaries": 1, "color_trc": 1, "colorspace": BT709, "color_range": LIMITED}


class VideoWriter(FrameWriter):
    """Writes RGB frames to an H.264 MP4 or to lossless FFV1 in Matroska.

    size: (H, W). time_base: seconds per unit of the pts that `write` takes. rate: average frames per second, for players
    that ask. Times are kept: exactly in MP4, to half a millisecond in Matroska, whose clock ticks in milliseconds. pts
    `origin` becomes time zero.

    H.264 is 4:2:0, BT.709, limited range, and tagged so. 4:2:0 needs even sizes: an odd one grows by a last row or
    column that repeats its neighbour. `pixel_aspect` is told to players (PyAV cannot tell it to Matroska). FFV1 decodes to exactly the RGB that was written.

    `audio_from` copies the first audio stream of that file to an MP4, as far as the pictures go. Where it cannot,
    `audio_skipped` says why in one line.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        time_base: Fraction,
        rate: Fraction,
        codec: str = "h264",
        crf: int = 18,
        pixel_aspect: Fraction = Fraction(1),
        audio_from: str | Path | None = None,
        origin: int = 0,
    ):
        super().__init__(path, size)
        if self.path.suffix.lower() != SUFFIXES.get(codec):
            known = ", ".join(f"{name} to a {suffix}" for name, suffix in SUFFIXES.items())
            raise ValueError(f"cannot write {codec} to {self.path.name}; can write {known} file")
        self._lossy = codec == "h264"
        self._time_base, self._origin = time_base, origin
        self._frame_duration = max(round(1 / (rate * time_base)), 1)
        self._padding = (-size[0] % 2, -size[1] % 2) if self._lossy else (0, 0)
        self._reformatter = VideoReformatter()
        self._container = self._audio = None
        with self._guarded():
            self._begin(rate, crf, pixel_aspect, audio_from)

    @property
    def audio_skipped(self) -> str | None:
        """Why the audio that was asked for is missing, or None."""
        return self._audio.skipped if self._audio else None

    def _begin(self, rate: Fraction, crf: int, pixel_aspect: Fraction, audio_from: str | Path | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The edit list, which holds the time of the first frame, counts in the movie's time scale: milliseconds if not told.
        mp4_options = {"movflags": "+faststart", "movie_timescale": str(self._time_base.denominator)}
        container, options = ("mp4", mp4_options) if self._lossy else ("matroska", {})
        self._container = av.open(f"file:{self.partial}", "w", format=container, options=options)
        if self._lossy:
            encoder, self._pixel_format = "libx264", "yuv420p"
            options = {"crf": str(crf), "preset": "veryfast"}
        else:
            # FFV1 holds 8-bit RGB as bgr0: the same bytes in another order. Slices allow threads, and carry checksums.
            encoder, self._pixel_format = "ffv1", "bgr0"
            options = {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}
            if min(self.size) == 1:  # cannot be sliced, which level 3 always does
                options = {"level": "1", "g": "1", "slices": "1"}
        self._stream = self._container.add_stream(encoder, rate=rate, options=options)
        self._stream.height, self._stream.width = (n + pad for n, pad in zip(self.size, self._padding, strict=True))
        self._stream.pix_fmt = self._pixel_format
        context = self._stream.codec_context
        context.time_base = self._stream.time_base = self._time_base
        context.sample_aspect_ratio = pixel_aspect
        if self._lossy:
            for name, value in _BT709_TAGS.items():
                setattr(context, name, value)
        if audio_from is not None:
            self._audio = AudioCopy(str(audio_from), self._container)

    def _write(self, rgb: np.ndarray, pts: int) -> None:
        if any(self._padding):
            rgb = np.pad(rgb, ((0, self._padding[0]), (0, self._padding[1]), (0, 0)), "edge")
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24"),
            format=self._pixel_format,
            src_colorspace=BT601,  # RGB has none; see RGBConverter
            dst_colorspace=BT709,
            src_color_range=FULL,
            dst_color_range=LIMITED if self._lossy else FULL,
        )
        frame.pts, frame.time_base = pts - self._origin, self._time_base
        self._mux(frame)
        self._copy_audio(until=pts)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if not packet.duration:  # else the last frame would last no time at all
                packet.duration = self._frame_duration
            self._container.mux_one(packet)

    def _copy_audio(self, until: int) -> None:
        if self._audio is not None:
            start, until, origin = (pts * self._time_base for pts in (self.first_pts, until, self._origin))
            self._audio.copy(self._container, start, until, origin)

    def _finish(self) -> None:
        self._mux(None)
        self._copy_audio(until=self.last_pts + self._frame_duration)
        if self._audio is not None:
            self._audio.close()
        container, self._container = self._container, None
        container.close()
        self.partial.replace(self.path)

    def _discard(self) -> None:
        container, self._container = self._container, None
        with suppress(av.FFmpegError, OSError):
            if self._audio is not None:
                self._audio.close()
            if container is not None:
                container.close()
        with suppress(OSError):
            self.partial.unlink(missing_ok=True)

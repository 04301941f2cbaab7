"""One video file through FFmpeg: opening, exact timestamps, seeking, and surviving damage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ddp_video.errors import VideoOpenError
from ddp_video.video.color import RGBConverter, display_matrix, is_transposed
from ddp_video.video.container import open_input
from ddp_video.video.info import ReadReport, VideoInfo

# FFmpeg plays text files and program binaries as terminal art; nobody means that as a video.
_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf"}
_SEEK_MARGIN_SECONDS = 1  # decoding order runs ahead of presentation by less
_MAX_READ_ERRORS = 64  # in a row, before the rest of a file is given up
_MAX_PIXELS = 1 << 27  # four times 8K; damaged headers ask for more
_JUMP_BACK_SECONDS, _JUMP_AHEAD_SECONDS = 1, 3600  # a timestamp further off starts a new count; nearer ones are jitter
_SAMPLE_BYTES, _SAMPLES = 1 << 16, 16  # of the file, that its fingerprint covers


class VideoFile:
    """A file that FFmpeg can read. Every pass over its frames opens it anew, so passes do not disturb each other."""

    def __init__(self, path: str):
        self.path = path
        self.report = ReadReport()
        with closing(_open(path)) as container:
            stream = _video_stream(container, path)
            with closing(_decode(container, stream, self.report)) as frames:
                first = next(frames, None)
            if first is None:
                raise VideoOpenError(f"{path}: its {_codec(stream)} stream holds no frame that can be decoded")
            self.origin = 0 if first.pts is None else first.pts
            self._matrix = display_matrix(first)
            self.info = _describe(path, container, stream, first, is_transposed(self._matrix))

    def frames(self, first_pts: int) -> Iterator[tuple[int, Callable[[], np.ndarray]]]:
        """(pts, a function that converts the picture to RGB) of every frame from `first_pts` on, pts rising strictly.

        Frames before `first_pts` are decoded and dropped: from a keyframe before it, or from the file's beginning where
        seeking does not lead to one.
        """
        to_rgb = RGBConverter(self._matrix)
        seek = first_pts > self.origin and self._seeks_before(first_pts)
        self.report = ReadReport()
        with closing(_open(self.path)) as container:
            stream = _video_stream(container, self.path)
            frames = self._sought(container, stream, first_pts) if seek else _decode(container, stream, self.report)
            clock = Clock(self.info.time_base, self.info.average_rate)
            for frame in frames:
                pts = clock.tick(frame.pts)
                if pts >= first_pts:
                    yield pts, lambda frame=frame: to_rgb(frame)

    def _sought(self, container: InputContainer, stream: VideoStream, first_pts: int) -> Iterator[av.VideoFrame]:
        """Frames from a keyframe that should lie before `first_pts`; what a decoder gives before it is incomplete."""
        container.seek(first_pts - int(_SEEK_MARGIN_SECONDS / self.info.time_base), stream=stream)
        return dropwhile(lambda frame: not frame.key_frame, _decode(container, stream, self.report))

    def _seeks_before(self, first_pts: int) -> bool:
        """Whether seeking really leads to a keyframe with a timestamp before `first_pts`."""
        with closing(_open(self.path)) as container:
            try:
                frame = next(self._sought(container, _video_stream(container, self.path), first_pts), None)
            except av.FFmpegError:
                return False
        return frame is not None and frame.pts is not None and frame.pts <= first_pts

    def fingerprint(self) -> str:
        """Hash of the size and of pieces spread over the file: another file, or a shorter one, has another."""
        size = Path(self.path).stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with Path(self.path).open("rb") as file:
            for piece in range(_SAMPLES):
                file.seek(max(size - _SAMPLE_BYTES, 0) * piece // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
        return digest.hexdigest()


class Clock:
    """Gives every frame a presentation time that is strictly later than the one before.

    Frames without a time follow at the average rate. A time that is not later is moved to just after the one before; a
    jump back of more than a second (joined recordings), or ahead of more than an hour (damage), moves all that follow.
    """

    def __init__(self, time_base: Fraction, rate: Fraction):
        self._frame = max(round(1 / (rate * time_base)), 1)
        self._back, self._ahead = _JUMP_BACK_SECONDS / time_base, _JUMP_AHEAD_SECONDS / time_base
        self._last: int | None = None
        self._offset = 0

    def tick(self, pts: int | None) -> int:
        if self._last is None:
            self._last = 0 if pts is None else pts
        elif pts is None:
            self._last += self._frame
        else:
            if not -self._back <= pts + self._offset - self._last <= self._ahead:
                self._offset = self._last + self._frame - pts
            self._last = max(pts + self._offset, self._last + 1)
        return self._last


def _open(path: str) -> InputContainer:
    try:
        container = open_input(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoOpenError(f"{path}: not a video that FFmpeg can read ({reason})") from None
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise VideoOpenError(f"{path}: not a video but a text file")
    return container


def _video_stream(container: InputContainer, path: str) -> VideoStream:
    """The first stream of moving pictures (cover art is none), set up for decoding."""
    streams = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
    if not streams:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise VideoOpenError(f"{path}: holds no video stream, only {found}")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoOpenError(f"{path}: FFmpeg has no decoder for its video stream")
    stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
    # Frame threads lose the frames around a damaged packet, and run no faster beside other work. Slice threads switch off
    # how H.264 conceals damage: holes would show whatever memory held before.
    stream.thread_type = "SLICE"
    if _codec(stream) == "h264":
        stream.codec_context.thread_count = 1
    return stream


def _codec(stream: VideoStream) -> str:
    return stream.codec_context.name


def _rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate:
            return Fraction(rate)
    return Fraction(25)


def _describe(
    path: str, container: InputContainer, stream: VideoStream, first: av.VideoFrame, transposed: bool
) -> VideoInfo:
    rate = _rate(stream)
    time_base = Fraction(stream.time_base or 1 / rate)
    duration = stream.duration * time_base if stream.duration else Fraction(container.duration or 0, av.time_base)
    size, pixel_aspect = (first.height, first.width), Fraction(stream.sample_aspect_ratio or 1)
    if transposed:
        size, pixel_aspect = size[::-1], 1 / pixel_aspect
    return VideoInfo(
        path=path,
        size=size,
        time_base=time_base,
        average_rate=rate,
        frame_count=stream.frames or round(duration * rate) or None,
        duration_seconds=float(duration) or None,
        codec=_codec(stream),
        pixel_format=first.format.name,
        has_audio=bool(container.streams.audio),
        pixel_aspect=pixel_aspect,
    )


def _decode(container: InputContainer, stream: VideoStream, report: ReadReport) -> Iterator[av.VideoFrame]:
    """Frames in presentation order; what is damaged is counted and passed over."""
    read_errors = 0
    while read_errors < _MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):  # ends with an empty packet, which flushes the decoder
                read_errors = 0
                yield from _decode_packet(stream, packet, report)
            return
        except av.FFmpegError:  # of reading: go on with the next packet
            read_errors += 1
            report.damaged_packets += 1
    yield from _decode_packet(stream, None, report)


def _decode_packet(stream: VideoStream, packet: av.Packet | None, report: ReadReport) -> list[av.VideoFrame]:
    try:
        frames = stream.codec_context.decode(packet)
    except EOFError:  # flushed already
        return []
    except av.FFmpegError:
        report.damaged_packets += 1
        return []
    marked = packet is not None and packet.is_corrupt
    report.damaged_packets += max(int(marked), sum(bool(frame.is_corrupt) for frame in frames))
    return frames

"""Copying the sound of a source beside the pictures, packet by packet, without decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.container import OutputContainer

from ddp_video.video.container import open_input

# What MP4 players read. Others (PCM of cameras, Vorbis, WMA ...) would have to be encoded anew.
COPIED_TO_MP4 = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "mp3float", "opus", "libopus"})


class AudioCopy:
    """The first audio stream of a file, on its way into another container.

    `skipped` says in one line why nothing (more) is copied, and is None while all is well. Nothing about the sound of a
    source ever stops the pictures.
    """

    def __init__(self, path: str, output: OutputContainer):
        self.skipped: str | None = None
        self._input = None
        self._packets: Iterator[av.Packet] = iter(())
        self._last: int | None = None  # decoding time that was written last
        try:
            self._input = open_input(path)
            streams = [stream for stream in self._input.streams.audio if stream.codec_context is not None]
            if not streams:
                self.skipped = "the source has no audio"
            elif (name := streams[0].codec_context.name) not in COPIED_TO_MP4:
                self.skipped = f"{name} audio cannot be put into mp4 as it is"
            else:
                self._stream = output.add_stream_from_template(streams[0])
                self._packets = self._input.demux(streams[0])
        except (av.FFmpegError, OSError, ValueError) as error:
            self.skipped = f"its audio cannot be read ({getattr(error, 'strerror', None) or error})"
        self._next = self._read()

    def copy(self, output: OutputContainer, start: Fraction, until: Fraction, origin: Fraction) -> None:
        """Write what sounds from `start` on and begins before `until`, both seconds of the source.

        Called with rising `until`, so that sound and pictures lie beside each other in the file. `origin` is the time
        of the source that is zero in the output.
        """
        while self._next is not None and self._next.pts * self._next.time_base < until:
            packet, self._next = self._next, self._read()
            if (packet.pts + (packet.duration or 0)) * packet.time_base >= start:
                shift = round(origin / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, self._stream
                if self._last is not None and packet.dts <= self._last:
                    self.skipped = "its audio steps back in time and was copied only in part"
                    continue  # a file's times rise
                self._last = packet.dts
                output.mux_one(packet)

    def _read(self) -> av.Packet | None:
        """The next packet that has a time; None at the end, and where the source is damaged."""
        try:
            return next((packet for packet in self._packets if packet.pts is not None and packet.dts is not None), None)
        except av.FFmpegError as error:
            self.skipped = f"its audio is damaged and was copied only in part ({error.strerror})"
            return None

    def close(self) -> None:
        if self._input is not None:
            with suppress(av.FFmpegError):
                self._input.close()

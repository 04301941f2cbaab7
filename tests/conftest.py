"""Fixtures that several rooms' tests use."""

from fractions import Fraction

import av
import numpy as np
import pytest
from discs import moving_discs, write_video


@pytest.fixture
def disc_video(tmp_path):
    """40 frames at a variable rate with two moving discs."""
    return write_video(tmp_path / "discs.mkv", moving_discs(40))


@pytest.fixture
def picture():
    """picture(k, size): [H, W, 3] uint8, smooth, and another for every k."""

    def paint(k: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
        y, x = np.mgrid[: size[0], : size[1]]
        shade = [120 + 90 * np.sin((x + 5 * k) / 17 + c) * np.cos((y + 3 * k) / 13 - c) for c in range(3)]
        return np.stack(shade, axis=2).round().astype(np.uint8)

    return paint


@pytest.fixture
def make_video(tmp_path, picture):
    """make_video(name, ...) writes a video, with PyAV alone, and gives its path and the RGB frames that went in."""

    def make(
        name: str,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        size: tuple[int, int] = (48, 64),
        pts: list[int] | int = 12,
        time_base: Fraction = Fraction(1, 25),
        audio: str | None = None,
        options: dict | None = None,
    ):
        pts = list(range(pts)) if isinstance(pts, int) else pts
        frames = [picture(k, size) for k in range(len(pts))]
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options or {})
            stream.height, stream.width, stream.pix_fmt = *size, pixel_format
            stream.codec_context.time_base = time_base
            sound = container.add_stream(audio, rate=48000) if audio else None
            for rgb, time in zip(frames, pts, strict=True):
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)
                frame.pts, frame.time_base = time, time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if sound:
                _add_tone(container, sound, seconds=float((pts[-1] + 1) * time_base))
        return path, frames

    return make


def _add_tone(container, stream, seconds: float) -> None:
    samples = np.sin(np.arange(int(seconds * 48000)) * 0.05).astype(np.float32)
    tone = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout="stereo")
    tone.sample_rate, tone.pts, tone.time_base = 48000, 0, Fraction(1, 48000)
    resampler = av.AudioResampler(
        stream.codec_context.format.name, "stereo", 48000, stream.codec_context.frame_size or 1024
    )
    for piece in [*resampler.resample(tone), *resampler.resample(None)]:
        container.mux(stream.encode(piece))
    container.mux(stream.encode())

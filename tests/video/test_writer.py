"""Videos out: exact times, exact or faithful colours, sound, and nothing half-written."""

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ddp_video.errors import OutputError
from ddp_video.video import PngSequenceWriter, VideoReader, VideoWriter

TIMES = [0, 3000, 3001 + 90, 9000, 12000, 12900, 90000, 93003]  # variable, in 1/90000 s
MPEG = Fraction(1, 90000)


def write(path, frames, pts=TIMES, time_base=MPEG, **options):
    with VideoWriter(path, frames[0].shape[:2], time_base, Fraction(30), **options) as writer:
        for rgb, time in zip(frames, pts, strict=True):
            writer.write(rgb, time)
    return writer


@pytest.fixture
def frames(picture):
    return [picture(k) for k in range(len(TIMES))]


@pytest.mark.parametrize("first", [0, 126000])
def test_ffv1_gives_back_every_value_and_time(tmp_path, first):
    noise = np.random.default_rng(0).integers(0, 256, (len(TIMES), 47, 63, 3), np.uint8)
    write(tmp_path / "a.mkv", list(noise), [first + t for t in TIMES], codec="ffv1")
    with av.open(str(tmp_path / "a.mkv")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.array_equal(decoded, noise)
    seconds = np.array([frame.pts_seconds for frame in VideoReader(tmp_path / "a.mkv")])
    assert np.abs(seconds - (first + np.array(TIMES)) / 90000).max() <= 0.0005 + 1e-9


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_ffv1_holds_the_thinnest_pictures(tmp_path, size):
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    with VideoWriter(tmp_path / "thin.mkv", size, Fraction(1, 25), Fraction(25), codec="ffv1") as writer:
        writer.write(rgb, 0)
    assert np.array_equal(next(iter(VideoReader(tmp_path / "thin.mkv"))).rgb, rgb)


@pytest.mark.parametrize(
    "time_base", [MPEG, Fraction(1, 10), Fraction(1001, 30000), Fraction(1, 12800), Fraction(1, 10**6)]
)
@pytest.mark.parametrize("first", [0, 7, 100_001])
def test_mp4_times_are_exact(tmp_path, frames, time_base, first):
    pts = [first + t for t in (0, 1, 3, 4, 10, 11, 12, 30)]
    write(tmp_path / "a.mp4", frames, pts, time_base)
    assert [frame.pts_seconds for frame in VideoReader(tmp_path / "a.mp4")] == [float(t * time_base) for t in pts]


def test_origin_is_time_zero(tmp_path, frames):
    write(tmp_path / "a.mp4", frames, [5000 + t for t in TIMES], origin=5000)
    assert [frame.pts for frame in VideoReader(tmp_path / "a.mp4")] == TIMES


def test_h264_is_what_every_player_opens_and_keeps_its_colours(tmp_path, frames):
    write(tmp_path / "a.mp4", frames)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (stream.codec_context.name, frame.format.name) == ("h264", "yuv420p")
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays while it downloads
    for frame, rgb in zip(VideoReader(tmp_path / "a.mp4"), frames, strict=True):
        assert np.abs(frame.rgb.astype(int) - rgb).mean() < 3


def test_colours_do_not_shift(tmp_path):
    colours = [(200, 40, 90), (20, 220, 60), (30, 50, 240), (255, 255, 255), (0, 0, 0)]
    write(tmp_path / "a.mp4", [np.full((48, 64, 3), c, np.uint8) for c in colours], range(5), crf=1)
    for frame, colour in zip(VideoReader(tmp_path / "a.mp4"), colours, strict=True):
        assert np.abs(frame.rgb.astype(int) - colour).max() <= 4


def test_odd_sizes_grow_by_their_last_row_and_column(tmp_path, picture):
    frames = [picture(k, (47, 61)) for k in range(3)]
    write(tmp_path / "a.mp4", frames, range(3), crf=1)
    for frame, rgb in zip(VideoReader(tmp_path / "a.mp4"), frames, strict=True):
        assert frame.rgb.shape == (48, 62, 3)
        assert np.abs(frame.rgb[:47, :61].astype(int) - rgb).mean() < 3


def test_one_frame_lasts_a_moment(tmp_path, frames):
    write(tmp_path / "a.mp4", frames[:1], [0])
    reader = VideoReader(tmp_path / "a.mp4")
    assert len(list(reader)) == 1
    assert reader.info.duration_seconds == pytest.approx(1 / 30, abs=1e-3)


def sound(path):
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.dts is not None
        ]


def rewrite(source, path, **clip):
    """A source's frames and sound into another file."""
    reader = VideoReader(source, **clip)
    with VideoWriter(
        path,
        reader.info.size,
        reader.info.time_base,
        reader.info.average_rate,
        audio_from=source,
        origin=reader.time_zero,
    ) as writer:
        for frame in reader:
            writer.write(frame.rgb, frame.pts)
    return writer


@pytest.mark.parametrize("name", ["source.mp4", "source.mkv", "source.ts"])
def test_audio_is_copied(make_video, tmp_path, name):
    source, _ = make_video(name, pts=50, audio="aac")
    writer = rewrite(source, tmp_path / "a.mp4")
    assert writer.audio_skipped is None
    before, after = sound(source), sound(tmp_path / "a.mp4")
    if name.endswith("ts"):  # sound lies in another wrapping there
        assert abs(len(before) - len(after)) <= 2
    else:
        assert [content for _, content in after] == [content for _, content in before][: len(after)]
        assert len(before) - len(after) <= 2
    assert abs(after[0][0] - before[0][0]) < Fraction(1, 1000)
    with av.open(str(tmp_path / "a.mp4")) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.abs(samples).max() > 0.5


def test_sound_that_steps_back_in_time_does_not_stop_the_pictures(make_video, tmp_path):
    """Recordings joined by `cat` begin again at the same time."""
    part, _ = make_video("part.ts", "mpeg2video", pts=50, audio="aac")
    joined = part.with_name("joined.ts")
    joined.write_bytes(2 * part.read_bytes())
    writer = rewrite(joined, tmp_path / "a.mp4")
    assert len(list(VideoReader(tmp_path / "a.mp4"))) == len(list(VideoReader(joined))) > 90
    assert "steps back" in writer.audio_skipped and len(sound(tmp_path / "a.mp4")) >= len(sound(part)) - 2


def test_audio_is_trimmed_to_the_pictures(make_video, tmp_path):
    source, _ = make_video("source.mp4", pts=100, audio="aac")
    rewrite(source, tmp_path / "a.mp4", start=1, end=2.5)
    times = [time for time, _ in sound(tmp_path / "a.mp4")]
    assert -0.03 < times[0] < 0.03
    assert 1.45 < times[-1] < 1.52
    expected = [content for time, content in sound(source) if 0.95 < time < 2.6]
    assert all(content in expected for _, content in sound(tmp_path / "a.mp4"))
    assert [frame.pts_seconds for frame in VideoReader(tmp_path / "a.mp4")] == [k / 25 for k in range(38)]


@pytest.mark.parametrize(
    ("name", "codec", "audio", "reason"),
    [
        ("a.mp4", "libx264", None, "no audio"),
        ("a.mkv", "libx264", "pcm_s16le", "pcm_s16le audio cannot be put into mp4"),
    ],
)
def test_why_audio_is_not_copied(make_video, tmp_path, frames, name, codec, audio, reason):
    source, _ = make_video(name, codec, audio=audio)
    writer = write(tmp_path / "out.mp4", frames, audio_from=source)
    assert reason in writer.audio_skipped
    assert len(list(VideoReader(tmp_path / "out.mp4"))) == len(frames)
    assert "cannot be read" in write(tmp_path / "b.mp4", frames, audio_from=tmp_path / "missing.mp4").audio_skipped


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "h264"), ("a.mkv", "ffv1")])
def test_whole_or_not_at_all(tmp_path, frames, name, codec):
    path = tmp_path / name
    path.write_text("older")
    with pytest.raises(ZeroDivisionError), VideoWriter(path, (48, 64), MPEG, Fraction(30), codec=codec) as writer:
        writer.write(frames[0], 0)
        assert path.read_text() == "older"
        raise ZeroDivisionError
    assert path.read_text() == "older"
    VideoWriter(path, (48, 64), MPEG, Fraction(30), codec=codec).close()  # not one frame
    assert [item.name for item in tmp_path.iterdir()] == [name]
    (tmp_path / (name + ".part")).write_text("left by a kill")
    write(path, frames, codec=codec)
    assert [item.name for item in tmp_path.iterdir()] == [name]
    assert len(list(VideoReader(path))) == len(frames)


def test_wrong_arguments(tmp_path, frames):
    with pytest.raises(ValueError, match=r"h264 to a \.mp4, ffv1 to a \.mkv"):
        VideoWriter(tmp_path / "a.avi", (48, 64), MPEG, Fraction(30))
    with VideoWriter(tmp_path / "a.mp4", (48, 64), MPEG, Fraction(30)) as writer:
        writer.write(frames[0], 5)
        with pytest.raises(ValueError, match="must rise"):
            writer.write(frames[1], 5)
        with pytest.raises(ValueError, match="takes uint8"):
            writer.write(frames[1][:10], 6)


def test_a_place_that_cannot_be_written(tmp_path, frames):
    (tmp_path / "file").write_text("x")
    for make in (
        lambda: VideoWriter(tmp_path / "file" / "a.mp4", (48, 64), MPEG, Fraction(30)),
        lambda: PngSequenceWriter(tmp_path / "file" / "a", (48, 64), MPEG),
    ):
        with pytest.raises(OutputError, match="cannot write") as caught:
            make()
        assert "\n" not in str(caught.value)


FULL_DISK = """
import resource, signal, sys
from fractions import Fraction
import numpy as np
from ddp_video.errors import OutputError
from ddp_video.video import PngSequenceWriter, VideoWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))  # no file may grow beyond: as on a full disk
noise = np.random.default_rng(0).integers(0, 256, (20, 96, 128, 3), np.uint8)
for name, codec in (("a.mp4", "h264"), ("a.mkv", "ffv1"), ("a", None)):
    try:
        size, time_base = (96, 128), Fraction(1, 30)
        if codec:
            writer = VideoWriter(f"{sys.argv[1]}/{name}", size, time_base, Fraction(30), codec)
        else:
            writer = PngSequenceWriter(f"{sys.argv[1]}/{name}", size, time_base)
        with writer:
            for pts, rgb in enumerate(noise):
                writer.write(rgb, pts)
    except OutputError as error:
        print(error)
"""


def test_a_full_disk(tmp_path):
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"cannot write {tmp_path / name}" for name in ("a.mp4", "a.mkv", "a")
    ]
    assert list(tmp_path.iterdir()) == []


def test_pixels_that_are_not_square(tmp_path, frames):
    write(tmp_path / "a.mp4", frames, pixel_aspect=Fraction(16, 15))
    assert VideoReader(tmp_path / "a.mp4").info.pixel_aspect == Fraction(16, 15)


def test_png_sequences(tmp_path, frames):
    for _ in range(2):  # the second replaces the first
        with PngSequenceWriter(tmp_path / "iuv", (48, 64), MPEG) as writer:
            for rgb, time in zip(frames, TIMES, strict=True):
                writer.write(rgb, time)
    files = sorted((tmp_path / "iuv").glob("*.png"))
    assert [file.name for file in files[:2]] == ["000000.png", "000001.png"]
    assert all(np.array_equal(cv2.imread(str(file))[..., ::-1], rgb) for file, rgb in zip(files, frames, strict=True))
    header, *times = (tmp_path / "iuv" / "timestamps.txt").read_text().splitlines()
    assert header == "# timestamp format v2"
    np.testing.assert_allclose([float(time) for time in times], np.array(TIMES) / 90, atol=1e-6)
    assert all(float(a) < float(b) for a, b in pairwise(times))
    with pytest.raises(ZeroDivisionError), PngSequenceWriter(tmp_path / "iuv", (48, 64), MPEG) as writer:
        writer.write(frames[0], 0)
        raise ZeroDivisionError
    assert len(list((tmp_path / "iuv").glob("*.png"))) == len(frames)
    assert [item.name for item in tmp_path.iterdir()] == ["iuv"]


def test_a_png_sequence_never_replaces_another_folder(tmp_path):
    Path(tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_text("x")
    with pytest.raises(OutputError, match="not an image sequence of ours"):
        PngSequenceWriter(tmp_path / "photos", (48, 64), MPEG)
    assert (tmp_path / "photos" / "mine.png").exists()

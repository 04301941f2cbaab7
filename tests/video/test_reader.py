"""What the reader gives for ordinary and extraordinary videos."""

import struct
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ddp_video.errors import VideoOpenError
from ddp_video.video import VideoReader
from ddp_video.video.decoding import Clock

VFR = [0, 3, 4, 9, 10, 20, 21, 22, 40, 41, 43, 50]


def difference(frame, rgb) -> float:
    return float(np.abs(frame.rgb.astype(int) - rgb).mean())


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "tolerance"),
    [
        ("a.mp4", "libx264", "yuv420p", 4),
        ("a.mp4", "libx264", "yuv444p", 4),
        ("a.mkv", "libx264", "yuv420p10le", 4),
        ("a.mov", "mpeg4", "yuv420p", 4),
        ("a.avi", "mjpeg", "yuvj420p", 4),
        ("a.ts", "mpeg2video", "yuv420p", 4),
        ("a.webm", "libvpx-vp9", "yuv420p", 4),
        ("a.mkv", "ffv1", "bgr0", 0),
        ("a.mkv", "ffv1", "bgra", 0),
        ("a.mkv", "ffv1", "yuva444p", 2),
        ("a.mkv", "ffv1", "yuv422p10le", 4),
        ("a.mkv", "ffv1", "gray", None),
        ("a.mkv", "ffv1", "gray16le", None),
        ("a.gif", "gif", "rgb8", 25),
    ],
)
def test_formats(make_video, name, codec, pixel_format, tolerance):
    fine = {"crf": "4"} if codec == "libvpx-vp9" else {"qmax": "4"}
    path, written = make_video(name, codec, pixel_format, options=fine)
    reader = VideoReader(path)
    frames = list(reader)
    assert len(frames) == len(written)
    assert [frame.index for frame in frames] == list(range(12))
    assert reader.info.size == (48, 64)
    assert reader.damaged_packets == reader.resized_frames == 0
    for frame, rgb in zip(frames, written, strict=True):
        assert frame.rgb.dtype == np.uint8
        if tolerance is None:  # grey
            assert np.ptp(frame.rgb, axis=2).max() == 0
            grey = rgb @ [0.299, 0.587, 0.114]
            assert np.abs(frame.rgb[..., 0] - grey).mean() < 20  # of whatever range grey was written in
        else:
            assert difference(frame, rgb) <= tolerance


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_times_are_those_of_the_container(make_video, name):
    time_base = Fraction(1, 1000)
    path, _ = make_video(name, pts=[40 * t for t in VFR], time_base=time_base)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        expected = [frame.pts for frame in container.decode(stream)]
        assert VideoReader(path).info.time_base == stream.time_base
    frames = list(VideoReader(path))
    assert [frame.pts for frame in frames] == expected
    assert [frame.pts_seconds for frame in frames] == [t / 25 for t in VFR]


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts", "long.avi"])
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"start": 2.0}, range(50, 100)),
        ({"start": 1.99, "end": 2.08}, range(50, 52)),
        ({"end": 0.2, "stride": 2}, range(0, 5, 2)),
        ({"stride": 7, "max_frames": 5}, range(0, 35, 7)),
        ({"start": 3.0, "first_index": 4, "stride": 3}, range(87, 100, 3)),
        ({"first_index": 99}, range(99, 100)),
        ({"first_index": 100}, range(0)),
    ],
)
def test_ranges_give_the_same_frames_as_reading_all(make_video, name, limits, expected):
    options = {"g": "30", "bf": "2"}
    path, _ = make_video(name, codec="mpeg4" if name.endswith("avi") else "libx264", pts=100, options=options)
    every = list(VideoReader(path))
    frames = list(VideoReader(path, **limits))
    assert len(every) == 100
    assert [frame.pts for frame in frames] == [every[i].pts for i in expected]
    assert all(np.array_equal(frame.rgb, every[i].rgb) for frame, i in zip(frames, expected, strict=True))
    first = limits.get("first_index", 0)
    assert [frame.index for frame in frames] == list(range(first, first + len(frames)))


def test_expected_frame_count(make_video):
    path, _ = make_video("a.mp4", pts=50)
    assert VideoReader(path).frame_count == 50
    assert VideoReader(path, stride=7).frame_count == 8
    assert VideoReader(path, start=1, stride=2, max_frames=100).frame_count == 13
    assert VideoReader(path, start=1, end=1.2).frame_count == 5


def test_a_range_without_frames(make_video):
    path, _ = make_video("a.mp4")
    with pytest.raises(VideoOpenError, match="no frame between 100 s"):
        list(VideoReader(path, start=100))
    for wrong in ({"start": 2, "end": 1}, {"stride": 0}, {"max_frames": 0}, {"start": -1}):
        with pytest.raises(ValueError):
            VideoReader(path, **wrong)


def test_batches(make_video):
    path, _ = make_video("a.mp4", pts=[3 * t for t in range(12)])
    frames = list(VideoReader(path, first_index=1))
    batches = list(VideoReader(path, first_index=1).batches(4))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert [batch.first_index for batch in batches] == [1, 5, 9]
    pictures = [picture.permute(1, 2, 0).numpy() for batch in batches for picture in batch.data]
    assert all(picture.flags.c_contiguous for picture in pictures)
    assert all(np.array_equal(picture, frame.rgb) for picture, frame in zip(pictures, frames, strict=True))
    assert [t for batch in batches for t in batch.pts.tolist()] == [frame.pts for frame in frames]
    assert [t for batch in batches for t in batch.pts_seconds.tolist()] == [frame.pts_seconds for frame in frames]


@pytest.mark.parametrize("worth_seeking", [0, 100])
def test_a_sample_is_spread_over_the_frames_to_read(make_video, monkeypatch, worth_seeking):
    monkeypatch.setattr("ddp_video.video.reader.WORTH_SEEKING", worth_seeking)
    path, written = make_video("a.mkv", "ffv1", "bgr0")
    batch = VideoReader(path, start=0.1, stride=2).sample(3)
    every = list(VideoReader(path, start=0.1, stride=2))
    assert batch.pts.tolist() == [every[k * len(every) // 3].pts for k in range(3)]
    assert all(any(np.array_equal(picture.permute(1, 2, 0), rgb) for rgb in written) for picture in batch.data)
    assert len(VideoReader(path, max_frames=2).sample(5)) == 2
    with pytest.raises(VideoOpenError, match="no frame between"):
        VideoReader(path, start=100).sample(5)


def test_stopping_early_leaves_no_thread(make_video):
    path, _ = make_video("a.mp4", pts=100)
    before = threading.active_count()
    batches = VideoReader(path).batches(2)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_exceptions_cross_the_thread(make_video):
    path, _ = make_video("a.mp4")
    batches = VideoReader(path, start=50).batches(2)
    with pytest.raises(VideoOpenError, match="no frame between"):
        next(batches)


def _set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a, b, c, d into the track header of an MP4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda rgb: np.rot90(rgb, -1)),  # clockwise, as phones held upright write
        ((-1, 0, 0, -1), lambda rgb: np.rot90(rgb, 2)),
        ((0, -1, 1, 0), lambda rgb: np.rot90(rgb, 1)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda rgb: rgb.transpose(1, 0, 2)),
    ],
)
def test_rotation(make_video, matrix, turned):
    path, _ = make_video("a.mp4")
    upright = list(VideoReader(path))
    _set_matrix(path, matrix)
    reader = VideoReader(path)
    for frame, expected in zip(reader, upright, strict=True):
        assert frame.rgb.shape[:2] == reader.info.size
        assert np.array_equal(frame.rgb, turned(expected.rgb))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("tag", "red", "blue"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)])
def test_colour_matrix_and_range_are_honoured(tmp_path, tag, red, blue, full):
    y, u, v = 110, 90, 170
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, 2 if full else 1
        frame = av.VideoFrame(64, 48, "yuv444p")
        for plane, value in zip(frame.planes, (y, u, v), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    luma, cb, cr = (
        (y / 255, (u - 128) / 255, (v - 128) / 255) if full else ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224)
    )
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    (frame,) = VideoReader(path)
    assert np.abs(frame.rgb - 255 * np.array([r, g, b])).max() <= 2


def test_interlaced_video_loses_its_combs_and_keeps_still_detail(make_video, tmp_path, picture):
    # Two fields of different moments in one frame: a bright bar that has moved by 8 px.
    frames = []
    for k in range(6):
        even, odd = np.full((2, 64, 96, 3), 30, np.uint8)
        even[:, 20 + 8 * k : 28 + 8 * k] = odd[:, 28 + 8 * k : 36 + 8 * k] = 220
        even[1::2] = odd[1::2]
        frames.append(even)
    path = tmp_path / "interlaced.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1:crf=5"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p", interpolation="POINT")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    read = list(VideoReader(path))
    assert len(read) == 6
    combs = [np.abs(np.diff(frame.rgb[..., 1].astype(int), axis=0)).mean() for frame in read]
    assert max(combs) < np.abs(np.diff(frames[0][..., 1].astype(int), axis=0)).mean() / 3


def test_raw_streams_without_times_get_them_from_the_rate(make_video):
    path, _ = make_video("a.h264", pts=30, options={"g": "10"})
    reader = VideoReader(path)
    frames = list(reader)
    assert len(frames) == 30
    seconds = np.array([frame.pts_seconds for frame in frames])
    np.testing.assert_allclose(seconds - seconds[0], np.arange(30) / 25, atol=1e-4)
    later = list(VideoReader(path, start=0.8))
    assert np.array_equal(later[0].rgb, frames[20].rgb)
    assert len(later) == 10


def test_clock():
    def ticks(*times):
        clock = Clock(Fraction(1, 1000), Fraction(25))
        return [clock.tick(time) for time in times]

    assert ticks(0, 40, 80) == [0, 40, 80]
    assert ticks(None, None, 80) == [0, 40, 80]
    assert ticks(7, 40, 40, 40, 80) == [7, 40, 41, 42, 80]
    assert ticks(0, 40, 20, 80) == [0, 40, 41, 80]
    assert ticks(5000, 5040, 0, 40, 80) == [5000, 5040, 5080, 5120, 5160]
    assert ticks(0, 40, 10**12, 120, 160) == [0, 40, 80, 120, 160]
    assert ticks(-80, -40, 0) == [-80, -40, 0]


def test_a_truncated_file_gives_what_is_there(make_video):
    path, _ = make_video("a.mp4", pts=60, size=(96, 128), options={"g": "10"})
    whole = list(VideoReader(path))
    # MP4 with its index first, as cameras and the web write it; then cut.
    fast = path.with_name("fast.mp4")
    with av.open(str(path)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = fast.read_bytes()
    fast.write_bytes(data[: len(data) * 2 // 3])
    reader = VideoReader(fast)
    frames = list(reader)
    assert 20 < len(frames) < 60
    assert reader.damaged_packets >= 1
    intact = len(frames) - 4  # around the cut the decoder makes do with what it has
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(frames[:intact], whole, strict=False))


def test_damage_is_counted_and_survived(make_video):
    path, _ = make_video("a.mkv", pts=60, size=(96, 128), options={"g": "10"})
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 4, len(data) * 3 // 4, 97):
        data[at] ^= 0x5A
    path.write_bytes(data)
    reader = VideoReader(path)
    frames = list(reader)
    assert reader.damaged_packets > 0
    assert len(frames) > 15
    assert all(a.pts < b.pts for a, b in pairwise(frames))
    again = list(VideoReader(path, first_index=5))  # resuming within damage changes nothing
    assert [frame.pts for frame in again] == [frame.pts for frame in frames[5:]]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(again, frames[5:], strict=True))


def test_a_change_of_size_is_resized_to_the_first(make_video):
    small, _ = make_video("small.ts", "mpeg2video", pts=10)
    large, _ = make_video("large.ts", "mpeg2video", pts=10, size=(96, 128))
    joined = small.with_name("joined.ts")
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    reader = VideoReader(joined)
    frames = list(reader)
    assert len(frames) > 15
    assert all(frame.rgb.shape == (48, 64, 3) for frame in frames)
    assert all(a.pts < b.pts for a, b in pairwise(frames))
    assert reader.resized_frames > 5


@pytest.mark.parametrize("name", ["a:b.mp4", "100%d.mp4", "ünïcode 影.mp4", "-dash.mp4"])
def test_odd_names(make_video, name):
    path, _ = make_video("plain.mp4")
    odd = path.rename(path.with_name(name))
    assert len(list(VideoReader(odd))) == 12


def test_fingerprint(make_video):
    path, _ = make_video("a.mp4")
    before = VideoReader(path).fingerprint()
    assert VideoReader(path).fingerprint() == before
    data = bytearray(path.read_bytes())
    path.write_bytes(data + b"\0\0\0\x08free")
    assert VideoReader(path).fingerprint() != before
    data[data.index(b"mdat") + 900] ^= 1
    path.write_bytes(data)
    assert VideoReader(path).fingerprint() != before


def _write_text(folder: Path) -> Path:
    (folder / "a.mp4").write_text("this is not a video\n" * 100)
    return folder / "a.mp4"


def _write_story(folder: Path) -> Path:
    (folder / "a.txt").write_text("this is not a video\n" * 100)
    return folder / "a.txt"


def _write_nothing(folder: Path) -> Path:
    (folder / "a.mp4").write_bytes(b"")
    return folder / "a.mp4"


def _write_sound(folder: Path) -> Path:
    with av.open(str(folder / "a.m4a"), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder / "a.m4a"


def _write_no_frames(folder: Path) -> Path:
    with av.open(str(folder / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return folder / "a.mp4"


def _make_folder(folder: Path) -> Path:
    (folder / "images").mkdir()
    return folder / "images"


def _make_folder_of_text(folder: Path) -> Path:
    (_make_folder(folder) / "a.txt").write_text("x")
    return folder / "images"


def _make_bad_images(folder: Path) -> Path:
    (_make_folder(folder) / "a.png").write_text("x")
    return folder / "images"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "missing.mp4", "no such file"),
        (_write_text, "not a video"),
        (_write_story, "not a video"),
        (_write_nothing, "not a video"),
        (_write_sound, "no video stream, only audio"),
        (_write_no_frames, "no frame|no video stream"),
        (_make_folder, "without images"),
        (_make_folder_of_text, "without images"),
        (_make_bad_images, "can be read"),
        (lambda folder: folder / "frame*.png", "no image matches"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, make, reason):
    source = make(tmp_path)
    with pytest.raises(VideoOpenError, match=reason) as caught:
        VideoReader(source)
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_random_damage_never_escapes_as_another_error(make_video):
    random = np.random.default_rng(0)
    for name in ("a.mp4", "a.mkv", "a.ts", "a.avi"):
        path, _ = make_video(name, "mpeg4", pts=6)
        data = path.read_bytes()
        for _ in range(25):
            damaged = bytearray(data)
            for at in random.integers(0, len(data), random.integers(1, 40)):
                damaged[at] = random.integers(0, 256)
            path.write_bytes(damaged[: random.integers(1, len(data) + 1)])
            try:
                times = [frame.pts for frame in VideoReader(path)]
            except VideoOpenError as error:
                assert "\n" not in str(error)
            else:
                assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize("clip", ["tfjs_pose_1.mp4", "vtest.avi"])
def test_real_clips(clip):
    path = Path(__file__).parents[3] / "shared" / "videos" / clip
    if not path.exists():
        pytest.skip(f"needs {path}")
    with av.open(str(path)) as container:
        expected = [frame.pts for frame, _ in zip(container.decode(video=0), range(40), strict=False)]
    reader = VideoReader(path, max_frames=40)
    frames = list(reader)
    assert [frame.pts for frame in frames] == expected
    capture = cv2.VideoCapture(str(path))
    for frame in frames[:5]:
        bgr = capture.read()[1]
        assert np.abs(frame.rgb[..., ::-1].astype(int) - bgr).mean() < 3

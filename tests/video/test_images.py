"""Image folders, globs and single images as videos."""

import cv2
import numpy as np
import pytest

from ddp_video.video import VideoReader


@pytest.fixture
def folder(tmp_path, picture):
    """frame1.png .. frame12.png, a text file and a hidden image."""
    for k in range(12):
        cv2.imwrite(str(tmp_path / f"frame{k + 1}.png"), picture(k)[..., ::-1])
    (tmp_path / "notes.txt").write_text("x")
    cv2.imwrite(str(tmp_path / ".hidden.png"), picture(0))
    return tmp_path


def test_natural_order_and_exact_pixels(folder, picture):
    reader = VideoReader(folder)
    frames = list(reader)
    assert [frame.pts for frame in frames] == list(range(12))
    assert frames[1].pts_seconds == 1 / 25
    assert all(np.array_equal(frame.rgb, picture(k)) for k, frame in enumerate(frames))
    assert reader.info.frame_count == 12 and not reader.info.has_audio


def test_globs_rates_and_ranges(folder, picture):
    reader = VideoReader(folder / "frame1*.png", rate=10, start=0.1, stride=2)
    frames = list(reader)
    assert [frame.pts_seconds for frame in frames] == [0.1, 0.3]
    assert np.array_equal(frames[0].rgb, picture(9))
    assert reader.frame_count == 2


def test_a_single_image(folder, picture):
    (frame,) = VideoReader(folder / "frame3.png")
    assert np.array_equal(frame.rgb, picture(2))


def test_damaged_and_differently_sized_images(folder, picture):
    (folder / "frame2.png").write_bytes((folder / "frame2.png").read_bytes()[:40])
    cv2.imwrite(str(folder / "frame5.png"), picture(4, (100, 30)))
    reader = VideoReader(folder)
    frames = list(reader)
    assert [frame.pts for frame in frames] == [0, *range(2, 12)]
    assert (reader.damaged_packets, reader.resized_frames) == (1, 1)
    assert all(frame.rgb.shape == (48, 64, 3) for frame in frames)
    list(reader)
    assert reader.damaged_packets == 1  # of the latest pass
    resumed = list(VideoReader(folder, first_index=1))
    assert [frame.pts for frame in resumed] == list(range(2, 12))
    assert [frame.index for frame in resumed] == list(range(1, 11))


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("grey.png", np.full((20, 30), 77, np.uint8)),
        ("deep.png", np.full((20, 30, 3), 77 * 257, np.uint16)),
        ("alpha.png", np.dstack([np.full((20, 30, 3), 77, np.uint8), np.zeros((20, 30), np.uint8)])),
    ],
)
def test_kinds_of_images(tmp_path, name, image):
    cv2.imwrite(str(tmp_path / name), image)
    (frame,) = VideoReader(tmp_path / name)
    assert (frame.rgb == 77).all() and frame.rgb.shape == (20, 30, 3)


def test_fingerprint_sees_a_replaced_image(folder, picture):
    before = VideoReader(folder).fingerprint()
    assert VideoReader(folder).fingerprint() == before
    cv2.imwrite(str(folder / "frame4.png"), picture(99)[..., ::-1])
    assert VideoReader(folder).fingerprint() != before

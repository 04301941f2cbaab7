"""`render` from a run folder: the same pictures as `infer` draws, with and without the source video."""

import numpy as np
import pytest
from click.testing import CliRunner
from discs import DiscPredictor, moving_discs, write_video

from ddp_video.cli.render import render
from ddp_video.decode import decode
from ddp_video.errors import OutputError, PredictionsError, VideoOpenError
from ddp_video.pictures import PictureSettings
from ddp_video.pipeline import Clip, infer
from ddp_video.redraw import redraw
from ddp_video.render import RenderOptions, iuv
from ddp_video.runs import RunFolder
from ddp_video.video import VideoReader

FRAMES = 6


@pytest.fixture
def run(tmp_path):
    video = write_video(tmp_path / "discs.mkv", moving_discs(FRAMES))
    return infer(video, DiscPredictor(), tmp_path / "run")


def frames_of(path):
    return [(frame.pts_seconds, frame.rgb) for frame in VideoReader(path)]


def assert_same(one, other):
    """Up to what H.264 does to them: encoding the same pictures twice may differ by a few grey levels."""
    lossy = one.suffix == ".mp4"
    one, other = frames_of(one), frames_of(other)
    assert len(one) == len(other) == FRAMES
    for (time, picture), (other_time, other_picture) in zip(one, other, strict=True):
        assert time == other_time
        difference = np.abs(picture.astype(int) - other_picture)
        assert difference.mean() < 3 if lossy else not difference.any()


def test_same_as_infer_drew(run, tmp_path):
    assert redraw(run, tmp_path / "again", PictureSettings()) == FRAMES
    for name in ("isocontour.mp4", "iuv.mkv", "parts.mp4"):
        assert_same(tmp_path / "again" / name, run.path / name)


def test_moved_source(run, tmp_path):
    moved = (tmp_path / "discs.mkv").rename(tmp_path / "moved.mkv")
    over_frames = PictureSettings(styles=("isocontour",))
    with pytest.raises(VideoOpenError, match=r"discs\.mkv"):
        redraw(run, tmp_path / "a", over_frames)
    redraw(run, tmp_path / "b", over_frames, video=moved)
    assert_same(tmp_path / "b" / "isocontour.mp4", run.path / "isocontour.mp4")
    redraw(
        run, tmp_path / "c", PictureSettings(styles=("isocontour", "parts"), options=RenderOptions(background="black"))
    )
    assert_same(tmp_path / "c" / "parts.mp4", run.path / "parts.mp4")
    other = write_video(tmp_path / "other.mkv", moving_discs(FRAMES, people=1))
    with pytest.raises(PredictionsError, match="not the video"):
        redraw(run, tmp_path / "d", over_frames, video=other)


def test_times_of_a_range_without_its_source(tmp_path):
    video = write_video(tmp_path / "discs.mkv", moving_discs(20))
    run = infer(video, DiscPredictor(), tmp_path / "run", clip=Clip(start=0.2, max_frames=FRAMES, stride=2))
    video.unlink()
    redraw(run, tmp_path / "again", PictureSettings(styles=("iuv",)))
    again, first = frames_of(tmp_path / "again" / "iuv.mkv"), frames_of(run.path / "iuv.mkv")
    gaps = [np.diff([time for time, _ in frames]) for frames in (again, first)]
    assert np.allclose(*gaps, atol=2e-3) and all(
        np.array_equal(a, b) for (_, a), (_, b) in zip(again, first, strict=True)
    )


def test_a_run_that_is_not_finished_is_refused(run, tmp_path):
    begun = RunFolder(run.path, {**run.facts, "state": "running"})
    with pytest.raises(PredictionsError, match=r"not finished; .*--resume"):
        redraw(begun, tmp_path / "pictures", PictureSettings(styles=("parts",)))
    assert not (tmp_path / "pictures").exists()


def test_nothing_is_replaced_unasked(run):
    before = (run.path / "parts.mp4").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        redraw(run, run.path, PictureSettings(styles=("instances", "parts")))
    assert (run.path / "parts.mp4").read_bytes() == before and not (run.path / "instances.mp4").exists()
    redraw(run, run.path, PictureSettings(styles=("parts",)), overwrite=True)


def test_command(run):
    done = CliRunner().invoke(
        render, [str(run.path), "--style", "iuv", "--order", "bgr", "-o", str(run.path / "bgr")], catch_exceptions=False
    )
    assert done.exit_code == 0 and f"iuv, {FRAMES} frames" in done.output
    for prediction, (_, picture) in zip(run.predictions, frames_of(run.path / "bgr" / "iuv.mkv"), strict=True):
        assert np.array_equal(picture[..., ::-1], iuv(decode(prediction)))
    CliRunner().invoke(render, [str(run.path), "--style", "instances", "--format", "png", "-q"], catch_exceptions=False)
    assert len(list((run.path / "instances").glob("*.png"))) == FRAMES
    assert CliRunner().invoke(render, [str(run.path)]).exit_code == 2

"""infer and smooth from end to end, on videos made here and a predictor that needs no weights."""

import numpy as np
import pytest
import torch
from alike import IUV_ONLY, Stopped, assert_same_pictures, assert_same_predictions, pictures_of, stop_at
from discs import DiscPredictor, moving_discs, write_video

from ddp_video.decode import decode
from ddp_video.errors import OutputError, PredictionsError, VideoOpenError
from ddp_video.pictures import PictureSettings
from ddp_video.pipeline import Clip, infer, smooth
from ddp_video.predictions import open_predictions
from ddp_video.render import iuv
from ddp_video.runs import RunFolder
from ddp_video.temporal.smoothing import SmoothingSettings
from ddp_video.video import VideoReader


def test_every_frame_in_is_a_frame_out_at_its_time(disc_video, tmp_path):
    run = infer(disc_video, DiscPredictor(), tmp_path / "run")
    times = [frame.pts_seconds for frame in VideoReader(disc_video)]
    assert len(times) == 40 and len(set(np.diff(times).round(4))) > 1  # variable rate
    for name in ("isocontour.mp4", "iuv.mkv", "parts.mp4"):
        written = [frame.pts_seconds for frame in VideoReader(run.path / name)]
        assert np.allclose(written, times, atol=1e-3)
    assert [p.pts_seconds for p in run.predictions] == times
    assert run.finished and run.facts["statistics"]["frames"] == 40


def test_iuv_video_is_the_decoded_predictions(disc_video, tmp_path):
    run = infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY)
    for prediction, (_, picture) in zip(run.predictions, pictures_of(run.path / "iuv.mkv"), strict=True):
        assert np.array_equal(picture, iuv(decode(prediction)))
    assert picture[..., 0].max() > 0


def test_people_keep_their_identity(disc_video, tmp_path):
    run = infer(
        disc_video, DiscPredictor(), tmp_path / "run", clip=Clip(max_frames=15), pictures=PictureSettings(styles=())
    )
    ids = [set(p.instances.track_id.tolist()) for p in run.predictions]
    assert ids == [ids[0]] * 15 and len(ids[0]) == 2


@pytest.mark.parametrize("mode", ["robust", "paper"])
def test_one_pass_equals_two(disc_video, tmp_path, mode):
    smoothing = SmoothingSettings(mode=mode)
    raw = infer(disc_video, DiscPredictor(), tmp_path / "raw", pictures=IUV_ONLY)
    two = smooth(raw, tmp_path / "two", smoothing=smoothing, pictures=IUV_ONLY)
    one = infer(disc_video, DiscPredictor(), tmp_path / "one", smoothing=smoothing, pictures=IUV_ONLY)
    assert_same_predictions(one.predictions, two.predictions)
    assert_same_pictures(one.path / "iuv.mkv", two.path / "iuv.mkv")
    different = [
        not torch.equal(a.iuv.logits, b.iuv.logits) for a, b in zip(raw.predictions, one.predictions, strict=True)
    ]
    assert any(different)


@pytest.mark.parametrize("smoothing", [None, SmoothingSettings()])
@pytest.mark.parametrize("frame", [3, 17, 33, 39])
def test_resumed_equals_uninterrupted(disc_video, tmp_path, smoothing, frame):
    settings = {"smoothing": smoothing, "pictures": IUV_ONLY}
    whole = infer(disc_video, DiscPredictor(), tmp_path / "whole", **settings)
    with pytest.raises(Stopped):
        infer(disc_video, DiscPredictor(), tmp_path / "cut", progress=stop_at(frame), **settings)
    assert not RunFolder.open(tmp_path / "cut").finished
    cut = infer(disc_video, DiscPredictor(), tmp_path / "cut", resume=True, **settings)
    assert_same_predictions(cut.predictions, whole.predictions)
    assert_same_pictures(cut.path / "iuv.mkv", whole.path / "iuv.mkv")


def test_smoothing_resumes_too(disc_video, tmp_path):
    raw = infer(disc_video, DiscPredictor(), tmp_path / "raw", pictures=PictureSettings(styles=()))
    whole = smooth(raw, tmp_path / "whole", pictures=IUV_ONLY)
    with pytest.raises(Stopped):
        smooth(raw, tmp_path / "cut", pictures=IUV_ONLY, progress=stop_at(30))
    cut = smooth(raw, tmp_path / "cut", pictures=IUV_ONLY, resume=True)
    assert_same_predictions(cut.predictions, whole.predictions)


def test_a_finished_run_is_not_done_again(disc_video, tmp_path):
    run = infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY)
    before = (run.path / "iuv.mkv").stat().st_mtime_ns
    again = infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, resume=True)
    assert again.finished and (run.path / "iuv.mkv").stat().st_mtime_ns == before


def test_an_existing_run_is_not_touched_unasked(disc_video, tmp_path):
    infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY)
    with pytest.raises(OutputError, match=r"--resume.*--overwrite"):
        infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY)
    infer(disc_video, DiscPredictor(), tmp_path / "run", clip=Clip(max_frames=5), pictures=IUV_ONLY, overwrite=True)
    assert len(open_predictions(tmp_path / "run")) == 5


def test_resume_refuses_other_settings(disc_video, tmp_path):
    with pytest.raises(Stopped):
        infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, progress=stop_at(20))
    with pytest.raises(PredictionsError, match="batch_size"):
        infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, batch_size=3, resume=True)


def test_smoothing_refuses_what_it_cannot_smooth(disc_video, tmp_path):
    run = infer(disc_video, DiscPredictor(), tmp_path / "run", clip=Clip(max_frames=6), pictures=IUV_ONLY)
    done = smooth(run, tmp_path / "smooth", pictures=IUV_ONLY)
    with pytest.raises(PredictionsError, match="smoothed already"):
        smooth(done, tmp_path / "twice")
    with pytest.raises(ValueError, match="cannot replace"):
        smooth(run, run.path)
    write_video(disc_video, moving_discs(30))
    with pytest.raises(PredictionsError, match="not the video"):
        smooth(run, tmp_path / "replaced")


@pytest.mark.parametrize("people", [0, 2])
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_short_clips_with_and_without_people(tmp_path, frames, people):
    video = write_video(tmp_path / "short.mkv", moving_discs(frames, people=people))
    run = infer(video, DiscPredictor(), tmp_path / "run", smoothing=SmoothingSettings(radius=2))
    assert [len(p.instances) for p in run.predictions] == [people] * frames
    for name in ("isocontour.mp4", "iuv.mkv", "parts.mp4"):
        assert len(pictures_of(run.path / name)) == frames


def test_odd_sizes(tmp_path):
    video = write_video(tmp_path / "odd.mkv", moving_discs(3, 63, 95))
    run = infer(video, DiscPredictor(), tmp_path / "run")
    assert pictures_of(run.path / "iuv.mkv")[0][1].shape == (63, 95, 3)


def test_images_out(disc_video, tmp_path):
    settings = PictureSettings(styles=("iuv", "instances"), formats=("png",))
    run = infer(disc_video, DiscPredictor(), tmp_path / "run", clip=Clip(max_frames=3), pictures=settings)
    assert len(list((run.path / "iuv").glob("*.png"))) == len(list((run.path / "instances").glob("*.png"))) == 3


def test_a_part_of_a_clip(disc_video, tmp_path):
    run = infer(
        disc_video, DiscPredictor(), tmp_path / "run", clip=Clip(start=0.4, end=1.2, stride=2), pictures=IUV_ONLY
    )
    expected = [f.pts_seconds for f in VideoReader(disc_video, start=0.4, end=1.2, stride=2)]
    assert [p.pts_seconds for p in run.predictions] == expected
    assert len(pictures_of(run.path / "iuv.mkv")) == len(expected) < 20


def test_a_missing_video_leaves_nothing_behind(tmp_path):
    with pytest.raises(VideoOpenError, match="no such file"):
        infer(tmp_path / "none.mp4", DiscPredictor(), tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""What may happen to a run and to its folder between two calls; `benchmarks/endurance.py` has the long versions."""

import shutil
import subprocess
import sys
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from alike import IUV_ONLY, Stopped, assert_same_pictures, assert_same_predictions, child_environment, stop_at
from discs import DiscPredictor, moving_discs, write_video

from ddp_video.errors import PredictionsError
from ddp_video.export import export
from ddp_video.hardware import halving
from ddp_video.pictures import PictureSettings
from ddp_video.pipeline import infer, smooth
from ddp_video.predictions.schema import BLOCK_FRAMES
from ddp_video.redraw import redraw
from ddp_video.runs import RunFolder
from ddp_video.temporal.smoothing import SmoothingSettings

LONG = 5 * BLOCK_FRAMES + 5


class Counting(DiscPredictor):
    """Remembers which frames it was asked for."""

    def __init__(self):
        self.asked = []

    def predict(self, frames):
        self.asked += range(frames.first_index, frames.first_index + len(frames))
        return super().predict(frames)


@pytest.fixture
def long_video(tmp_path):
    """Discs that move, a flash of black, a cut to fewer discs, and back."""
    pictures = moving_discs(LONG)
    pictures[40:44] = [np.zeros_like(picture) for picture in pictures[40:44]]
    pictures[60:75] = [np.ascontiguousarray(p[::-1, ::-1]) for p in moving_discs(15, people=1)]
    return write_video(tmp_path / "long.mkv", pictures)


def damage_block(run, number):
    chunk = max((run.store / "blocks" / f"{number:06d}" / "logits").rglob("*"), key=lambda f: f.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("smoothing", "damaged"),
    [
        (None, (0,)),
        (SmoothingSettings(), (1, 4)),
        (SmoothingSettings(), (2, 3, 5)),
        (SmoothingSettings(causal=True), (3,)),
    ],
)
def test_resume_makes_damaged_blocks_again_and_nothing_far_from_them(long_video, tmp_path, smoothing, damaged):
    settings = {"smoothing": smoothing, "pictures": IUV_ONLY}
    whole = infer(long_video, DiscPredictor(), tmp_path / "whole", **settings)
    shutil.copytree(whole.path, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    for number in damaged:
        damage_block(run, number)
    with pytest.raises(PredictionsError, match=f"frames {damaged[0] * BLOCK_FRAMES} to .* --resume"):
        list(run.predictions)
    predictor = Counting()
    mended = infer(long_video, predictor, run.path, resume=True, **settings)
    assert mended.finished
    assert_same_predictions(mended.predictions, whole.predictions)
    assert_same_pictures(mended.path / "iuv.mkv", whole.path / "iuv.mkv")
    again = set(predictor.asked)
    for number in range(LONG // BLOCK_FRAMES + 1):
        frames = set(range(number * BLOCK_FRAMES, min((number + 1) * BLOCK_FRAMES, LONG)))
        if number in damaged:
            assert frames <= again
        elif number + 1 not in damaged and number + 2 not in damaged and number - 1 not in damaged:
            assert not frames & again


def test_what_reads_a_damaged_run_says_which_frames(disc_video, tmp_path):
    run = infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY)
    damage_block(run, 1)
    readers = [
        lambda: smooth(run, tmp_path / "smooth", pictures=IUV_ONLY),
        lambda: redraw(run, tmp_path / "again", IUV_ONLY),
        lambda: export(run, tmp_path / "out.json", "coco"),
        lambda: export(run, tmp_path / "out.pt", "densepose"),
    ]
    for read in readers:
        with pytest.raises(PredictionsError, match=r"frames 16 to 31 are damaged .*block 000001.*--resume"):
            read()
    assert not (tmp_path / "again" / "iuv.mkv").exists() and not list(tmp_path.glob("out.*"))
    infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, resume=True)
    smooth(run, tmp_path / "smooth", pictures=IUV_ONLY, resume=True)  # goes on where the damage had stopped it


def test_a_video_that_was_replaced_or_cut_short_is_refused(disc_video, tmp_path):
    with pytest.raises(Stopped):
        infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, progress=stop_at(20))
    whole = disc_video.read_bytes()
    for damage in (
        lambda: disc_video.write_bytes(whole[: len(whole) // 2]),
        lambda: write_video(disc_video, moving_discs(30)),
    ):
        damage()
        with pytest.raises(
            PredictionsError, match=r"discs\.mkv is not the video that .* then 40 frames.*, now "
        ) as said:
            infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, resume=True)
        assert "\n" not in str(said.value)
    disc_video.write_bytes(whole)
    assert infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, resume=True).finished


def test_a_video_that_moved_is_the_same(disc_video, tmp_path):
    with pytest.raises(Stopped):
        infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, progress=stop_at(20))
    moved = disc_video.rename(tmp_path / "moved.mkv")
    run = infer(moved, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, resume=True)
    assert run.finished and RunFolder.open(run.path).source == str(moved)
    again = moved.rename(tmp_path / "again.mkv")
    infer(again, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, resume=True)
    assert RunFolder.open(run.path).source == str(again)  # of a finished run too


def test_a_kill_while_an_older_run_is_replaced_mixes_nothing(disc_video, tmp_path, monkeypatch):
    class Other(DiscPredictor):
        def describe(self):
            return {"model": "other"}

        def predict(self, frames):
            return [replace(p, iuv=replace(p.iuv, logits=-p.iuv.logits)) for p in super().predict(frames)]

    def run(predictor, folder="run", **settings):
        return infer(disc_video, predictor, tmp_path / folder, pictures=IUV_ONLY, **settings)

    whole = run(Other(), "whole")
    for step in ("_remove_store", "save"):  # killed before the step, and after it
        for late in (False, True):
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
            run(DiscPredictor())
            do = getattr(RunFolder, step)

            def die(self, do=do, late=late):
                if late:
                    do(self)
                raise KeyboardInterrupt

            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(RunFolder, step, die)
                run(Other(), overwrite=True)
            try:
                done = run(Other(), resume=True)
            except PredictionsError as error:  # run.json is still that of the older run
                assert "begun with another model" in str(error)
                done = run(Other(), overwrite=True)
            assert_same_predictions(done.predictions, whole.predictions)


def sound(path):
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.dts is not None]


@pytest.mark.parametrize("frame", [5, 30])
def test_resuming_with_png_sequences_and_sound(make_video, tmp_path, frame):
    video, _ = make_video("sound.mp4", pts=40, audio="aac")
    settings = {"pictures": PictureSettings(formats=("video", "png")), "smoothing": SmoothingSettings()}
    whole = infer(video, DiscPredictor(), tmp_path / "whole", **settings)
    with pytest.raises(Stopped):
        infer(video, DiscPredictor(), tmp_path / "cut", progress=stop_at(frame), **settings)
    cut = infer(video, DiscPredictor(), tmp_path / "cut", resume=True, **settings)
    assert_same_predictions(cut.predictions, whole.predictions)
    for style in ("isocontour", "iuv", "parts"):
        mine, theirs = ({f.name: f.read_bytes() for f in (r.path / style).iterdir()} for r in (cut, whole))
        assert len(mine) == 41 and mine == theirs
    assert_same_pictures(cut.path / "iuv.mkv", whole.path / "iuv.mkv")
    for name in ("isocontour.mp4", "parts.mp4"):  # encoded twice, H.264 may differ by a few grey levels
        assert sound(cut.path / name) == sound(whole.path / name) != []
    assert cut.facts["statistics"]["audio_skipped"] is None


def test_a_kill_while_an_older_png_sequence_is_replaced(disc_video, tmp_path, monkeypatch):
    settings = {"pictures": PictureSettings(styles=("iuv",), formats=("png",))}
    run = infer(disc_video, DiscPredictor(), tmp_path / "run", **settings)
    rmtree = shutil.rmtree

    def die(path, *rest, **options):
        if path.name in ("iuv", "iuv.old") and path.exists():
            (path / "timestamps.txt").unlink()
            raise KeyboardInterrupt
        rmtree(path, *rest, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", die)
        infer(disc_video, DiscPredictor(), tmp_path / "run", overwrite=True, **settings)
    monkeypatch.undo()
    infer(disc_video, DiscPredictor(), tmp_path / "run", resume=True, **settings)
    assert len(list((run.path / "iuv").glob("*.png"))) == 40
    assert not [path for path in run.path.iterdir() if path.name not in ("iuv", "run.json", "predictions.zarr")]


SECOND = """
import sys
from discs import DiscPredictor
from ddp_video.errors import OutputError
from ddp_video.pipeline import infer
for settings in ({"resume": True}, {"overwrite": True}, {}):
    try:
        infer(sys.argv[1], DiscPredictor(), sys.argv[2], **settings)
    except OutputError as error:
        print(error)
"""


def test_a_second_process_is_refused_and_disturbs_nothing(disc_video, tmp_path):
    pytest.importorskip("fcntl")
    said = []

    def try_elsewhere(done, _):
        if done == 20:
            command = [sys.executable, "-c", SECOND, str(disc_video), str(tmp_path / "run")]
            said.append(subprocess.run(command, capture_output=True, text=True, env=child_environment()))

    run = infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY, progress=try_elsewhere)
    (second,) = said
    assert second.stdout.count("is being written by another ddp-video process") == 3, second.stderr
    assert run.finished and len(run.predictions) == 40


def test_out_of_memory_halves_the_batch(disc_video, tmp_path):
    sizes = []

    class Short(DiscPredictor):
        """Has memory for two frames at once."""

        def predict(self, frames):
            def some(data):
                sizes.append(len(data))
                if len(data) > 2:
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
                return list(data)

            assert len(halving(some, frames.data)) == len(frames)
            return super().predict(frames)

    infer(disc_video, Short(), tmp_path / "run", batch_size=8, pictures=IUV_ONLY)
    assert set(sizes) == {8, 4, 2}


def test_pictures_of_a_kill_at_the_very_end_are_drawn_without_the_network(disc_video, tmp_path, monkeypatch):
    """The store is finished, run.json is not."""
    save, calls = RunFolder.save, []

    def die(self):
        calls.append(self)
        if self.facts["state"] == "finished":
            raise KeyboardInterrupt
        save(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunFolder, "save", die)
        infer(disc_video, DiscPredictor(), tmp_path / "run", pictures=IUV_ONLY)
    predictor = Counting()
    run = infer(disc_video, predictor, tmp_path / "run", pictures=IUV_ONLY, resume=True)
    assert run.finished and predictor.asked == []
    assert run.facts["statistics"]["frames_found"] == 40


def test_many_people(tmp_path):
    picture = np.full((480, 800, 3), 60, np.uint8)
    for y in range(5):
        for x in range(10):
            cv2.circle(picture, (40 + 80 * x, 48 + 96 * y), 24, (250, 250, 250), -1)
    video = write_video(tmp_path / "crowd.mkv", [picture] * 3)
    run = infer(video, DiscPredictor(), tmp_path / "run", smoothing=SmoothingSettings())
    assert [len(p.instances) for p in run.predictions] == [50] * 3
    assert len({tuple(p.instances.track_id.tolist()) for p in run.predictions}) == 1

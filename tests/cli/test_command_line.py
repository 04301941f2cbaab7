"""The command as a user meets it: exit codes and one line for whatever is wrong, files for whatever is right."""

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from discs import moving_discs, write_video

from ddp_video.cli.options import report_run
from ddp_video.predictions import open_predictions
from ddp_video.video import VideoReader

EXAMPLE = Path(__file__).parents[2] / "examples/people.mp4"


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]


def audio_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def test_infer_then_smooth_then_compare(command, weights, tmp_path):
    video = write_video(tmp_path / "clip.mkv", moving_discs(5))
    assert command("infer", video, "--model", weights, "-o", tmp_path / "runs", "--flow", "dis")[0] == 0
    assert command("smooth", tmp_path / "runs" / "clip", "-o", tmp_path / "smoothed", "--flow", "dis")[0] == 0
    for folder in ("runs", "smoothed"):
        run = tmp_path / folder / "clip"
        facts = json.loads((run / "run.json").read_text())
        assert facts["state"] == "finished" and facts["model"]["weights_sha256"]
        assert len(open_predictions(run)) == len(list(VideoReader(run / "isocontour.mp4"))) == 5
    code, out, _ = command("evaluate-stability", tmp_path / "runs" / "clip", tmp_path / "smoothed" / "clip")
    assert code == 0 and "ITF" in out


def test_small_people_beside_tall_ones_are_looked_at_twice(command, tmp_path):
    """By the weights that ship, in the example clip; who asks for one size gets one look."""
    clip, found = ["--max-frames", "1", "--flow", "dis", "--format", "png"], {}
    for name, options, sizes in (("twice", [], [576, 864]), ("once", ["--size", "576"], [576])):
        code, out, _ = command("infer", EXAMPLE, "-o", tmp_path / name, *clip, *options)
        assert code == 0 and ("576 and 864 px" in out) == (len(sizes) == 2)
        run = tmp_path / name / EXAMPLE.stem
        assert json.loads((run / "run.json").read_text())["model"]["sizes"] == sizes
        (found[name],) = open_predictions(run)
    assert found["twice"].grid == found["once"].grid
    assert len(found["twice"].instances) >= len(found["once"].instances) >= 3


def test_run_folders_of_earlier_versions_say_their_one_size(capsys):
    """`smooth` hands on what `infer` wrote of the model, `size` then."""
    statistics = {
        "frames": 3,
        "frames_per_second": 1.0,
        "damaged_packets": 0,
        "resized_frames": 0,
        "audio_skipped": None,
    }
    facts = {"statistics": statistics, "model": {"size": 737, "size_by": "people"}}
    report_run(SimpleNamespace(path="smoothed/clip", facts=facts), quiet=False)
    assert "short side of 737 px (--size chooses)" in capsys.readouterr().out


def test_a_truncated_video_gives_the_frames_before_the_damage(command, weights, tmp_path):
    whole = write_video(tmp_path / "whole.mkv", moving_discs(12))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    code, _, err = command("infer", cut, "--model", weights, "-o", tmp_path / "runs")
    assert code == 0 and not errors(err)
    assert 2 < len(open_predictions(tmp_path / "runs" / "cut")) < 12


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, "no such file"),
        (lambda path: path.write_text("hello") and path, "not a video"),
        (lambda path: path.write_bytes(b"") or path, "not a video"),
        (lambda path: path.mkdir() or path, "without images"),
        (audio_only, "no video stream"),
    ],
    ids=["missing", "text", "empty", "empty folder", "audio only"],
)
def test_what_is_no_video_is_one_line(command, weights, tmp_path, make, said):
    code, _, err = command("infer", make(tmp_path / "in.mp4"), "--model", weights, "-o", tmp_path / "runs")
    assert code == 1
    assert len(errors(err)) == 1 and said in err and "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_one_bad_input_does_not_stop_the_others(command, weights, tmp_path):
    good = write_video(tmp_path / "good.mkv", moving_discs(2))
    code, _, err = command("infer", tmp_path / "bad.mp4", good, "--model", weights, "-o", tmp_path / "runs")
    assert code == 1 and len(errors(err)) == 1
    assert len(open_predictions(tmp_path / "runs" / "good")) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["infer"], 2, "INPUT"),
        (["infer", "a.mp4", "--size", "3"], 2, "--size"),
        (["infer", "a.mp4", "--radius", "3"], 2, "--smooth"),
        (["infer", "a.mp4", "--smooth", "--alphas", "1,2"], 2, "alphas"),
        (["infer", "a/x.mp4", "b/x.mp4", "--model", "{weights}"], 2, "different -o"),
        (["infer", "a.mp4", "--weights", "w.pkl"], 2, "densepose-rcnn"),
        (["infer", "a.mp4", "--model", "nobody"], 1, "no weights 'nobody'"),
        (["infer", "a.mp4", "--model", "{weights}", "--device", "cuda:77"], 1, "cuda:77"),
        (["smooth", "nothing", "--flow", "dis"], 1, "not a run folder"),
        (["render", "nothing", "--style", "iuv"], 1, "not a run folder"),
        (["evaluate-stability", "nothing.mp4"], 1, "no such file"),
        (["no-such-command"], 2, "no-such-command"),
    ],
)
def test_wrong_usage_is_one_line(command, weights, monkeypatch, tmp_path, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    got, _, err = command(*(argument.format(weights=weights) for argument in arguments))
    assert got == code
    assert len(errors(err)) == 1 and said in err and "Traceback" not in err


def test_a_folder_that_cannot_be_written(command, weights, tmp_path):
    video = write_video(tmp_path / "clip.mkv", moving_discs(1))
    (tmp_path / "taken").write_text("a file where the folder should be")
    code, _, err = command("infer", video, "--model", weights, "-o", tmp_path / "taken")
    assert code == 1 and len(errors(err)) == 1 and "taken" in err


def test_damaged_weights_are_one_line(command, weights, tmp_path):
    damaged = tmp_path / weights.rsplit("/", 1)[-1]
    shutil.copy(weights, damaged)
    with damaged.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\x00" * 64)
    video = write_video(tmp_path / "clip.mkv", moving_discs(1))
    code, _, err = command("infer", video, "--model", damaged, "-o", tmp_path / "runs")
    assert code == 1 and len(errors(err)) == 1 and "damaged" in err


@pytest.mark.parametrize(
    ("frames", "video"),
    [
        (1, {"name": "one.mp4", "pts": 1}),
        (2, {"name": "tiny.mkv", "codec": "ffv1", "pixel_format": "bgr0", "size": (1, 1), "pts": 2}),
        (2, {"name": "thin.mkv", "codec": "ffv1", "pixel_format": "bgr0", "size": (1, 500), "pts": 2}),
        (3, {"name": "odd.mkv", "codec": "ffv1", "pixel_format": "bgr0", "size": (33, 47), "pts": 3}),
        (4, {"name": "vfr.mp4", "pts": [0, 3, 4, 90]}),
        (3, {"name": "deep.mkv", "pixel_format": "yuv420p10le", "pts": 3}),
        (3, {"name": "alpha.mkv", "codec": "ffv1", "pixel_format": "bgra", "pts": 3}),
        (3, {"name": "grey.mkv", "codec": "ffv1", "pixel_format": "gray16le", "pts": 3}),
        (3, {"name": "sound.mp4", "audio": "aac", "pts": 3}),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_unusual_videos_give_a_frame_for_a_frame(command, weights, make_video, tmp_path, frames, video):
    path, _ = make_video(**video)
    code, out, err = command("infer", path, "--model", weights, "-o", tmp_path / "runs", "--smooth", "--flow", "dis")
    assert code == 0 and not errors(err) and f"{frames} frames" in out
    run = tmp_path / "runs" / path.stem
    times = [frame.pts_seconds for frame in VideoReader(path)]
    for name in ("isocontour.mp4", "iuv.mkv", "parts.mp4"):
        assert np.allclose([frame.pts_seconds for frame in VideoReader(run / name)], times, atol=1e-3)


def test_what_cannot_be_written_to_is_one_line(command, weights, monkeypatch, tmp_path):
    video = write_video(tmp_path / "clip.mkv", moving_discs(1))
    mkdir = Path.mkdir

    def read_only(path, *arguments, **options):
        if "runs" in path.parts:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", read_only)
    code, _, err = command("infer", video, "--model", weights, "-o", tmp_path / "runs")
    assert code == 1 and len(errors(err)) == 1 and "Read-only file system; give a writable one with -o" in err


def test_a_damaged_run_folder_is_one_line(command, weights, tmp_path):
    video = write_video(tmp_path / "clip.mkv", moving_discs(3))
    assert command("infer", video, "--model", weights, "-o", tmp_path / "runs")[0] == 0
    run = tmp_path / "runs" / "clip"
    for name, damage in (
        ("run.json", b"{"),
        ("run.json", b'{"schema": 1}'),
        ("predictions.zarr/blocks/000000/pts/c/0", b"x"),
        ("predictions.zarr/zarr.json", b""),
    ):
        whole = (run / name).read_bytes()
        (run / name).write_bytes(damage)
        for arguments in (
            ("smooth", run, "-o", tmp_path / "smooth", "--flow", "dis"),
            ("render", run, "--style", "iuv", "-o", tmp_path / "again"),
            ("export", run, "--to", "coco", "-o", tmp_path / "out.json"),
            ("evaluate-stability", run),
        ):
            code, _, err = command(*arguments)
            assert code == 1 and len(errors(err)) == 1 and "damaged" in err and "Traceback" not in err, arguments
        (run / name).write_bytes(whole)

"""Ctrl-C, kills and full disks, on the real command in a process of its own."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from alike import assert_same_pictures, assert_same_predictions, child_environment
from discs import DiscPredictor, moving_discs, write_video

from ddp_video.pipeline import infer
from ddp_video.predictions import open_predictions
from ddp_video.predictions.schema import BLOCK_FRAMES
from ddp_video.runs import RunFolder
from ddp_video.temporal.smoothing import SmoothingSettings

FRAMES = 60
STUCK_AT = 2 * BLOCK_FRAMES + 16  # two blocks are finished whatever waits for later frames

# The command with discs for people. "stuck": the network never comes back from a batch. "full": no file may grow beyond
# 200 kB, as on a full disk.
COMMAND = f"""
import importlib, resource, sys, threading
from discs import DiscPredictor
from ddp_video.cli.main import main

class Predictor(DiscPredictor):
    device, precision = "cpu", "fp32"

    def predict(self, frames):
        if mode == "stuck" and frames.first_index >= {STUCK_AT}:
            print("stuck", flush=True)
            threading.Event().wait()
        return super().predict(frames)

mode = sys.argv.pop(1)
if mode == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
importlib.import_module("ddp_video.cli.infer").load_predictor = lambda **_: Predictor()
main()
"""


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "clip.mkv", moving_discs(FRAMES))


def start(mode, *arguments):
    command = [sys.executable, "-c", COMMAND, mode, "infer", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell's background jobs, and their children, are deaf to it otherwise.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, env=child_environment(), preexec_fn=listen, **pipes)


def wait_for(path: Path, child: subprocess.Popen) -> None:
    while not path.exists():
        try:
            child.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended before {path} appeared: {child.communicate()}")


def assert_resumes(video, run, smoothing):
    """What is there goes on to what an undisturbed run gives."""
    whole = infer(video, DiscPredictor(), run.parent / "whole", smoothing=smoothing)
    command = start("plain", video, "-o", run.parent, "--resume", *(["--smooth", "--flow", "dis"] if smoothing else []))
    out, err = command.communicate(timeout=600)
    assert command.returncode == 0, err
    assert f"{FRAMES} frames" in out
    assert_same_predictions(open_predictions(run), whole.predictions)
    assert_same_pictures(run / "iuv.mkv", whole.path / "iuv.mkv")
    assert RunFolder.open(run).facts["statistics"]["frames_found"] >= BLOCK_FRAMES


@pytest.mark.parametrize("smoothing", [None, SmoothingSettings()])
def test_ctrl_c_keeps_what_was_finished_and_waits_for_no_batch(video, tmp_path, smoothing):
    options = ["--smooth", "--flow", "dis"] if smoothing else []
    child = start("stuck", video, "-o", tmp_path / "runs", *options)
    run = tmp_path / "runs" / "clip"
    assert child.stdout.readline() == "stuck\n"
    wait_for(run / "predictions.zarr" / "blocks" / "000001", child)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=600)  # an hour would not be enough for the batch
    assert child.returncode == 130
    assert err.strip().splitlines() == ["error: interrupted; what was finished is kept (--resume goes on from there)"]
    stored = open_predictions(run)
    assert 2 * BLOCK_FRAMES <= len(stored) <= STUCK_AT and not stored.finished
    assert not list(run.glob("*.part"))
    assert_resumes(video, run, smoothing)


def test_a_killed_run_is_resumed(video, tmp_path):
    child = start("stuck", video, "-o", tmp_path / "runs")
    run = tmp_path / "runs" / "clip"
    wait_for(run / "predictions.zarr" / "blocks" / "000001", child)
    child.kill()
    child.communicate(timeout=600)
    assert_resumes(video, run, None)


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    pytest.importorskip("resource")
    sparse, crowded = (moving_discs(FRAMES, width=192, people=people) for people in (1, 4))
    video = write_video(tmp_path / "clip.mkv", sparse[: 2 * BLOCK_FRAMES] + crowded[2 * BLOCK_FRAMES :])
    child = start("full", video, "-o", tmp_path / "runs")
    _, err = child.communicate(timeout=600)
    assert child.returncode == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("error: cannot write ") and "is the disk full" in line
    run = tmp_path / "runs" / "clip"
    assert not list(run.glob("*.part")) and not RunFolder.open(run).finished
    assert_resumes(video, run, None)

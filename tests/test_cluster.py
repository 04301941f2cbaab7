"""Clips on a Ray cluster of two workers, of which one is killed: the same folders as in one process."""

import logging
import os
import sys
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from alike import IUV_ONLY, assert_same_pictures, assert_same_predictions
from click.testing import CliRunner
from discs import DeadlyPredictor, DiscPredictor, moving_discs, write_video
from torchvision.models.optical_flow import raft_small

from ddp_video.cli.infer import infer as infer_command
from ddp_video.cli.infer import infer_clip
from ddp_video.cluster import LEAST_LONG, Job, run_jobs
from ddp_video.errors import VideoOpenError, WeightsError
from ddp_video.pipeline import Clip, infer
from ddp_video.predictions import open_predictions
from ddp_video.runs import RunFolder
from ddp_video.temporal.flow import DISFlow
from ddp_video.temporal.smoothing import SmoothingSettings

ray = pytest.importorskip("ray", reason="needs Ray, of the extra [ray]")

FRAMES = 40
SETTINGS = {"smoothing": SmoothingSettings(), "pictures": IUV_ONLY, "batch_size": 4}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # for the workers
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def job(video, out, frames):
    return Job(out, frames, partial(infer_clip, video, out, DISFlow, SETTINGS))


def run(jobs, tmp_path):
    seen = []
    make = partial(DeadlyPredictor, tmp_path / "killed")
    outcomes = run_jobs(
        jobs, DeadlyPredictor(tmp_path / "killed"), make, progress=lambda done, total: seen.append((done, total))
    )
    return dict(outcomes), seen


def assert_same_run(out, whole):
    assert RunFolder.open(out).finished
    assert_same_predictions(open_predictions(out), whole.predictions)
    assert_same_pictures(out / "iuv.mkv", whole.path / "iuv.mkv")


def test_a_task_a_clip_and_a_lost_worker(tmp_path):
    videos = [write_video(tmp_path / f"{k}.mkv", moving_discs(FRAMES, people=k)) for k in (1, 2)]
    jobs = [job(video, tmp_path / "out" / video.stem, FRAMES) for video in videos]
    jobs.append(job(tmp_path / "missing.mkv", tmp_path / "out" / "missing", 0))
    outcomes, seen = run(jobs, tmp_path)
    assert (tmp_path / "killed").exists()
    assert isinstance(outcomes[jobs[2]], VideoOpenError) and "no such file" in str(outcomes[jobs[2]])
    for video, done in zip(videos, jobs, strict=False):
        assert_same_run(done.out, infer(video, DiscPredictor(), tmp_path / "local" / video.stem, **SETTINGS))
    assert seen == sorted(seen) and seen[-1][1] == 2 * FRAMES


def test_a_long_clip_is_spread_over_the_workers_and_one_is_lost(tmp_path):
    video = write_video(tmp_path / "long.mkv", moving_discs(FRAMES))
    claimed = LEAST_LONG + 1  # the test need not be that long
    (only,) = jobs = [job(video, tmp_path / "out", claimed)]
    outcomes, seen = run(jobs, tmp_path)
    assert (tmp_path / "killed").exists() and isinstance(outcomes[only], RunFolder)
    assert_same_run(only.out, infer(video, DiscPredictor(), tmp_path / "local", **SETTINGS))
    assert seen[-1] == (FRAMES, claimed)


def test_a_worker_lost_before_it_replaced_an_older_run_leaves_that_to_the_next(tmp_path):
    video, out = write_video(tmp_path / "clip.mkv", moving_discs(6)), tmp_path / "out"
    infer(video, DiscPredictor(), out, clip=Clip(max_frames=3), pictures=IUV_ONLY)
    settings = {"pictures": IUV_ONLY, "overwrite": True, "resume": False}
    run = infer_clip(str(video), out, None, settings, DiscPredictor(), True, None)
    assert run.finished and len(run.predictions) == 6


@pytest.fixture
def given_job(tmp_path, monkeypatch):
    """(options) -> the job that `infer clip.mkv --engine ray` would give a worker."""

    def give(*options):
        write_video(tmp_path / "clip.mkv", moving_discs(4))
        monkeypatch.chdir(tmp_path)
        given = []
        monkeypatch.setattr("ddp_video.cluster.run_jobs", lambda jobs, *more: given.extend(jobs) or iter(()))
        arguments = ["clip.mkv", "--engine", "ray", "-o", "out", "-q", *options]
        assert CliRunner().invoke(infer_command, arguments, catch_exceptions=False).exit_code == 0
        (only,) = given
        return only

    return give


def test_workers_are_given_whole_paths(given_job, tmp_path):
    """They have a working directory of their own."""
    only = given_job()
    assert only.out == only.infer.args[1] == tmp_path / "out/clip"
    assert only.infer.args[0] == str(tmp_path / "clip.mkv")


def test_workers_take_the_optical_flow_that_was_found_here(given_job, monkeypatch):
    def not_here(*_, **__):
        raise WeightsError("no download")

    with monkeypatch.context() as without:
        without.setattr("ddp_video.temporal.flow.RAFTFlow", not_here)
        only = given_job("--smooth")
    assert only.infer.args[2].keywords["flow"] == "dis"
    assert isinstance(only.infer.args[2](), DISFlow)


def test_optical_flow_is_computed_in_the_precision_of_the_network_here_and_on_workers(given_job, tmp_path):
    weights = tmp_path / "raft.pth"
    torch.save(raft_small(weights=None).state_dict(), weights)
    only = given_job("--smooth", "--flow-weights", str(weights), "--precision", "bf16")
    assert only.infer.args[2]().describe().endswith("in bf16")


class SizedPredictor(DiscPredictor):
    """Says that a clip needs another size; of that size it sees nobody."""

    device = SimpleNamespace(type="cpu")
    sizes = (1,)

    def describe(self):
        return {"model": "discs", "sizes": list(self.sizes)}

    def for_clip(self, sample):
        assert len(sample())
        return self.at_sizes((2,))

    def at_sizes(self, sizes):
        other = SizedPredictor()
        other.sizes = sizes
        return other

    def predict(self, frames):
        return super().predict(frames if self.sizes == (1,) else replace(frames, data=frames.data * 0))


def test_a_size_chosen_for_a_clip_is_that_of_all_workers(tmp_path):
    video = write_video(tmp_path / "long.mkv", moving_discs(8))
    jobs = [job(video, tmp_path / "spread", LEAST_LONG + 1)]
    ((_, spread),) = run_jobs(jobs, SizedPredictor(), SizedPredictor)
    here = infer(video, SizedPredictor(), tmp_path / "local", **SETTINGS)
    assert spread.facts["model"]["sizes"] == here.facts["model"]["sizes"] == [2]
    assert all(len(p.instances) == 0 for folder in (spread, here) for p in folder.predictions)

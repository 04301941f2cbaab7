"""`ddp-video train` as it is called."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ddp_video.cli.train import train
from ddp_video.data.folder import is_held_out
from ddp_video.errors import DataError, OutputError, TrainingError, WeightsError
from ddp_video.lock import run_lock
from ddp_video.model.weights import load_model, read_info, save_model

QUICK = [
    "--init",
    "scratch",
    "--set",
    "size=64",
    "--set",
    "batch_size=1",
    "--set",
    "steps=2",
    "--set",
    "validate_every=1",
]
QUICK += ["--device", "cpu", "--workers", "0", "--quiet"]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    held_out = next(n for n in (f"{i:03}" for i in range(1000)) if is_held_out(n))
    for name in ("a", "b", held_out):
        instance = np.zeros((64, 64), np.uint8)
        instance[10:50, 20:40] = 1
        cv2.imwrite(str(folder / f"{name}.jpg"), np.full((64, 64, 3), 128, np.uint8))
        cv2.imwrite(str(folder / f"{name}_iuv.png"), np.stack([instance * 2, instance * 90, instance * 9], -1))
        cv2.imwrite(str(folder / f"{name}_inst.png"), instance)
    return folder


def call(*arguments):
    return CliRunner().invoke(train, [str(a) for a in arguments], catch_exceptions=True)


def test_train_and_go_on_from_its_weights(people, tmp_path):
    result = call("--data", f"maps:{people}", "-o", tmp_path / "first", *QUICK)
    assert result.exit_code == 0, result.output
    weights = result.output.split("weights in ")[1].strip()
    info = read_info(weights)
    assert info.metadata["step"] == 2 and info.metadata["training"]["size"] == 64
    lines = [json.loads(line) for line in (tmp_path / "first" / "log.jsonl").read_text().splitlines()]
    assert sum("validation/part" in line for line in lines) == 2
    again = call("--data", f"maps:{people}", "-o", tmp_path / "second", *QUICK, "--init", weights)
    assert again.exit_code == 0, again.output


def test_a_run_begun_with_weights_goes_on_without_naming_them(people, tmp_path):
    model = load_model("ddp_lite")
    model.config = replace(model.config, short_side=320)  # unlike the preset's
    weights = save_model(model, tmp_path, {})
    begun = call("--data", f"maps:{people}", "-o", tmp_path / "run", *QUICK, "--init", weights)
    assert begun.exit_code == 0, begun.output
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    torch.save(state | {"step": 1}, checkpoint)
    again = call("--data", f"maps:{people}", "-o", tmp_path / "run", *QUICK, "--resume")
    assert again.exit_code == 0, again.output
    assert read_info(again.output.split("weights in ")[1].strip()).config.short_side == 320
    torch.save(state | {"model_config": state["model_config"] | {"charts": "densepose"}}, checkpoint)
    other = call("--data", f"maps:{people}", "-o", tmp_path / "run", *QUICK, "--resume")
    assert isinstance(other.exception, DataError) and "speaks the charts of densepose" in str(other.exception)


def test_a_folder_is_for_one_run_at_a_time(people, tmp_path):
    arguments = ["--data", f"maps:{people}", "-o", tmp_path / "run", *QUICK]
    (tmp_path / "run").mkdir()
    with run_lock(tmp_path / "run"):
        beside = call(*arguments)
    assert isinstance(beside.exception, OutputError) and "another ddp-video process" in str(beside.exception)
    assert call(*arguments).exit_code == 0
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    anew = call(*arguments)
    assert isinstance(anew.exception, TrainingError) and "go on with --resume" in str(anew.exception)
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_other_weights_in_the_folder_stay(people, tmp_path):
    other = save_model(load_model("ddp_lite"), tmp_path, {})
    for more in ([], ["--resume"]):  # the second run goes on for a step, and its weights take the place of the first's
        result = call("--data", f"maps:{people}", "-o", tmp_path, *QUICK, "--set", "steps=1", *more)
        assert result.exit_code == 0, result.output
        weights = result.output.split("weights in ")[1].strip()
        assert {str(path) for path in tmp_path.glob("*.safetensors")} == {str(other), weights}
        state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
        torch.save(state | {"step": 0}, tmp_path / "checkpoint.pt")


def test_a_damaged_picture_ends_the_run_in_one_line(people, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(people, damaged)
    for name in ("a", "b"):
        (damaged / f"{name}_iuv.png").write_bytes(b"no picture")
    code = "import sys; from ddp_video.cli.main import main; sys.exit(main())"
    arguments = ["train", "--data", f"maps:{damaged}", "-o", str(tmp_path / "run"), *QUICK, "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "_iuv.png" in done.stderr and len(done.stderr) < 200


def test_a_folder_too_small_to_hold_a_picture_out(people, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for file in people.glob("[ab]*"):
        shutil.copy(file, few)
    result = call("--data", f"maps:{few}", "-o", tmp_path / "run", *QUICK)
    assert result.exit_code == 0, result.output
    assert "validation" not in (tmp_path / "run" / "log.jsonl").read_text()


def test_training_from_a_pool_leaves_no_process_behind(monkeypatch, tmp_path):
    class Generator:
        def __init__(self, pack, size):
            self.size = (size, size)

        def draw(self, seed, index):
            person = np.zeros(self.size, np.uint8)
            person[10:50, 20:40] = 1
            uv = np.full((*self.size, 2), 0.4, np.float32)
            return SimpleNamespace(image=np.full((*self.size, 3), 128, np.uint8), person=person, part=person * 2, uv=uv)

    monkeypatch.setitem(sys.modules, "ddp_video.synthesis.generator", SimpleNamespace(Generator=Generator))
    pack = tmp_path / "people.pack"
    pack.touch()
    for more in ([], ["--resume", "--set", "steps=2"]):
        result = call("--data", f"synthetic:{pack}", "-o", tmp_path / "run", *QUICK, "--generators", "2", *more)
        assert result.exit_code == 0, result.output
        assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--data", "maps:/nowhere"], DataError, "no such data folder: /nowhere"),
        (["--data", "photos:PEOPLE"], DataError, "no people in the data"),
        (["--data", "films:/nowhere"], ValueError, "maps, synthetic, coco"),
        (["--data", "maps:PEOPLE", "--set", "size=65"], ValueError, "multiple of 64"),
        (["--data", "maps:PEOPLE", "--config", "/nowhere.toml"], DataError, "nowhere.toml"),
        (["--data", "maps:PEOPLE", "--init", "/nowhere.safetensors"], WeightsError, "nowhere"),
        (["--data", "maps:PEOPLE", "--resume"], TrainingError, "cannot resume"),
        (["--data", "maps:PEOPLE", "--init", "ddp_lite", "--set", "model=ddp_r50"], TrainingError, "is a ddp_lite"),
        (["--data", "maps:PEOPLE", "--init", "ddp_lite", "--set", "without=sparsity"], TrainingError, "is a ddp_lite"),
        (["--data", "maps:PEOPLE", "--device", "abacus"], ValueError, "unknown device"),
    ],
)
def test_what_is_wrong_is_said(people, tmp_path, arguments, error, says):
    arguments = [a.replace("PEOPLE", str(people)) for a in arguments]
    result = call(*QUICK, "-o", tmp_path / "out", *arguments)
    assert isinstance(result.exception, error)
    assert says in str(result.exception) and "\n" not in str(result.exception)


def test_wrong_usage(people, tmp_path):
    assert call("-o", tmp_path).exit_code == 2
    both = call("--data", f"maps:{people}", "-o", tmp_path, "--config", "x.toml", "--preset", "lite")
    assert both.exit_code == 2 and "not both" in both.output


@pytest.mark.slow
def test_two_processes(people, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--local-addr",
        "localhost",  # a machine need not know itself by its own name
        "-m",
        "ddp_video.cli.main",
        "train",
    ]
    command += ["--data", f"maps:{people}", "-o", str(tmp_path), *QUICK]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("weights in") == 1
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3  # one process writes


def test_training_needs_no_video_or_store_packages():
    """A lent GPU machine has PyTorch and little else (benchmarks/gpu.sh)."""
    code = """
import sys
sys.modules.update(dict.fromkeys(["av", "zarr", "numcodecs"]))  # to import one fails
import ddp_video.cli.main, ddp_video.cli.train, ddp_video.train.run, ddp_video.synthesis.generator, ddp_video.data.pool
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

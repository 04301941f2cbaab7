"""The benchmarks measure what they say, and their front door opens."""

import json

import pytest
import torch
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.forced import on, random_ddp, random_rcnn
from benchmarks.goals import GOALS, goals
from benchmarks.report import Table
from benchmarks.scenes import make_scene
from benchmarks.timing import Stopwatch, compare
from ddp_video.model.densepose_rcnn import DenseposeRCNNPredictor
from ddp_video.model.predictor import DDPPredictor


@pytest.fixture(scope="module")
def scene():
    return make_scene((192, 320), 6, 0.2)


def test_a_tiny_run_prints_and_saves_its_tables(tmp_path):
    arguments = [
        "stages",
        "sparse",
        "trunk",
        "-o",
        str(tmp_path),
        "--device",
        "cpu",
        "--rounds",
        "1",
        "--scale",
        "0.1",  # smaller, and somebody is three cells, whose normalisation blows up rounding
    ]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    saved = json.loads((tmp_path / "benchmarks.json").read_text())
    assert list(saved["tables"]) == ["stages", "whole", "sparse", "trunk", "goals"]
    assert saved["machine"]["scale"] == 0.1
    for table in saved["tables"].values():
        assert table["title"] in result.output
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    assert max(row[-1] for row in saved["tables"]["sparse"]["rows"] if row[1] == "fp32") < 1e-5
    assert all(row[1] > 0 for row in saved["tables"]["stages"]["rows"] if row[0] != "smoothing")
    assert "ResNet-50 trunk" in (tmp_path / "benchmarks.md").read_text()


def test_an_unknown_table_is_wrong_usage(tmp_path):
    assert CliRunner().invoke(main, ["speed", "-o", str(tmp_path)]).exit_code == 2


def test_scene_has_the_people_and_the_foreground_that_were_asked_for(scene):
    assert scene.masks.shape == (6, 192, 320) and scene.masks.any((1, 2)).all()
    assert scene.share == pytest.approx(0.2, abs=0.01)
    assert not (scene.masks.sum(0) > 1).any()  # a pixel shows one person


@pytest.mark.parametrize("make", [lambda: DDPPredictor(random_ddp("ddp_lite"), "cpu", "fp32"),
                                  lambda: DenseposeRCNNPredictor(random_rcnn(), "cpu", "fp32", size=192)])  # fmt: skip
def test_forced_predictors_find_the_people_of_the_scene(scene, make):
    prediction = on(scene, make())()
    people = prediction.instances
    assert torch.allclose(people.boxes_xyxy, scene.boxes_xyxy, atol=1)
    assert len(prediction.iuv) and set(prediction.iuv.owner.tolist()) <= set(range(6))


def test_forced_masks_are_the_active_sites(scene):
    prediction = on(scene, DDPPredictor(random_ddp("ddp_lite"), "cpu", "fp32", size=192))()
    assert len(prediction.iuv) / (48 * 80) == pytest.approx(scene.share, abs=0.02)
    assert len(prediction.iuv.owner.unique()) == 6


def test_inner_stages_are_not_counted_twice_and_patches_are_undone():
    class Job:
        def outer(self):
            return [self.inner() for _ in range(3)]

        def inner(self):
            return sum(range(20_000))

    watch, plain = Stopwatch(), Job.inner
    with watch.calls(Job, "outer", "outer"), watch.calls(Job, "inner", "inner"):
        Job().outer()
    assert Job.inner is plain
    assert watch.total["outer"].cpu < watch.total["inner"].cpu
    assert list(watch.items("ab", "letters")) == ["a", "b"]


def test_comparison_leaves_out_the_first_round():
    calls = []
    found = compare({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert found["a"].wall >= 0


def test_goals_are_judged_by_the_tables():
    whole = Table(
        "", ("command", "frames/s", "CPU s a frame"), [("infer", 9.0, 0.2), ("infer --smooth (DIS)", 4.0, 0.3)]
    )
    memory = Table("", ("frames", "MiB"), [(100, 1000), (400, 1020), ("ratio", 1.02)])
    judged = {row[0]: row[3] for row in goals({"whole": whole, "memory": memory}).rows}
    assert len(judged) == len(GOALS)
    assert judged.pop("ddp_lite on 480p") == "yes"
    assert judged.pop("ddp_lite on 480p, smoothed") == "no"
    assert judged.pop("memory of longer clips") == "yes"
    assert set(judged.values()) == {"-"}

"""From labelled pictures and predictions to the figures, and the command that prints them."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ddp_video.charts import NUM_CLASSES
from ddp_video.cli.evaluate import evaluate
from ddp_video.errors import DataError
from ddp_video.metrics.accuracy import measure, predict_images
from ddp_video.metrics.coco_ap import COLUMNS
from ddp_video.metrics.geodesics import load_body
from ddp_video.metrics.gps import AccuracyEvaluator
from ddp_video.metrics.labels import DenseLabels
from ddp_video.pipeline import infer
from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV

SIZE = 96


def write_picture(folder, name, people):
    """People are (chart, left, top, right, bottom) rectangles with u across and v down."""
    iuv, instance = np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    for number, (chart, x0, y0, x1, y1) in enumerate(people, 1):
        region = slice(y0, y1), slice(x0, x1)
        iuv[(*region, 0)] = chart
        iuv[(*region, 1)] = np.linspace(60, 200, x1 - x0)[None]
        iuv[(*region, 2)] = np.linspace(60, 200, y1 - y0)[:, None]
        instance[region] = number
    cv2.imwrite(str(folder / f"{name}.jpg"), np.full((SIZE, SIZE, 3), 90, np.uint8))
    cv2.imwrite(str(folder / f"{name}_iuv.png"), iuv)
    cv2.imwrite(str(folder / f"{name}_inst.png"), instance)


@pytest.fixture
def folder(tmp_path):
    write_picture(tmp_path, "0001_000000", [(2, 4, 4, 44, 84), (1, 52, 8, 92, 88)])
    write_picture(tmp_path, "0001_000001", [(10, 20, 20, 60, 90), (4, 80, 80, 84, 84)])
    return tmp_path


class LabelReader:
    """Predicts what the labels say, as well as the stride-4 grid can."""

    charts = "ddp-video"

    def __init__(self, folder):
        self.folder = folder

    def describe(self):
        return {"model": "labels"}

    def predict(self, frames):
        stem = f"{self.folder}/0001_{frames.first_index:06d}"
        iuv = cv2.imread(f"{stem}_iuv.png")[2::4, 2::4].astype(np.float32)
        instance = cv2.imread(f"{stem}_inst.png", cv2.IMREAD_GRAYSCALE)
        boxes = [cv2.boundingRect(np.uint8(instance == n)) for n in range(1, instance.max() + 1)]
        boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes]).float()
        owner = torch.from_numpy(instance[2::4, 2::4]).long()
        masks = torch.stack([10.0 * (owner == n) - 5 for n in range(1, len(boxes) + 1)])
        y, x = torch.nonzero(owner, as_tuple=True)
        logits = torch.zeros(len(y), 3, NUM_CLASSES)
        at = torch.from_numpy(iuv)[y, x]
        logits[torch.arange(len(y)), 0, at[:, 0].long()] = 10
        logits[:, 1:] = at[:, 1:, None] / 255
        sites = torch.stack([0 * y, y, x], 1).int()
        scores, nobody = torch.linspace(0.9, 0.8, len(boxes)), torch.full((len(boxes),), -1)
        return [
            FramePrediction(
                frames.first_index,
                int(frames.pts[0]),
                float(frames.pts_seconds[0]),
                Grid((SIZE, SIZE), (SIZE, SIZE)),
                Instances(boxes, scores, masks, masks, nobody),
                SparseIUV(sites, logits.flatten(1), owner[y, x] - 1),
            )
        ]


def test_predicting_the_labels_is_nearly_perfect(folder):
    labels, evaluator = DenseLabels(folder), AccuracyEvaluator(load_body())
    measure(predict_images(LabelReader(folder), labels, range(2)), labels, range(2), evaluator)
    assert (evaluator.num_images, evaluator.num_people, evaluator.num_ignored) == (2, 3, 1)
    for columns in evaluator.table().values():
        assert columns["AP50"] == columns["AP75"] == 1
    assert evaluator.table()["GPS"]["AP"] == 1
    assert evaluator.agreement.rates()["chart"] > 0.97


def test_people_are_ranked_by_how_well_they_should_be_charted_too(folder):
    labels = DenseLabels(folder)
    right, wrong = predict_images(LabelReader(folder), labels, range(2))
    scores = replace(wrong.instances, scores=torch.full((len(wrong.instances),), 0.95))
    doubtful = torch.cat([torch.zeros(len(wrong.iuv), 25), wrong.iuv.logits[:, 25:]], 1)
    doubtful[:, 23] = 1.0  # heads, perhaps
    wrong = replace(wrong, instances=scores, iuv=replace(wrong.iuv, logits=doubtful))

    def average_precision(published):
        evaluator = AccuracyEvaluator(load_body(), published)
        measure([right, wrong], labels, range(2), evaluator)
        return evaluator.table()["GPS"]["AP50"]

    assert average_precision(published=False) > 0.6  # two of three, before the wrong one
    assert average_precision(published=True) < 0.5


def test_labels_of_another_size_are_refused(folder):
    predictions = list(predict_images(LabelReader(folder), DenseLabels(folder), [0]))
    for suffix in ("_iuv.png", "_inst.png", ".jpg"):
        path = str(folder / f"0001_000000{suffix}")
        cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED)[:80])
    with pytest.raises(DataError, match="96x96 px, its labels of 96x80 px"):
        measure(predictions, DenseLabels(folder), [0], AccuracyEvaluator(load_body()))


@pytest.fixture
def untrained(tmp_path):
    from ddp_video.model.config import CONFIGS
    from ddp_video.model.ddp import DDP
    from ddp_video.model.weights import save_model

    torch.manual_seed(0)
    return save_model(DDP(CONFIGS["ddp_lite"]), tmp_path / "weights")


def run(*arguments):
    return CliRunner().invoke(evaluate, [str(a) for a in arguments])


def test_command_prints_and_writes_all_columns(folder, untrained, tmp_path):
    result = run(folder, "--model", untrained, "--json", tmp_path / "figures.json", "--quiet")
    assert result.exit_code == 0, result.output
    header, *rows = result.output.splitlines()
    assert tuple(header.split()) == COLUMNS
    assert [row.split()[0] for row in rows[:3]] == ["GPS", "GPSm", "mask"]
    assert len({len(row) for row in rows[:3]}) == 1
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["GPS"]) == set(COLUMNS) and figures["GPS"]["APL"] is None
    assert (figures["images"], figures["people"], figures["ignored"]) == (2, 3, 1)


def test_command_measures_a_run_folder(folder, tmp_path):
    infer(f"{folder}/*.jpg", LabelReader(folder), tmp_path / "run", batch_size=1)
    result = run(tmp_path / "run", "--labels", folder, "--quiet")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1].split()[:4] == ["GPS", "100.0", "100.0", "100.0"]
    assert "1 images, 2 people" in run(tmp_path / "run", "--labels", folder, "--max-images", 1, "--quiet").output


def test_command_refuses_labels_of_other_pictures(folder, tmp_path):
    infer(f"{folder}/*.jpg", LabelReader(folder), tmp_path / "run", batch_size=1)
    write_picture(folder, "0001_000002", [])
    result = run(tmp_path / "run", "--labels", folder)
    assert isinstance(result.exception, DataError)
    assert "2 frames" in str(result.exception) and "3 pictures" in str(result.exception)


def test_command_counts_only_the_first_images(folder, untrained, tmp_path):
    result = run(folder, "--model", untrained, "--max-images", 1, "--quiet")
    assert "1 images, 2 people, 0 ignored" in result.output


def test_command_asks_for_what_is_missing(folder, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "people.json").write_text("{}")
    for arguments, word in (((tmp_path,), "--labels"), ((tmp_path / "people.json",), "--smpl")):
        result = run(*arguments)
        assert result.exit_code == 2 and word in result.output

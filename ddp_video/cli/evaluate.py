"""`ddp-video evaluate`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from ddp_video.cli.options import load_predictor, model_options, need_folders, progress_bar, quiet_option
from ddp_video.errors import DataError

_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("source", metavar="RUN|DATA", type=click.Path(exists=True, path_type=Path))
@click.option("--labels", type=click.Path(exists=True, path_type=Path), help="What to measure a RUN against: DATA.")
@click.option("--images", type=_folder, help="Folder of the pictures of a DensePose-COCO JSON.")
@click.option("--smpl", type=_folder, help="Folder of the official SMPL distance files, for DensePose-COCO.")
@click.option(
    "--published",
    is_flag=True,
    help="Count like DensePose's own evaluator, quirks included: for comparing with papers.",
)
@click.option(
    "--held-out", is_flag=True, help="Only the few pictures of a training folder that `train` does not train on."
)
@click.option("--max-images", type=click.IntRange(min=1), help="Only the first so many pictures.")
@model_options
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures to this file."
)
@quiet_option
def evaluate(source, labels, images, smpl, published, held_out, max_images, json_file, quiet, model):
    """Accuracy against labels: AP and AR by GPS, GPSm and mask IoU, as in the paper's Table 1.

    People are ranked by their score times how well they are expected to be outlined and charted (`quality` in what `ddp-video
    export` writes); with --published by the score alone.

    DATA is predicted with --model, people from a score of .05 on: a folder of `ddp-video synthesize`, or DensePose-COCO's
    JSON with --images and --smpl. RUN is a run folder of such pictures, in the order of their names, made by `ddp-video infer
    --score-threshold 0.05`, and measured against --labels.
    """
    from ddp_video.metrics.accuracy import measure
    from ddp_video.metrics.gps import AccuracyEvaluator
    from ddp_video.runs import RunFolder

    need_folders(json_file)
    if labels is None and RunFolder.is_one(source):
        raise click.UsageError(f"{source} is a run folder: give --labels to measure it against")
    truth, geodesics = _open_labels(labels or source, images, smpl, held_out, needs_images=labels is None)
    indices = range(len(truth))[:max_images]
    if labels is None:
        predictions, charts = _predict(truth, indices, model)
    else:
        predictions, charts = _read_run(source, truth, indices)
    if charts != truth.charts:
        raise DataError(
            f"the predictions speak the charts of {charts}, the labels those of {truth.charts}; choose another model"
        )
    evaluator = AccuracyEvaluator(geodesics, published)
    with progress_bar("evaluate", quiet, " images") as progress:
        measure(_counted(predictions, len(indices), progress), truth, indices, evaluator)
    click.echo(as_text(evaluator))
    if json_file:
        write_json(json_file, evaluator, {"source": str(source), "labels": str(labels or source)})


def _open_labels(data: Path, images: Path | None, smpl: Path | None, held_out: bool, needs_images: bool):
    """The labelled images, and the geodesics of the body that they speak of."""
    from ddp_video.data.coco_file import OWN
    from ddp_video.metrics.geodesics import load_body, load_smpl
    from ddp_video.metrics.labels import CocoLabels, DenseLabels

    if data.is_dir():
        return DenseLabels(data, held_out), load_body()
    if needs_images and images is None:
        raise click.UsageError(f"{data} needs --images FOLDER, and --smpl FOLDER where it is DensePose-COCO's")
    truth = CocoLabels(data, images, held_out)
    if truth.charts == OWN:
        return truth, load_body()
    if smpl is None:
        raise click.UsageError(f"{data} needs --smpl FOLDER: its U, V are those of SMPL's surface")
    return truth, load_smpl(smpl)


def _predict(truth, indices: range, model: dict):
    """Predictions of a model, made as they are asked for, and whose charts they speak."""
    from ddp_video.metrics.accuracy import SCORE_THRESHOLD, predict_images

    if model["score_threshold"] is None:
        model["score_threshold"] = SCORE_THRESHOLD
    predictor = load_predictor(**model)
    return predict_images(predictor, truth, indices), predictor.charts


def _counted(predictions: Iterable, total: int, progress: Callable[[int, int], None]) -> Iterator:
    """The same predictions, each told to `progress` once it has been dealt with."""
    for done, prediction in enumerate(predictions, 1):
        yield prediction
        progress(done, total)


def _read_run(folder: Path, truth, indices: range):
    """Predictions of a run folder, and whose charts they speak."""
    from ddp_video.runs import RunFolder

    run = RunFolder.open(folder)
    predictions = run.predictions
    if len(predictions) != len(truth):
        raise DataError(
            f"{folder} holds {len(predictions)} frames, the labels are of {len(truth)} pictures; they must be the same"
        )
    return predictions[: len(indices)], run.facts["charts"]


def as_text(evaluator) -> str:
    """The figures in percent, as an aligned table."""
    from ddp_video.metrics.coco_ap import COLUMNS

    def percent(value: float) -> str:
        return "-" if math.isnan(value) else f"{100 * value:.1f}"

    lines = [" " * 5 + "".join(f"{name:>7}" for name in COLUMNS)]
    for metric, columns in evaluator.table().items():
        lines.append(f"{metric:5}" + "".join(f"{percent(columns[name]):>7}" for name in COLUMNS))
    rates = ", ".join(f"{name} {percent(rate)}" for name, rate in evaluator.agreement.rates().items())
    lines.append(f"labelled points, %: {rates}")
    lines.append(
        f"{evaluator.num_images} images, {evaluator.num_people} people, {evaluator.num_ignored} ignored (small or unlabelled)"
        + (", counted like the published evaluator" if evaluator.published else "")
    )
    return "\n".join(lines)


def write_json(path: Path, evaluator, facts: dict) -> None:
    """The figures as shares of 1; null where nobody counts."""

    def plain(figures: dict[str, float]) -> dict[str, float | None]:
        return {name: None if math.isnan(value) else value for name, value in figures.items()}

    content = facts | {
        "published": evaluator.published,
        "images": evaluator.num_images,
        "people": evaluator.num_people,
        "ignored": evaluator.num_ignored,
        **{metric: plain(columns) for metric, columns in evaluator.table().items()},
        "points": plain(evaluator.agreement.rates()),
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

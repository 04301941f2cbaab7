"""`ddp-video evaluate`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click

from ddp_video.errors import DataError


@click.command()
@click.argument("source", metavar="RUN|DATA", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--labels", type=click.Path(exists=True, path_type=Path), help="Labels of a RUN: a folder or JSON like DATA."
)
@click.option(
    "--model",
    default="ddp_lite",
    show_default=True,
    help="Weights that DATA is predicted with: a shipped name or a file.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the pictures of a DensePose-COCO JSON.",
)
@click.option(
    "--smpl",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the official SMPL distance files, for DensePose-COCO.",
)
@click.option(
    "--published",
    is_flag=True,
    help="Count like DensePose's own evaluator, quirks included: for comparing with papers.",
)
@click.option(
    "--held-out", is_flag=True, help="Only the few pictures of a training folder that `train` does not train on."
)
@click.option("--max-images", type=click.IntRange(min=1), help="Only the first so many pictures.")
@click.option("--seed", default=0, show_default=True, help="Of the points that are drawn from dense labels.")
@click.option("--size", type=click.IntRange(min=1), help="Shrink pictures to this short side, px.  [the model's]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures to this file."
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
def evaluate(
    source, labels, model, images, smpl, published, held_out, max_images, seed, size, device, json_file, quiet
):
    """Accuracy against labels: AP and AR by GPS, GPSm and mask IoU, as in the paper's Table 1.

    RUN is a run folder of labelled pictures (in the order of their names), measured against --labels. DATA is predicted with
    --model: a folder of `ddp-video synthesize`, or DensePose-COCO's JSON with --images and --smpl.
    """
    from tqdm import tqdm

    from ddp_video.metrics.accuracy import SCORE_THRESHOLD, measure, predict_images
    from ddp_video.metrics.geodesics import load_body, load_smpl
    from ddp_video.metrics.gps import AccuracyEvaluator
    from ddp_video.metrics.labels import CocoLabels, DenseLabels

    is_run = labels is not None
    data = labels if is_run else source
    if (source / "run.json").is_file() and not is_run:
        raise click.UsageError(f"{source} is a run folder: give --labels to measure it against")
    if data.is_file():
        if smpl is None or (images is None and not is_run):
            raise click.UsageError(f"{data} needs --smpl FOLDER" + ("" if is_run else " and --images FOLDER"))
        truth, geodesics = CocoLabels(data, images), load_smpl(smpl)
    else:
        truth, geodesics = DenseLabels(data, held_out, seed), load_body()
    indices = range(len(truth) if max_images is None else min(max_images, len(truth)))

    if is_run:
        from ddp_video.runs import RunFolder

        run = RunFolder.open(source)
        predictions, charts = run.predictions, run.facts["charts"]
        if len(predictions) != len(truth):
            raise DataError(f"{source} holds {len(predictions)} frames, {data} labels of {len(truth)} pictures")
        predictions = predictions[: len(indices)]
    else:
        from ddp_video.model.predictor import DDPPredictor
        from ddp_video.model.weights import load_model

        predictor = DDPPredictor(load_model(model), device, size=size, score_threshold=SCORE_THRESHOLD)
        predictions, charts = predict_images(predictor, truth, indices), predictor.charts
    if charts != truth.charts:
        raise DataError(f"the predictions speak the charts of {charts}, {data} those of {truth.charts}")

    evaluator = AccuracyEvaluator(geodesics, published)
    bar = tqdm(predictions, total=len(indices), unit="image", disable=True if quiet else None)
    measure(bar, truth, indices, evaluator)
    click.echo(as_text(evaluator))
    if json_file:
        write_json(
            json_file, evaluator, {"source": str(source), "labels": str(data), "model": None if is_run else model}
        )


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

"""`ddp-video infer`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import (
    flow_options,
    folder_options,
    grouped,
    load_flow_estimator,
    load_predictor,
    model_options,
    picture_options,
    picture_settings,
    quiet_option,
    refuse_equal,
    run_each,
    smoothing_options,
    smoothing_settings,
)

clip_options = grouped(
    "clip",
    click.option("--start", type=click.FloatRange(min=0), help="Begin so many seconds into the video."),
    click.option("--end", type=click.FloatRange(min=0), help="End before so many seconds."),
    click.option("--max-frames", type=click.IntRange(min=1), help="At most so many frames."),
    click.option("--stride", type=click.IntRange(min=1), default=1, show_default=True, help="Every so-manieth frame."),
)


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Each input becomes a run folder OUTPUT/NAME.",
)
@model_options
@click.option(
    "--batch-size",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="Frames at once; halved when memory runs out.",
)
@clip_options
@click.option("--smooth", is_flag=True, help="Smooth on the way, as `ddp-video smooth` does afterwards.")
@smoothing_options
@flow_options
@picture_options
@folder_options
@quiet_option
def infer(inputs, output, model, batch_size, clip, smooth, smoothing, flow, look, folder, quiet):
    """Dense pose of every INPUT: a video file, a folder of images, or a glob of images in quotes."""
    if not smooth and any(value is not None for value in smoothing.values()):
        raise click.UsageError("--mode, --radius, --alphas and --causal say how to smooth; add --smooth")

    from ddp_video.pipeline import Clip
    from ddp_video.pipeline import infer as infer_one
    from ddp_video.runs import run_name

    folders = [output / run_name(source) for source in inputs]
    refuse_equal(folders)
    settings = {
        "clip": Clip(**clip),
        "smoothing": smoothing_settings(**smoothing) if smooth else None,
        "batch_size": batch_size,
        "pictures": picture_settings(**look),
        **folder,
    }
    predictor = load_predictor(**model)
    estimator = load_flow_estimator(**flow, device=predictor.device) if smooth else None

    def job(source, target):
        return lambda progress: infer_one(source, predictor, target, flow=estimator, progress=progress, **settings)

    return run_each([(target, job(source, target)) for source, target in zip(inputs, folders, strict=True)], quiet)

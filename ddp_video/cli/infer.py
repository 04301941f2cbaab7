"""`ddp-video infer`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import (
    flow_options,
    folder_options,
    load_predictor,
    model_options,
    picture_options,
    picture_settings,
    run_each,
    smoothing_options,
    smoothing_settings,
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
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Frames at once; halved when memory runs out.",
)
@click.option("--start", type=click.FloatRange(min=0), help="Begin so many seconds into the video.")
@click.option("--end", type=click.FloatRange(min=0), help="End before so many seconds.")
@click.option("--max-frames", type=click.IntRange(min=1), help="At most so many frames.")
@click.option("--stride", type=click.IntRange(min=1), default=1, show_default=True, help="Every so-manieth frame.")
@click.option("--smooth", is_flag=True, help="Smooth on the way, as `ddp-video smooth` does afterwards.")
@smoothing_options
@flow_options
@picture_options
@folder_options
def infer(
    inputs,
    output,
    model,
    weights,
    device,
    precision,
    batch_size,
    size,
    score_threshold,
    start,
    end,
    max_frames,
    stride,
    smooth,
    mode,
    radius,
    alphas,
    causal,
    flow,
    flow_weights,
    styles,
    formats,
    resume,
    overwrite,
    quiet,
    **look,
):
    """Dense pose of every INPUT: a video file, a folder of images, or a glob of images in quotes."""
    smoothing = smoothing_settings(mode, radius, alphas, causal)
    if not smooth and (mode, radius, alphas, causal) != (None,) * 4:
        raise click.UsageError("--mode, --radius, --alphas and --causal say how to smooth; add --smooth")

    from ddp_video.pipeline import Clip
    from ddp_video.pipeline import infer as infer_one
    from ddp_video.runs import run_name
    from ddp_video.temporal.flow import load_flow

    pictures = picture_settings(styles, formats, **look)
    clip = Clip(start, end, max_frames, stride)
    predictor = load_predictor(model, weights, device, precision, size, score_threshold)
    estimator = load_flow(flow, flow_weights, predictor.device) if smooth else None

    def job(source, folder):
        return lambda progress: infer_one(
            source,
            predictor,
            folder,
            clip=clip,
            smoothing=smoothing if smooth else None,
            flow=estimator,
            batch_size=batch_size,
            pictures=pictures,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )

    folders = [output / run_name(source) for source in inputs]
    return run_each(
        [(folder.name, folder, job(source, folder)) for source, folder in zip(inputs, folders, strict=True)], quiet
    )

"""`ddp-video smooth`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import (
    flow_options,
    folder_options,
    picture_options,
    picture_settings,
    run_each,
    smoothing_options,
    smoothing_settings,
)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("smoothed"),
    show_default=True,
    help="Each run folder becomes the run folder OUTPUT/NAME.",
)
@click.option("--video", type=click.Path(path_type=Path), help="Where the source video is now, if it has moved.")
@click.option("--device", default="auto", show_default=True, help="For RAFT: auto, cpu, cuda, cuda:1 ...")
@smoothing_options
@flow_options
@picture_options
@folder_options
def smooth(
    runs,
    output,
    video,
    device,
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
    """Steady the predictions of every RUN, a folder that `ddp-video infer` made, along the optical flow."""
    smoothing = smoothing_settings(mode, radius, alphas, causal)
    if video is not None and len(runs) > 1:
        raise click.UsageError("--video goes with a single run folder")

    from ddp_video.model.predictor import choose_device
    from ddp_video.pipeline import smooth as smooth_one
    from ddp_video.runs import RunFolder
    from ddp_video.temporal.flow import load_flow

    pictures = picture_settings(styles, formats, **look)
    estimator = load_flow(flow, flow_weights, choose_device(device))

    def job(run):
        return lambda progress: smooth_one(
            RunFolder.open(run),
            output / run.resolve().name,
            smoothing=smoothing,
            flow=estimator,
            video=video,
            pictures=pictures,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )

    return run_each([(run.name, output / run.resolve().name, job(run)) for run in runs], quiet)

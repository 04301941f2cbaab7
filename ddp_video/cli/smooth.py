"""`ddp-video smooth`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import (
    flow_options,
    folder_options,
    load_flow_estimator,
    picture_options,
    picture_settings,
    quiet_option,
    refuse_equal,
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
@quiet_option
def smooth(runs, output, video, device, smoothing, flow, look, folder, quiet):
    """Steady the predictions of every RUN, a folder that `ddp-video infer` made, along the optical flow."""
    if video is not None and len(runs) > 1:
        raise click.UsageError("--video goes with a single run folder")

    from ddp_video.hardware import choose_device
    from ddp_video.pipeline import smooth as smooth_one
    from ddp_video.runs import RunFolder

    runs = [RunFolder.locate(run) for run in runs]
    folders = [output / run.resolve().name for run in runs]
    refuse_equal(folders)
    settings = {
        "smoothing": smoothing_settings(**smoothing),
        "flow": load_flow_estimator(**flow, device=choose_device(device)),
        "video": video,
        "pictures": picture_settings(**look),
        **folder,
    }

    def job(run, target):
        return lambda progress: smooth_one(run, target, progress=progress, **settings)

    return run_each([(target, job(run, target)) for run, target in zip(runs, folders, strict=True)], quiet)

"""`ddp-video infer`."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from ddp_video.cli.failures import explain, fail
from ddp_video.cli.options import (
    flow_options,
    folder_options,
    grouped,
    load_flow_estimator,
    load_predictor,
    model_options,
    picture_options,
    picture_settings,
    progress_bar,
    quiet_option,
    refuse_equal,
    report_run,
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
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="ray: on the workers of a Ray cluster, which see the same files (pip install 'ddp-video[ray]').",
)
@click.option("--address", help="Of a running Ray cluster, host:port or auto.  [one is started on this machine]")
@quiet_option
def infer(inputs, output, model, batch_size, clip, smooth, smoothing, flow, look, folder, engine, address, quiet):
    """Dense pose of every INPUT: a video file, a folder of images, or a glob of images in quotes."""
    if not smooth and any(value is not None for value in smoothing.values()):
        raise click.UsageError("--mode, --radius, --alphas and --causal say how to smooth; add --smooth")
    if address and engine != "ray":
        raise click.UsageError("--address goes with --engine ray")

    from ddp_video.pipeline import Clip
    from ddp_video.runs import run_name

    if engine == "ray":  # workers have a working directory of their own
        inputs, output = [str(Path(source).absolute()) for source in inputs], output.absolute()
        model, flow = _absolute(model), _absolute(flow)
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
    make_flow = None
    if smooth:
        # Here already, so that what is wrong with its weights is said once, before any clip is begun.
        where = {"device": predictor.device, "precision": predictor.precision}
        estimator = load_flow_estimator(**flow, **where)
        chosen = {**flow, "flow": estimator.name}  # by every worker, whatever 'auto' would be there
        on_worker = partial(load_flow_estimator, **chosen, **where)
        make_flow = on_worker if engine == "ray" else (lambda: estimator)
    jobs = [partial(infer_clip, source, out, make_flow, settings) for source, out in zip(inputs, folders, strict=True)]
    if engine == "ray":
        model = {**model, "device": predictor.device.type, "precision": predictor.precision}  # the same on each
        make_predictor = partial(load_predictor, **model)
        return _run_on_cluster(inputs, clip, jobs, folders, predictor, make_predictor, address, quiet)
    return run_each([(out, partial(job, predictor, False)) for out, job in zip(folders, jobs, strict=True)], quiet)


def _absolute(options: dict) -> dict:
    """The same options, with files by their whole paths."""
    files = {name: value for name, value in options.items() if value is not None and Path(value).is_file()}
    return options | {name: str(Path(value).absolute()) for name, value in files.items()}


def infer_clip(source, out, make_flow, settings: dict, predictor, again: bool, progress):
    """One input, here or on a worker of a cluster; `again` goes on where a lost worker has left it, unless what is there is
    still the older run that it was to replace."""
    from ddp_video.pipeline import infer as infer_one
    from ddp_video.runs import RunFolder

    if again and not (settings.get("overwrite") and RunFolder.is_one(out) and RunFolder.open(out).finished):
        settings = {**settings, "resume": True, "overwrite": False}
    flow = make_flow() if make_flow else None
    return infer_one(source, predictor, out, flow=flow, progress=progress, **settings)


def _run_on_cluster(inputs, clip, jobs, folders, predictor, make_predictor, address, quiet) -> int:
    """As `run_each`, with one progress bar over all frames."""
    from ddp_video.cluster import Job, run_jobs
    from ddp_video.errors import VideoOpenError
    from ddp_video.video import VideoReader

    def frames(source) -> int:
        with suppress(VideoOpenError):  # the job itself will say so
            return VideoReader(source, **clip).frame_count or 0
        return 0

    jobs = [Job(out, frames(source), job) for source, out, job in zip(inputs, folders, jobs, strict=True)]
    code = 0
    with progress_bar(f"{len(jobs)} clips", quiet) as progress:
        for _, outcome in run_jobs(jobs, predictor, make_predictor, address, progress):
            if isinstance(outcome, Exception):
                code = fail(explain(outcome))
            else:
                report_run(outcome, quiet)
    return code

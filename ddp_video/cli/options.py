"""Options that several commands share, and how they become the library's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import click
from tqdm import tqdm


def options(*decorators: Callable) -> Callable:
    """Several click options as one decorator, shown in the order given."""
    return lambda command: reduce(lambda function, decorator: decorator(function), reversed(decorators), command)


DENSEPOSE_RCNN = "densepose-rcnn"

model_options = options(
    click.option(
        "--model",
        default="ddp_lite",
        show_default=True,
        help="Shipped weights, a .safetensors file of ours, or densepose-rcnn with --weights.",
    ),
    click.option(
        "--weights", type=click.Path(path_type=Path), help="A DensePose R-CNN checkpoint (.pkl, .pth, .safetensors)."
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ..."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True),
    click.option(
        "--size", type=click.IntRange(min=64), help="Frames are shrunk to this short side, px.  [the model's]"
    ),
    click.option("--score-threshold", type=click.FloatRange(0, 1), help="Least score of a person.  [the model's]"),
)

folder_options = options(
    click.option("--resume", is_flag=True, help="Go on with a run that was interrupted."),
    click.option("--overwrite", is_flag=True, help="Replace runs of the same name."),
    click.option("--quiet", "-q", is_flag=True, help="No progress bar, no remarks."),
)

picture_options = options(
    click.option(
        "--style",
        "styles",
        multiple=True,
        type=click.Choice(["isocontour", "iuv", "parts", "instances"]),
        help="Which pictures; give it several times.  [isocontour iuv parts]",
    ),
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=click.Choice(["video", "png"]),
        help="Videos (.mkv without loss for iuv, else .mp4), folders of PNG, or both.  [video]",
    ),
    click.option("--lines", type=int, help="Isocontours: lines per chart and coordinate.  [10]"),
    click.option("--line-width", "width", type=float, help="Isocontours: width of a line in px.  [1.3]"),
    click.option(
        "--background",
        type=click.Choice(["frame", "black"]),
        help="Isocontours and instances: over the dimmed frame or on black.  [frame]",
    ),
    click.option("--order", type=click.Choice(["rgb", "bgr"]), help="Channels of iuv: RGB, or the legacy BGR.  [rgb]"),
)

flow_options = options(
    click.option(
        "--flow",
        type=click.Choice(["auto", "dis", "raft"]),
        default="auto",
        show_default=True,
        help="Optical flow: RAFT if its weights are at hand, else DIS, which needs none.",
    ),
    click.option("--flow-weights", type=click.Path(path_type=Path), help="RAFT weights in torchvision's format."),
)

smoothing_options = options(
    click.option("--mode", type=click.Choice(["robust", "paper"]), help="robust, or the paper's equation 6.  [robust]"),
    click.option("--radius", type=int, help="Frames looked at on either side.  [2]"),
    click.option("--alphas", help="Weights of frames t-radius .. t+radius, as in 0.1,0.2,0.4,0.2,0.1.  [equal]"),
    click.option("--causal", is_flag=True, default=None, help="Look back only."),
)


def given(**values: object) -> dict:
    """The options that the user gave; the others keep the library's defaults."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


@contextmanager
def progress_bar(name: str, quiet: bool, unit: str = " frames") -> Iterator[Callable[[int, int | None], None]]:
    """A bar with rate and ETA, silent off a terminal; give what comes out (done, total) as often as wanted."""
    with tqdm(desc=name, unit=unit, dynamic_ncols=True, disable=True if quiet else None) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def load_predictor(model, weights, device, precision, size, score_threshold):
    """What `model_options` describe: a predictor of ours, or of a DensePose R-CNN checkpoint."""
    settings = given(device=device, precision=precision, size=size, score_threshold=score_threshold)
    if model == DENSEPOSE_RCNN:
        from ddp_video.model.densepose_rcnn import DenseposeRCNNPredictor, load

        if weights is None:
            raise click.UsageError(f"--model {DENSEPOSE_RCNN} needs --weights, a DensePose R-CNN checkpoint")
        return DenseposeRCNNPredictor(load(weights), **settings)
    if weights is not None:
        raise click.UsageError(f"--weights goes with --model {DENSEPOSE_RCNN}; give weights of ours as --model FILE")
    from ddp_video.model.predictor import DDPPredictor
    from ddp_video.model.weights import load_model

    return DDPPredictor(load_model(model), **settings)


def picture_settings(styles, formats, **look):
    from ddp_video.pictures import PictureSettings
    from ddp_video.render import RenderOptions

    return PictureSettings(**given(styles=styles, formats=formats), options=RenderOptions(**given(**look)))


def smoothing_settings(mode, radius, alphas, causal):
    from ddp_video.temporal.smoothing import SmoothingSettings

    try:
        weights = None if alphas is None else tuple(float(alpha) for alpha in alphas.split(","))
        return SmoothingSettings(**given(mode=mode, radius=radius, alphas=weights, causal=causal))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def run_each(jobs: list[tuple[str, Path, Callable]], quiet: bool) -> int:
    """Run jobs of (name, run folder, job(progress) -> RunFolder) one after the other; one that fails does not stop
    the others. Returns the exit code."""
    from ddp_video.cli.main import fail
    from ddp_video.errors import DDPVideoError

    folders = [folder for _, folder, _ in jobs]
    for folder in folders:
        if folders.count(folder) > 1:
            raise click.UsageError(f"two inputs would be written to {folder}; run them with different -o")
    code = 0
    for name, _, job in jobs:
        try:
            with progress_bar(name, quiet) as progress:
                run = job(progress)
        except (DDPVideoError, ValueError, OSError) as error:
            code = fail(str(error))
            continue
        if not quiet:
            _report(run)
    return code


def _report(run) -> None:
    facts = run.facts["statistics"]
    click.echo(f"{run.path}: {facts['frames']} frames, {facts['frames_per_second']:.1f} a second")
    if facts["damaged_packets"]:
        click.echo(f"  {facts['damaged_packets']} damaged packets in the source were skipped", err=True)
    if facts["resized_frames"]:
        click.echo(f"  {facts['resized_frames']} frames of another size were resized", err=True)
    if facts["audio_skipped"]:
        click.echo(f"  no sound: {facts['audio_skipped']}", err=True)

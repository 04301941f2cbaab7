"""Options that several commands share, and how they become the library's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import click
from tqdm import tqdm

from ddp_video.allocator import keep_few_kernels, keep_freed_memory
from ddp_video.cli.failures import explain, fail


def grouped(name: str, *options: Callable) -> Callable:
    """Several click options as one decorator, shown in the order given; the command gets their values as one
    dictionary, its argument `name`."""

    def decorate(command: Callable) -> Callable:
        @wraps(command)
        def collect(**values):
            return command(**{name: {own: values.pop(own) for own in names}}, **values)

        others = len(getattr(collect, "__click_params__", []))
        for option in reversed(options):
            option(collect)
        names = [parameter.name for parameter in collect.__click_params__[others:]]
        return collect

    return decorate


DENSEPOSE_RCNN = "densepose-rcnn"

model_options = grouped(
    "model",
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
        "--size",
        type=click.IntRange(min=64),
        help="Short side that frames are resized to, px; more finds small people better, and takes longer.  [the model's; where people are small 1.5 times that, or both, joined]",
    ),
    click.option("--score-threshold", type=click.FloatRange(0, 1), help="Least score of a person.  [the model's]"),
)

folder_options = grouped(
    "folder",
    click.option("--resume", is_flag=True, help="Go on with a run that was interrupted."),
    click.option("--overwrite", is_flag=True, help="Replace runs of the same name."),
)

quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress bar, no remarks.")

picture_options = grouped(
    "look",
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

flow_options = grouped(
    "flow",
    click.option(
        "--flow",
        type=click.Choice(["auto", "dis", "raft"]),
        default="auto",
        show_default=True,
        help="Optical flow: DIS, which needs no weights, or RAFT, slower; auto: RAFT if its weights are at hand or come by download.",
    ),
    click.option("--flow-weights", type=click.Path(path_type=Path), help="RAFT weights in torchvision's format."),
)

smoothing_options = grouped(
    "smoothing",
    click.option("--mode", type=click.Choice(["robust", "paper"]), help="robust, or the paper's equation 6.  [robust]"),
    click.option("--radius", type=int, help="Frames looked at on either side.  [3; paper: 2]"),
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


def load_flow_estimator(flow, flow_weights, device, precision="auto"):
    """What `flow_options` describe."""
    from ddp_video.temporal.flow import load_flow

    return load_flow(flow, flow_weights, device, precision)


def picture_settings(styles, formats, **look):
    """What `picture_options` describe."""
    from ddp_video.pictures import PictureSettings
    from ddp_video.render import RenderOptions

    styles, formats = (tuple(dict.fromkeys(names)) for names in (styles, formats))  # once each
    with _wrong_usage():
        return PictureSettings(**given(styles=styles, formats=formats), options=RenderOptions(**given(**look)))


def smoothing_settings(mode, radius, alphas, causal):
    """What `smoothing_options` describe."""
    from ddp_video.temporal.smoothing import SmoothingSettings

    with _wrong_usage():
        return SmoothingSettings(**given(mode=mode, radius=radius, alphas=alphas and _numbers(alphas), causal=causal))


@contextmanager
def _wrong_usage() -> Iterator[None]:
    """What the library says of a wrong value, said by the option that gave it."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise ValueError(f"alphas are numbers with commas between them, as in 0.2,0.6,0.2; got {text!r}") from None


def run_each(jobs: list[tuple[Path, Callable]], quiet: bool) -> int:
    """Run jobs of (run folder, job(progress) -> RunFolder) one after the other; one that fails does not stop the
    others. Returns the exit code."""
    keep_freed_memory()
    keep_few_kernels()
    code = 0
    for folder, job in jobs:
        try:
            with progress_bar(folder.name, quiet) as progress:
                run = job(progress)
        except Exception as error:
            code = fail(explain(error))
        else:
            report_run(run, quiet)
    return code


def need_folders(*files: Path | None) -> None:
    """Wrong usage, before anything is computed, where a file (None: not asked for) is to be written into no folder."""
    for file in files:
        if file and not file.absolute().parent.is_dir():
            raise click.UsageError(f"{file.parent} is not a folder; make it first")


def refuse_equal(folders: list[Path]) -> None:
    """UsageError where two inputs would become one run folder."""
    for folder in folders:
        if folders.count(folder) > 1:
            raise click.UsageError(f"two inputs would be written to {folder}; run them with different -o")


def report_run(run, quiet: bool) -> None:
    """A line about a finished run folder, and what its source was found to lack."""
    if quiet:
        return
    facts, model = run.facts["statistics"], run.facts["model"]
    click.echo(f"{run.path}: {facts['frames']} frames, {facts['frames_per_second']:.1f} a second")
    if model.get("size_by") == "people":
        usual, *larger = model.get("sizes") or [model["size"]]  # one, in run folders of earlier versions
        more = (
            f" and {larger[0]} px (--size {usual} is about three times as fast)" if larger else " px (--size chooses)"
        )
        click.echo(f"  there are small people: frames were looked at with a short side of {usual}{more}")
    if facts["damaged_packets"]:
        click.echo(f"  {facts['damaged_packets']} damaged packets in the source were skipped", err=True)
    if facts["resized_frames"]:
        click.echo(f"  {facts['resized_frames']} frames of another size were resized", err=True)
    if facts["audio_skipped"]:
        click.echo(f"  no sound: {facts['audio_skipped']}", err=True)

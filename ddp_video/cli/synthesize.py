"""`ddp-video synthesize`: the asset pack, and labelled pictures and videos of synthetic people."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import progress_bar, quiet_option

_OUTPUT = click.option("--output", "-o", required=True, type=click.Path(path_type=Path))
_PACK = click.option("--pack", required=True, type=click.Path(path_type=Path), help="What `synthesize assets` wrote.")
_SEED = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Names an endless row of pictures."
)
_WORKERS = click.option("--workers", "-w", default=1, show_default=True, type=click.IntRange(1), help="Processes.")


@click.group()
def synthesize() -> None:
    """Make labelled pictures and videos of synthetic people."""


@synthesize.command()
@click.option("--makehuman", required=True, type=click.Path(path_type=Path), help="MakeHuman's asset folder (CC0).")
@click.option("--mocap", required=True, type=click.Path(path_type=Path), help="Archive (.npz) of CMU motion clips.")
@click.option(
    "--backgrounds", required=True, type=click.Path(path_type=Path), help="Folder of photographs without people."
)
@_OUTPUT
@quiet_option
def assets(makehuman: Path, mocap: Path, backgrounds: Path, output: Path, quiet: bool) -> None:
    """Build the asset pack, once: one file that generation needs."""
    from ddp_video.synthesis.assets import build_pack
    from ddp_video.synthesis.pack import save_pack

    pack = build_pack(makehuman, mocap, backgrounds, report=lambda line: None if quiet else click.echo(line))
    save_pack(pack, output)
    if not quiet:
        click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


@synthesize.command()
@_PACK
@click.option("--number", "-n", default=100, show_default=True, type=click.IntRange(1), help="How many pictures.")
@click.option(
    "--first", default=0, show_default=True, type=click.IntRange(0), help="Begin with this picture of the row."
)
@click.option("--size", default="384", show_default=True, help="Side of the square pictures, or WIDTHxHEIGHT, px.")
@_SEED
@click.option("--format", "suffix", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
@_WORKERS
@_OUTPUT
@quiet_option
def images(pack, number, first, size, seed, suffix, workers, output, quiet) -> None:
    """Pictures with dense label maps, and annotations.json beside them.

    NAME.jpg, NAME_iuv.png (channels I, 255 U, 255 V as OpenCV reads them), NAME_inst.png (person), NAME_depth.png (mm) and
    NAME.npz (17 keypoints). The same seed gives the same bytes whatever the number of workers. The first process takes up to
    2 GB, each worker 0.1 GB more.
    """
    from ddp_video.synthesis.dataset import write_dataset

    generator = _generator(pack, size)
    with progress_bar("pictures", quiet, " pictures") as progress:
        write_dataset(
            generator,
            output,
            number,
            seed,
            workers,
            first,
            "." + suffix,
            progress=lambda done: progress(done, number),
        )


def _generator(pack: Path, size: str):
    """The generator of a pack, for pictures of the size that --size names."""
    from ddp_video.synthesis.generator import Generator

    try:
        return Generator(pack, _frame_size(size))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--size") from error


def _frame_size(text: str) -> tuple[int, int]:
    """'854x480' -> (480, 854); '480' -> (480, 480)."""
    width, _, height = text.lower().partition("x")
    if not width.isdigit() or not (height or width).isdigit():
        raise click.BadParameter(f"{text!r} is not a size: give WIDTHxHEIGHT or one side, px", param_hint="--size")
    return int(height or width), int(width)


@synthesize.command()
@_PACK
@click.option("--number", "-n", default=1, show_default=True, type=click.IntRange(1), help="How many clips.")
@click.option("--frames", default=50, show_default=True, type=click.IntRange(2), help="Frames a clip.")
@click.option("--fps", default=25, show_default=True, type=click.IntRange(1, 240))
@click.option("--size", default="384", show_default=True, help="WIDTHxHEIGHT or one side, px.")
@_SEED
@_WORKERS
@_OUTPUT
@quiet_option
def video(pack, number, frames, fps, size, seed, workers, output, quiet) -> None:
    """Clips (NAME.mp4) with frames, label maps and exact flow both ways (folder NAME).

    NAME/TTTTT.png and its maps as `images` writes them; NAME/TTTTT_flow.npz: forward and backward flow in px, and where the
    other frame shows the same point.
    """
    from fractions import Fraction

    from ddp_video.synthesis.clips import write_clips

    generator = _generator(pack, size)
    with progress_bar("clips", quiet, " clips") as progress:
        write_clips(
            generator,
            output,
            number,
            seed,
            frames,
            Fraction(fps),
            workers,
            progress=lambda done: progress(done, number),
        )

"""ddp-video weights: which weights there are, what they say about themselves, whether they are whole; means and conversion."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group()
def weights() -> None:
    """List, describe, verify, average and convert weights files."""


@weights.command("list")
def list_() -> None:
    """The weights that come with the package."""
    from ddp_video.model.weights import read_info, shipped_weights

    paths = shipped_weights()
    if not paths:
        click.echo("no weights came with this installation; train some with: ddp-video train")
    for path in paths:
        info = read_info(path)
        click.echo(f"{info.config.name:10} {path.stat().st_size / 1e6:6.1f} MB  charts {info.config.charts}  {path}")


@weights.command()
@click.argument("name_or_path")
def info(name_or_path: str) -> None:
    """A file's configuration and training record, as JSON."""
    from ddp_video.model.weights import read_info

    found = read_info(name_or_path)
    record = {
        "path": str(found.path),
        "sha256": found.sha256,
        "config": found.config.to_dict(),
        "metadata": found.metadata,
    }
    click.echo(json.dumps(record, indent=2))


@weights.command()
@click.argument("names_or_paths", nargs=-1)
def verify(names_or_paths: tuple[str, ...]) -> None:
    """Check hashes and load each file strictly (by default all that come with the package)."""
    from ddp_video.model.weights import load_model, shipped_weights

    for name_or_path in names_or_paths or shipped_weights():
        model = load_model(name_or_path)
        click.echo(f"{model.weights.path}: whole, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters")


@weights.command()
@click.argument("names_or_paths", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for it.")
def mean(names_or_paths: tuple[str, ...], output: Path) -> None:
    """The mean of weights of one model, as those that ship are; a file given twice counts twice.

    Of runs that began with the same weights (`train --init`) it is often better than each of them.
    """
    from ddp_video.model.weights import mean_weights

    click.echo(mean_weights(names_or_paths, output))


@weights.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The .safetensors file to write.")
def convert(checkpoint: Path, output: Path) -> None:
    """Rewrite a DensePose R-CNN checkpoint (.pkl, .pth) as safetensors."""
    from ddp_video.model.densepose_rcnn import convert as convert_file

    click.echo(f"{output}: {convert_file(checkpoint, output).name}")

"""`ddp-video export`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import progress_bar, quiet_option


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to",
    "to",
    required=True,
    type=click.Choice(["densepose", "coco"]),
    help="densepose: a list of frames as apply_net.py dump writes it, for torch.load. coco: JSON with RLE masks.",
)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@quiet_option
def export(run, to, output, quiet):
    """Write the run folder RUN in the formats of other tools: boxes, scores, identities, and each person's labels and uv.

    The formats are described in `ddp_video.export`.
    """
    from ddp_video.export import export as export_run

    with progress_bar(run.name, quiet) as progress:
        export_run(run, output, to, progress)

"""`ddp-video render`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.cli.options import picture_options, picture_settings, progress_bar, quiet_option


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for the pictures.  [RUN itself]"
)
@picture_options
@click.option("--video", type=click.Path(), help="Where the source video is now, if it has moved.")
@click.option("--overwrite", is_flag=True, help="Replace pictures that are there.")
@quiet_option
def render(run, output, look, video, overwrite, quiet):
    """Draw the pictures of a run folder again in other styles, without inference.

    Only pictures over the video's frames need the source video: with --background black, none does.
    """
    if not look["styles"]:
        raise click.UsageError("say what to draw: --style isocontour, iuv, parts or instances")

    from ddp_video.redraw import redraw
    from ddp_video.runs import RunFolder

    folder = RunFolder.open(run)
    pictures = picture_settings(**look)
    target = output or folder.path
    with progress_bar(folder.path.name, quiet) as progress:
        count = redraw(folder, target, pictures, video=video, overwrite=overwrite, progress=progress)
    if not quiet:
        click.echo(f"{target}: {', '.join(pictures.styles)}, {count} frames")

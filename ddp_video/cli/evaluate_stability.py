"""`ddp-video evaluate-stability`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ddp_video.cli.options import need_folders, progress_bar, quiet_option


@click.command("evaluate-stability")
@click.argument("inputs", metavar="A B...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--source",
    type=click.Path(),
    help="The video that A, B... were made from: run folders whose source has "
    "moved, and plain videos, follow its flow.",
)
@click.option(
    "--truth",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Exact labels of the clips, of each a folder of its name (`ddp-video synthesize video` writes them): also GPS AP, "
    "parts, and identities of the labelled people; and how steady the labels themselves are.",
)
@click.option(
    "--flow",
    type=click.Choice(["dis", "raft", "auto"]),
    default="dis",
    show_default=True,
    help="Optical flow; DIS gives the same figures everywhere.",
)
@click.option("--flow-weights", type=click.Path(path_type=Path), help="RAFT weights in torchvision's format.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures, with their confidence intervals and curves, to this file.",
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw PSNR and SSIM over time to this PNG.",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a page with table, curves and the inputs side by side as video to this folder.",
)
@quiet_option
def evaluate_stability(inputs, source, truth, flow, flow_weights, json_file, plot_file, report, quiet):
    """Compare how steady videos are: ITF, ISI, E_warp and, of run folders, chart flips, drift, jitter and lag.

    Each of A, B... is a video or a run folder, or a folder of run folders, whose clips of equal names are compared and
    pooled. Changes and lag are against A: give the unsmoothed one first.
    """
    from ddp_video.stability import evaluate_stability as measure
    from ddp_video.stability import pool
    from ddp_video.stability.inputs import EXACT_LABELS
    from ddp_video.stability.page import write_report
    from ddp_video.stability.plot import save_plot
    from ddp_video.stability.table import as_json, table
    from ddp_video.temporal.flow import load_flow

    clips = _clips(inputs)
    if len(clips) > 1 and source:
        raise click.UsageError("--source is one video; it cannot be that of several clips")
    need_folders(json_file, plot_file)
    estimator = load_flow(flow, flow_weights)
    measured = {}
    for clip, paths in clips.items():
        with progress_bar(clip or "measuring", quiet) as progress:
            measured[clip] = measure(paths, source, estimator, progress, truth and _labels(truth, paths[0]))
        click.echo(f"{clip}\n{table(measured[clip])}\n" if len(clips) > 1 else table(measured[clip]))
        if report:
            click.echo(f"report: {write_report(measured[clip], report / clip, estimator.describe())}", err=True)
    columns = zip(*measured.values(), strict=True)
    names = [*map(str, inputs), EXACT_LABELS]  # the last only where --truth is given
    pooled = [pool(column, name) for column, name in zip(columns, names, strict=False)]
    if len(clips) > 1:
        click.echo(f"all {len(clips)} clips\n{table(pooled)}")
    if json_file:
        figures = {"flow": estimator.describe(), **as_json(pooled)}
        if len(clips) > 1:
            figures["clips"] = {clip: as_json(results)["results"] for clip, results in measured.items()}
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if plot_file:
        save_plot(pooled, plot_file)


def _labels(truth: Path, run: Path) -> Path:
    """The folder of a clip's labels: its name in `truth`, or `truth` itself."""
    own = truth / run.resolve().name
    return own if own.is_dir() else truth


def _clips(inputs: tuple[Path, ...]) -> dict[str, list[Path]]:
    """Which paths to compare with each other, by the name of the clip; "" where the inputs are clips themselves."""
    from ddp_video.runs import RunFolder

    runs = [{child.name for child in path.glob("*") if RunFolder.is_one(child)} for path in inputs]
    if any(RunFolder.is_one(path) for path in inputs) or not any(runs):
        return {"": list(inputs)}
    shared = sorted(set.intersection(*runs))
    if not shared:
        raise click.UsageError("the folders have no run folder of the same name in common")
    for path, names in zip(inputs, runs, strict=True):
        for name in sorted(names - set(shared)):
            click.echo(f"{path / name} has no counterpart in every other folder; left out", err=True)
    return {name: [path / name for path in inputs] for name in shared}

"""How steady, and how right, clips come out: unsmoothed, by the paper's equation, and by default.

    python -m benchmarks.steadiness CLIP... --labelled OUT -o DIR        from a checkout; prints Markdown

CLIPs are real videos; OUT holds those of `benchmarks/labelled_clips.py`. Run folders are kept in DIR/raw, DIR/paper and
DIR/smoothed (a second call goes on with them: take another DIR for other weights or settings). The tables are those of the
README, and the paper's Table 4. Allow about .5 CPU seconds a frame at 480 x 360, and in proportion to the pixels.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np

from benchmarks.report import Table
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model
from ddp_video.pictures import PictureSettings
from ddp_video.pipeline import Clip, infer, smooth
from ddp_video.stability import evaluate_stability, pool
from ddp_video.stability.evaluation import StabilityResult
from ddp_video.stability.inputs import EXACT_LABELS
from ddp_video.stability.table import METRICS, accuracies, accuracy_changes, as_json, change, number
from ddp_video.temporal.smoothing import SmoothingSettings

WAYS = {"paper": SmoothingSettings(mode="paper"), "smoothed": SmoothingSettings()}
SHOWN = ("itf", "isi", "iuv_warp_error", "chart_flips", "edge_jitter")
# Ours (Res50) without and with smoothing, in the paper's Table 4.
PAPER_ITF, PAPER_ISI = (35.24, 35.68), (0.9253, 0.9294)


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("clips", metavar="CLIP...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--labelled", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--max-frames", type=click.IntRange(2), default=120, show_default=True, help="Of each real clip.")
@click.option("--model", default="ddp_lite", show_default=True, help="Name or weights file.")
def main(clips, labelled, output, max_frames, model):
    synthetic = sorted(labelled.glob("*.mp4")) if labelled else []
    if not clips and not synthetic:
        raise click.UsageError("nothing to measure: give videos, or --labelled")
    predictor = DDPPredictor(load_model(model))
    found = {clip: measure(clip, None, predictor, output, max_frames) for clip in clips}
    for clip in synthetic:
        found[clip] = measure(clip, clip.with_suffix(""), predictor, output, None)
    tables = []
    if clips:
        rows = [row for clip in clips for row in steadiness_rows(clip.stem, found[clip])]
        tables += [steadiness(f"Real clips, first {max_frames} frames", rows), table_4([found[clip] for clip in clips])]
    if synthetic:
        kinds = sorted({clip.stem.split("_")[0] for clip in synthetic})
        of_kind = {kind: [found[clip] for clip in synthetic if clip.stem.startswith(f"{kind}_")] for kind in kinds}
        pooled = {kind: pool_all(clips) for kind, clips in of_kind.items()}
        pooled["all"] = pool_all([found[clip] for clip in synthetic])
        rows = [row for kind, results in pooled.items() for row in steadiness_rows(kind, results)]
        tables += [steadiness("Labelled clips", rows), accuracy(pooled)]
    for table in tables:
        click.echo(table.markdown())
    figures = {clip.stem: as_json(results, curves=False)["results"] for clip, results in found.items()}
    (output / "steadiness.json").write_text(json.dumps(figures, indent=1) + "\n")


def measure(
    clip: Path, truth: Path | None, predictor: DDPPredictor, output: Path, max_frames: int | None
) -> list[StabilityResult]:
    """Unsmoothed, and smoothed in each of WAYS."""
    settings = {"pictures": PictureSettings(styles=("isocontour", "iuv")), "resume": True}
    raw = infer(clip, predictor, output / "raw" / clip.stem, clip=Clip(max_frames=max_frames), **settings)
    runs = [smooth(raw, output / way / clip.stem, smoothing=how, **settings) for way, how in WAYS.items()]
    click.echo(clip.stem, err=True)
    return evaluate_stability([run.path for run in (raw, *runs)], truth=truth)


def pool_all(clips: list[list[StabilityResult]]) -> list[StabilityResult]:
    return [pool(results, results[0].name) for results in zip(*clips, strict=True)]


def steadiness_rows(name: str, results: list[StabilityResult]) -> list[tuple]:
    raw, *smoothed = results
    rows = []
    for way, result in zip((*WAYS, EXACT_LABELS), smoothed, strict=False):  # the labels where there are some
        changes = [change(raw.series[key].value, result.series[key].value, METRICS[key]) for key in SHOWN]
        switches = "-" if result.id_switches is None else f"{raw.id_switches} -> {result.id_switches}"
        lag = f"{result.lag.frames:+.2f}" if result.lag and np.isfinite(result.lag.frames) else "-"
        rows.append((name, raw.frames, way, *changes, switches, lag))
    return rows


def steadiness(title: str, rows: list[tuple]) -> Table:
    columns = ("clip", "frames", "", *(METRICS[key].label for key in SHOWN), "id switches", "lag")
    return Table(title, columns, rows, "Against the unsmoothed run. ITF in dB; x: ratio, lower is steadier.")


def table_4(clips: list[list[StabilityResult]]) -> Table:
    """Means over clips, as in the paper."""

    def mean(way: int, key: str) -> str:
        return number(float(np.mean([results[way].series[key].value for results in clips])), METRICS[key])

    rows = [
        ("DDP, paper (11 clips)", *PAPER_ITF, *PAPER_ISI),
        ("here, equation 6 (`--mode paper`)", mean(0, "itf"), mean(1, "itf"), mean(0, "isi"), mean(1, "isi")),
        ("here, default", mean(0, "itf"), mean(2, "itf"), mean(0, "isi"), mean(2, "isi")),
    ]
    cells = [tuple(str(cell) for cell in row) for row in rows]
    return Table("Table 4 of the paper", ("", "ITF raw", "smoothed", "ISI raw", "smoothed"), cells)


def accuracy(pooled: dict[str, list[StabilityResult]]) -> Table:
    rows = []
    for name, (raw, *smoothed) in pooled.items():
        rows.append((name, "raw", *accuracies(raw)))
        rows += [(name, way, *accuracy_changes(raw, result)) for way, result in zip(WAYS, smoothed, strict=False)]
    return Table("Against exact labels", ("clips", "", "GPS AP", "GPSm AP", "part", "found"), rows)


if __name__ == "__main__":
    main()

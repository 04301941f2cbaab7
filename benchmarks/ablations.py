"""The paper's table 2 (and a row for what is not in the paper) on a small fixed budget: the whole method, and without one
of its parts.

    python benchmarks/ablations.py --data maps:FOLDER -o OUT --set steps=1000

Each run sees the same crops in the same order. Prints a table of the held-out figures (see train/validation.py). Rows that
are finished in OUT are not made again, so that an interrupted table goes on.
"""

import json
from dataclasses import replace
from pathlib import Path

import click

from ddp_video.train.config import WITHOUT, TrainConfig
from ddp_video.train.loop import CHECKPOINT
from ddp_video.train.run import start

BUDGET = TrainConfig(steps=1000, size=256)
COLUMNS = ("part", "swapped", "uv_error", "mask_iou")


def measured(folder: Path) -> dict | None:
    """What a run logged last with held-out figures, None before it has any."""
    log = folder / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return next((line for line in reversed(lines) if "validation/part" in line), None)


@click.command()
@click.option("--data", multiple=True, required=True, help="As for `ddp-video train`.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path))
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="As for `ddp-video train`.")
@click.option("--device", default="auto", show_default=True)
def main(data, out, changes, device):
    budget = BUDGET.changed(changes)
    click.echo("| | " + " | ".join((*COLUMNS, "seconds")) + " |\n|" + " --- |" * (len(COLUMNS) + 2))
    for without in ("", *WITHOUT):
        name = f"without {without}" if without else "whole"
        config = replace(budget, without=without, validate_every=budget.steps)
        folder = out / name.replace(" ", "_")
        last = measured(folder)
        if last is None:
            start(config, data, folder, init="imagenet", resume=(folder / CHECKPOINT).exists(), device=device)
            last = measured(folder)
        figures = [f"{last[f'validation/{column}']:.3f}" for column in COLUMNS]
        click.echo(f"| {name} | " + " | ".join((*figures, f"{last['seconds']:.0f}")) + " |")


if __name__ == "__main__":
    main()

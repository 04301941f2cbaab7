"""What ddp-video costs, and beside what.

    python -m benchmarks [TABLE...] -o DIR      from a checkout; prints Markdown, writes benchmarks.md and benchmarks.json

Medians of repeated runs, the first not counted; every comparison within one run. On a machine that does other work too,
compare CPU seconds. OMP_NUM_THREADS says how many threads PyTorch takes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.goals import goals
from benchmarks.people import foreground, people
from benchmarks.processes import memory, startup
from benchmarks.report import Table, machine, save
from benchmarks.settings import CLIP, Settings
from benchmarks.sparse import branch, one_conv
from benchmarks.stages import stages
from benchmarks.synthesis import synthesis
from benchmarks.temporal import flow, smoothing
from benchmarks.trunk import trunk
from ddp_video.allocator import keep_freed_memory
from ddp_video.hardware import choose_device

TABLES: dict[str, Callable[[Settings], Table | dict[str, Table]]] = {
    "stages": stages,
    "people": people,
    "foreground": foreground,
    "sparse": branch,
    "conv": one_conv,
    "trunk": trunk,
    "flow": flow,
    "smoothing": smoothing,
    "startup": startup,
    "memory": memory,
    "synthesis": synthesis,
}


OUTPUT, FILE = click.Path(path_type=Path), click.Path(path_type=Path, exists=True)


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", metavar="[TABLE]...", nargs=-1, type=click.Choice([*TABLES]))
@click.option("-o", "--output", type=OUTPUT, required=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Counted, of each measurement.")
@click.option("--clip", type=FILE, default=CLIP, help="Of infer's stages and smoothing.  [the example clip]")
@click.option("--detectron2", type=FILE, help="A checkout, built in place: the peer.")
@click.option("--flow-weights", type=FILE, help="torchvision's raft_small.")
@click.option("--pack", type=FILE, help="Of synthetic people; else they are left out.")
@click.option(
    "--scale", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Smaller pictures, to try it out."
)
def main(names, output, device, rounds, clip, detectron2, flow_weights, pack, scale):
    keep_freed_memory()  # as infer and smooth do; their few kernels are too few for several networks in turn
    settings = Settings(str(choose_device(device)), rounds, scale, clip, detectron2, flow_weights, pack)
    facts = machine(settings.device) | ({} if scale == 1 else {"scale": scale})
    tables: dict[str, Table] = {}

    def show(found: dict[str, Table]) -> None:
        for name, table in found.items():
            tables[name] = table
            click.echo(table.markdown())
        save(output, facts, tables)

    for name in names or TABLES:
        found = TABLES[name](settings)
        show(found if isinstance(found, dict) else {name: found})
    if settings.kind == "cpu":
        show({"goals": goals(tables)})


if __name__ == "__main__":
    main()

"""The figures that ddp-video is to reach, found in the tables of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.report import Table


@dataclass(frozen=True)
class Goal:
    """what it is about and what is wanted; `find` reads what was measured off the tables, KeyError where it was not.

    beside: where the machine differs from the goal's, the ratio within the run that stands for it.
    """

    what: str
    wanted: str
    find: Callable[[dict[str, Table]], tuple[float, str]]
    reached: Callable[[float], bool]


def goals(tables: dict[str, Table]) -> Table:
    rows = [(goal.what, goal.wanted, *_judge(goal, tables)) for goal in GOALS]
    return Table(
        "Figures to reach",
        ("what", "goal", "measured", "reached"),
        rows,
        "Goals in seconds were set for two idle cores with AMX: seconds here are CPU seconds of this machine, comparable "
        "within the run only. - = its table was not among those asked for.",
    )


def _judge(goal: Goal, tables: dict[str, Table]) -> tuple[str, str]:
    try:
        value, text = goal.find(tables)
    except KeyError:
        return "-", "-"
    return text, "yes" if goal.reached(value) else "no"


def _column(table: Table, name: str) -> dict[object, object]:
    """A column by the first cell of its rows."""
    at = table.columns.index(name)
    return {row[0]: row[at] for row in table.rows}


def _seconds_of_r50(tables):
    of = _column(tables["people"], "ddp_r50")
    peer = next(name for name in ("detectron2", "densepose-rcnn") if name in tables["people"].columns)
    theirs = _column(tables["people"], peer)
    return of[1], f"{of[1]:.2f} s with 1 person, {of[20]:.2f} s with 20 ({peer}: {theirs[1]:.2f}, {theirs[20]:.2f})"


def _growth_of_r50(tables):
    growth = _column(tables["people"], "ddp_r50")["20 / 1"]
    return growth, f"{growth - 1:+.1%}"


def _sparse(tables) -> Iterator[tuple]:
    """The rows of the IUV branch at the share nearest to 25 %."""
    table = tables["sparse"]
    share = min((row[0] for row in table.rows), key=lambda share: abs(share - 0.25))
    return (dict(zip(table.columns, row, strict=True)) for row in table.rows if row[0] == share)


def _sparse_speed(tables):
    ratios = {row["precision"]: (row["dense / sparse"], row["conv2d alone / sparse"]) for row in _sparse(tables)}
    text = "; ".join(f"{name}: {a:.2f}x (of conv2d alone {b:.2f}x)" for name, (a, b) in ratios.items())
    return min(a for a, _ in ratios.values()), text


def _sparse_error(tables):
    error = next(row["error"] for row in _sparse(tables) if row["precision"] == "fp32")
    return error, f"{error:.1e}"


def _one_conv(tables):
    precision, cpu, dense, *_ = tables["conv"].rows[-1]
    return cpu, f"{precision}: {cpu:.1f} ms, dense {dense:.1f} ms, {dense / cpu:.2f}x"


def _trunk(tables):
    first, *_, last = tables["trunk"].rows
    return last[1], f"{last[0]}: {last[1]:.2f} s, {first[0]}: {first[1]:.2f} s, {last[3]:.2f}x"


def _flow(tables):
    shares = {row[0]: row[3] for row in tables["flow"].rows if row[0].startswith("shared")}
    return min(shares.values()), "; ".join(f"{name}: {share:.2f}x" for name, share in shares.items())


def _frames(command: str):
    def find(tables):
        rate, cpu = (_column(tables["whole"], name)[command] for name in ("frames/s", "CPU s a frame"))
        return rate, f"{rate:.1f} frames/s, {1 / cpu:.1f} a CPU second"

    return find


def _memory(tables):
    of = _column(tables["memory"], "MiB")
    ratio = of.pop("ratio")
    return ratio, f"{ratio - 1:+.1%} ({', '.join(f'{frames} frames {mib} MiB' for frames, mib in of.items())})"


def _synthesis(tables):
    rate = _column(tables["synthesis"], "measured")["the same at 2.5 people (fitted)"]
    return rate, f"{rate:.1f} pictures/s"


GOALS = (
    Goal("DDP R50, 800x1333", "1.5 s", _seconds_of_r50, lambda seconds: seconds <= 1.5),
    Goal("DDP R50, 20 people against 1", "at most +5 %", _growth_of_r50, lambda ratio: ratio <= 1.05),
    Goal("sparse IUV branch at 25 % active", "2.5x faster than dense", _sparse_speed, lambda ratio: ratio >= 2.5),
    Goal("its error in fp32", "<= 1e-5", _sparse_error, lambda error: error <= 1e-5),
    Goal("3x3 256->256 at 200x200, 25 % active", "<= 8 ms", _one_conv, lambda ms: ms <= 8),
    Goal("ResNet-50 trunk, 800x1344", "0.39 s", _trunk, lambda seconds: seconds <= 0.39),
    Goal("4 RAFT flows a frame", "<= 0.6x of 4 stock calls", _flow, lambda share: share <= 0.6),
    Goal("ddp_lite on 480p", ">= 8 frames/s", _frames("infer"), lambda rate: rate >= 8),
    Goal("ddp_lite on 480p, smoothed", ">= 5 frames/s", _frames("infer --smooth (DIS)"), lambda rate: rate >= 5),
    Goal("synthetic people, 384 px, a core, 2.5 a picture", ">= 12 pictures/s", _synthesis, lambda rate: rate >= 12),
    Goal("memory of longer clips", "flat within 5 %", _memory, lambda ratio: ratio <= 1.05),
)

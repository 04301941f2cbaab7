"""Stability results as a table for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ddp_video.stability.evaluation import StabilityResult


class Metric(NamedTuple):
    """How one measure is shown. factor: from its own unit to the shown one."""

    label: str
    unit: str
    decimals: int
    higher_is_better: bool = False
    factor: float = 1.0
    meaning: str = ""


METRICS = {
    "itf": Metric("ITF", "dB", 2, True, meaning="mean PSNR of consecutive frames"),
    "isi": Metric("ISI", "", 4, True, meaning="mean SSIM of consecutive frames"),
    "warp_error": Metric("E_warp", "1e-3", 3, factor=1e3, meaning="squared RGB difference along the optical flow"),
    "iuv_warp_error": Metric(
        "E_warp IUV", "1e-3", 2, factor=1e3, meaning="the same of the dense pose; a change of chart counts 1"
    ),
    "chart_flips": Metric(
        "chart flips", "%", 2, factor=100, meaning="person points whose chart changes along the flow"
    ),
    "uv_drift": Metric(
        "UV drift", "1e-3", 2, factor=1e3, meaning="distance in (u, v) that a point moves along the flow"
    ),
    "edge_jitter": Metric("edge jitter", "px", 3, meaning="how far outlines move against the flow"),
}


COUNTS = ("identical pairs", "id switches", "lag", "changed")

# Against exact labels: columns of the accuracy table, shares of 1.
ACCURACY = {
    "GPS AP": lambda accuracy: accuracy.table()["GPS"]["AP"],
    "GPSm AP": lambda accuracy: accuracy.table()["GPSm"]["AP"],
    "part": lambda accuracy: accuracy.agreement.rates()["part"],
    "found": lambda accuracy: accuracy.agreement.rates()["found"],
}


def table(results: Sequence[StabilityResult]) -> str:
    """Aligned columns, one row an input; from the second on also the change against the first."""
    shown = [key for key in METRICS if any(math.isfinite(result.series[key].value) for result in results)]
    header = ["", "frames", *(title(METRICS[key]) for key in shown), *COUNTS, *ACCURACY]
    rows = []
    for result in results:
        values = [number(result.series[key].value, METRICS[key]) for key in shown]
        rows.append([result.name, str(result.frames), *values, *counts(result), *accuracies(result)])
        if result is not results[0]:
            changes = [change(results[0].series[key].value, result.series[key].value, METRICS[key]) for key in shown]
            gains = accuracy_changes(results[0], result)
            rows.append(["  against the first", "", *changes, *[""] * len(COUNTS), *gains])
    used = [column for column in range(len(header)) if column == 0 or any(row[column] not in ("", "-") for row in rows)]
    return _aligned([[row[column] for column in used] for row in [header, *rows]])


def as_json(results: Sequence[StabilityResult], curves: bool = True) -> dict:
    """Everything that was measured; figures in their own units (shares, not percent), null where there are none."""

    def measure(key: str, result: StabilityResult) -> dict:
        series = result.series[key]
        low, high = series.interval()
        found = {"value": _finite(series.value), "low": _finite(low), "high": _finite(high)}
        return {**found, "curve": [_finite(value) for value in series.curve.tolist()]} if curves else found

    return {
        "schema": 1,
        "results": [
            {
                "name": result.name,
                "frames": result.frames,
                "identical_pairs": result.identical_pairs,
                "id_switches": result.id_switches,
                "lag_frames": _finite(result.lag.frames) if result.lag else None,
                "changed": _finite(result.lag.changed) if result.lag else None,
                "accuracy": {name: _finite(value) for name, value in accuracy_of(result).items()} or None,
                **{key: measure(key, result) for key in METRICS},
            }
            for result in results
        ],
    }


def title(metric: Metric) -> str:
    return f"{metric.label} [{metric.unit}]" if metric.unit else metric.label


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def number(value: float, metric: Metric) -> str:
    return f"{value * metric.factor:.{metric.decimals}f}" if math.isfinite(value) else "-"


def change(first: float, value: float, metric: Metric) -> str:
    """A difference where higher is better (ITF, ISI, as in the paper), else a ratio."""
    if not (math.isfinite(first) and math.isfinite(value)):
        return "-"
    if metric.higher_is_better:
        return f"{(value - first) * metric.factor:+.{metric.decimals}f}"
    return f"x {value / first:.2f}" if first else "-"


def accuracy_of(result: StabilityResult) -> dict[str, float]:
    """Shares of 1 by the names of `ACCURACY`; empty where there are no labels."""
    return {name: float(read(result.accuracy)) for name, read in ACCURACY.items()} if result.accuracy else {}


def accuracies(result: StabilityResult) -> list[str]:
    """One cell for each of `ACCURACY`, percent."""
    values = accuracy_of(result)
    return [_percent(values[name]) if name in values else "-" for name in ACCURACY]


def accuracy_changes(first: StabilityResult, result: StabilityResult) -> list[str]:
    before, after = accuracy_of(first), accuracy_of(result)
    both = before.keys() & after.keys()
    return [_points(after[name] - before[name]) if name in both else "" for name in ACCURACY]


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}" if math.isfinite(difference) else "-"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else "-"


def counts(result: StabilityResult) -> list[str]:
    """One cell for each of `COUNTS`."""
    switches = "-" if result.id_switches is None else str(result.id_switches)
    if result.lag is None:
        return [str(result.identical_pairs), switches, "-", "-"]
    lag = f"{result.lag.frames:+.2f}" if math.isfinite(result.lag.frames) else "-"
    return [str(result.identical_pairs), switches, lag, _percent(result.lag.changed)]


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )

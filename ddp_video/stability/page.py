"""The stability report: one HTML page that needs nothing else, with a video of the inputs side by side, also beside it."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
import numpy as np

from ddp_video.errors import OutputError
from ddp_video.metrics.similarity import PSNR_CAP
from ddp_video.stability.evaluation import StabilityResult
from ddp_video.stability.inputs import EXACT_LABELS, picture_video
from ddp_video.stability.plot import COLOURS, moving_mean, ticks, value_range
from ddp_video.stability.table import (
    ACCURACY,
    COUNTS,
    METRICS,
    accuracies,
    accuracy_changes,
    change,
    counts,
    number,
    title,
)
from ddp_video.video import VideoReader, VideoWriter

PAGE, VIDEO = "index.html", "side_by_side.mp4"
PANEL_HEIGHT = 720  # px, at most, of each input in the video
WIDTH, HEIGHT = 960, 230  # px of a curve's drawing
LEFT, TOP, BOTTOM = 56, 10, 24

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1020px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.1em; margin: 2em 0 .2em } p { margin: .2em 0 .6em; color: #555 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { padding: .35em .8em; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { color: #555; font-weight: 600 }
small { color: #777; display: block } .better { color: #007a53 } .worse { color: #b3261e }
video { width: 100%; background: #000 } svg { width: 100%; height: auto } svg text { font-size: 11px; fill: #666 }
.key { display: inline-block; width: 1.4em; height: .28em; margin: 0 .45em .2em 0 }
"""


def write_report(results: Sequence[StabilityResult], folder: Path, flow: str) -> Path:
    """Write the page and the video into a folder, and return the page's path. flow: how it was estimated, in words."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        side_by_side(_inputs(results), folder / VIDEO)
        video = base64.b64encode((folder / VIDEO).read_bytes()).decode()
        (folder / PAGE).write_text(page(results, flow, f"data:video/mp4;base64,{video}"), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the report to {folder}: {error.strerror or error}") from error
    return folder / PAGE


def _inputs(results: Sequence[StabilityResult]) -> list[str]:
    """Paths of what was measured; exact labels have no video."""
    return [result.name for result in results if result.name != EXACT_LABELS]


def page(results: Sequence[StabilityResult], flow: str, video: str) -> str:
    """The HTML. flow: how it was estimated, in words. video: its address."""
    shown = [key for key in METRICS if any(math.isfinite(result.series[key].value) for result in results)]
    names = " | ".join(html.escape(Path(name).name) for name in _inputs(results))
    curves = "".join(
        f"<h2>{html.escape(title(METRICS[key]))}</h2><p>{html.escape(METRICS[key].meaning)}; "
        f"{'higher' if METRICS[key].higher_is_better else 'lower'} is steadier</p>{_svg(results, key)}"
        for key in shown
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Stability: {names}</title><style>{STYLE}</style>'
        f"<h1>Stability: {names}</h1>"
        f"<p>Consecutive frames compared; optical flow: {html.escape(flow)}. Below each figure its 95 % confidence "
        f"interval (block bootstrap over frames).</p>"
        f'<div class="wide">{_table(results, shown)}</div>'
        f"<p>ITF and ISI reward frozen output: read them together with the measures along the flow and with the lag "
        f"(frames that an input trails the first one; changed: person pixels with another chart than there).</p>"
        f'<h2>{names}</h2><video src="{video}" controls loop muted></video>{curves}</html>\n'
    )


def _table(results: Sequence[StabilityResult], shown: Sequence[str]) -> str:
    labelled = any(result.accuracy for result in results)
    head = ["", "frames", *(title(METRICS[key]) for key in shown), *COUNTS, *(ACCURACY if labelled else ())]
    rows = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    for index, result in enumerate(results):
        cells = [f"<td>{_key(index)}{html.escape(result.name)}</td><td>{result.frames}</td>"]
        for key in shown:
            metric, series = METRICS[key], result.series[key]
            low, high = (number(end, metric) for end in series.interval())
            value = f"{number(series.value, metric)}<small>{low} .. {high}</small>"
            if index:
                first = results[0].series[key].value
                better = (series.value > first) == metric.higher_is_better
                colour = "" if series.value == first else f' class="{"better" if better else "worse"}"'
                value += f"<span{colour}>{change(first, series.value, metric)}</span>"
            cells.append(f"<td>{value}</td>")
        cells += [f"<td>{html.escape(cell)}</td>" for cell in counts(result)]
        if labelled:
            gains = accuracy_changes(results[0], result) if index else [""] * len(ACCURACY)
            cells += [
                f"<td>{cell}<span>{gain}</span></td>" for cell, gain in zip(accuracies(result), gains, strict=True)
            ]
        rows.append("".join(cells))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _key(index: int) -> str:
    return f'<span class="key" style="background:{COLOURS[index % len(COLOURS)]}"></span>'


def _svg(results: Sequence[StabilityResult], key: str) -> str:
    """One measure over time: each pair thin, their moving mean bold."""
    factor = METRICS[key].factor
    curves = [result.series[key].curve * factor for result in results]
    low, high = value_range(curves, PSNR_CAP if key == "itf" else math.inf)
    pairs = max(map(len, curves))

    def path(values: np.ndarray, colour: str, width: float, opacity: float) -> str:
        x = LEFT + np.arange(len(values)) / max(pairs - 1, 1) * (WIDTH - LEFT)
        y = TOP + (high - values.clip(low, high)) / (high - low) * (HEIGHT - TOP - BOTTOM)
        finite = np.isfinite(y)
        joined = finite & np.concatenate([[False], finite[:-1]])
        steps = [
            f"{'L' if on else 'M'}{a:.1f} {b:.1f}" for a, b, on in zip(x, y, joined, strict=True) if np.isfinite(b)
        ]
        return f'<path d="{"".join(steps)}" fill="none" stroke="{colour}" stroke-width="{width}" opacity="{opacity}"/>'

    parts = []
    for value in ticks(low, high, 4):
        y = TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for pair in ticks(0, max(pairs - 1, 1), 8):
        if pair == int(pair):
            x = LEFT + pair / max(pairs - 1, 1) * (WIDTH - LEFT)
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{int(pair)}</text>')
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        parts += [path(curve, colour, 1, 0.35), path(moving_mean(curve), colour, 2.2, 1)]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'


def side_by_side(names: Sequence[str], target: Path) -> None:
    """Write the inputs' pictures next to each other, with their names, until the first of them ends."""
    readers = [VideoReader(picture_video(name)) for name in names]
    info = readers[0].info
    height = min(info.size[0], PANEL_HEIGHT)
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(iter(reader))) for reader in readers]
        writer: VideoWriter | None = None
        for frames in zip(*streams, strict=False):
            panels = [_panel(frame.rgb, name, height) for frame, name in zip(frames, names, strict=True)]
            picture = np.concatenate(panels, axis=1)
            if writer is None:
                size = picture.shape[:2]
                writer = stack.enter_context(VideoWriter(target, size, info.time_base, info.average_rate))
            writer.write(picture, frames[0].pts)


def _panel(rgb: np.ndarray, name: str, height: int) -> np.ndarray:
    width = max(round(rgb.shape[1] * height / rgb.shape[0]), 1)
    panel = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    for thickness, colour in ((4, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(panel, Path(name).name, (12, 26), cv2.FONT_HERSHEY_DUPLEX, 0.6, colour, thickness, cv2.LINE_AA)
    return panel

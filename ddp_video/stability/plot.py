"""Curves over time, drawn with OpenCV: PSNR and SSIM of consecutive frames, one colour an input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ddp_video.errors import OutputError
from ddp_video.metrics.similarity import PSNR_CAP
from ddp_video.stability.evaluation import StabilityResult
from ddp_video.stability.table import METRICS

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: safe for colour blindness
WIDTH, PANEL = 1400, 400  # px
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 62, 46  # px around a panel's axes
SCALE = 2  # drawn larger and shrunk, for even edges and letters
INK, GRID = (60, 60, 60), (228, 228, 228)
FONT = cv2.FONT_HERSHEY_DUPLEX


def plot(results: Sequence[StabilityResult]) -> np.ndarray:
    """[H, W, 3] uint8 RGB: each pair's PSNR and SSIM, thin, and their moving mean, bold."""
    panels = [_panel(results, key) for key in ("itf", "isi")]
    large = np.concatenate(panels)
    return cv2.resize(large, None, fx=1 / SCALE, fy=1 / SCALE, interpolation=cv2.INTER_AREA)


def save_plot(results: Sequence[StabilityResult], path: Path) -> None:
    """Write the plot to a PNG file. Raises OutputError."""
    try:
        path.write_bytes(cv2.imencode(".png", plot(results)[..., ::-1])[1])
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def rgb(colour: str) -> tuple[int, int, int]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def value_range(curves: Sequence[np.ndarray], cap: float = math.inf) -> tuple[float, float]:
    """What an axis should span: all finite values below the cap, and a margin."""
    values = np.concatenate([curve[np.isfinite(curve) & (curve < cap)] for curve in curves] or [np.zeros(0)])
    if not len(values):
        return (0.0, 1.0) if math.isinf(cap) else (cap - 1, cap)
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between low and high."""
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * multiple for multiple in (1, 2, 2.5, 5, 10) if unit * multiple >= rough)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def moving_mean(curve: np.ndarray) -> np.ndarray:
    """Centred mean over about a fortieth of the curve, at least 5 pairs, of what is finite."""
    if not len(curve):
        return curve
    half = max(len(curve) // 80, 2)
    known = np.isfinite(curve)
    kernel = np.ones(2 * half + 1)
    counts = np.convolve(known, kernel)[half : half + len(curve)]
    sums = np.convolve(np.where(known, curve, 0), kernel)[half : half + len(curve)]
    return np.divide(sums, counts, out=np.full(len(curve), np.nan), where=counts > 0)


def _panel(results: Sequence[StabilityResult], key: str) -> np.ndarray:
    metric = METRICS[key]
    canvas = np.full((PANEL * SCALE, WIDTH * SCALE, 3), 255, np.uint8)
    curves = [result.series[key].curve for result in results]
    cap = PSNR_CAP if key == "itf" else math.inf
    low, high = value_range(curves, cap)
    pairs = max(max(map(len, curves)), 1)
    span_x, span_y = WIDTH - LEFT - RIGHT, PANEL - TOP - BOTTOM

    def at_x(pair):
        return LEFT + pair / max(pairs - 1, 1) * span_x

    def at_y(value):
        return TOP + (high - np.clip(value, low, high)) / (high - low) * span_y

    for value in ticks(low, high):
        _line(canvas, [(LEFT, at_y(value)), (WIDTH - RIGHT, at_y(value))], GRID, 1)
        _text(canvas, f"{value:g}", LEFT - 10, at_y(value) + 5, align=1)
    for pair in ticks(0, max(pairs - 1, 1), 8):
        if pair == int(pair):
            _line(canvas, [(at_x(pair), TOP), (at_x(pair), TOP + span_y)], GRID, 1)
            _text(canvas, f"{int(pair)}", at_x(pair), TOP + span_y + 20, align=0.5)
    _text(
        canvas, f"{metric.label}: {metric.meaning}" + (f" [{metric.unit}]" if metric.unit else ""), LEFT, 24, size=0.55
    )
    _text(canvas, "frame", WIDTH - RIGHT, TOP + span_y + 38, align=1)
    legend = LEFT
    for result, curve, colour in zip(results, curves, _colours(len(results)), strict=True):
        pale = tuple(int(255 - 0.4 * (255 - c)) for c in colour)
        points = np.stack([at_x(np.arange(len(curve))), at_y(curve)], 1)
        mean = np.stack([at_x(np.arange(len(curve))), at_y(moving_mean(curve))], 1)
        _line(canvas, points, pale, 1)
        _line(canvas, mean, colour, 2.5)
        label = f"{result.name}  {result.series[key].value:.{metric.decimals}f}"
        _line(canvas, [(legend, 45), (legend + 22, 45)], colour, 3)
        legend = _text(canvas, label, legend + 30, 50) + 28
    return canvas


def _colours(count: int) -> list[tuple[int, int, int]]:
    return [rgb(COLOURS[index % len(COLOURS)]) for index in range(count)]


def _line(canvas: np.ndarray, points, colour, thickness: float) -> None:
    """A polyline through points in px, broken where they are not finite."""
    points = np.asarray(points, float)
    finite = np.isfinite(points).all(1)
    for run in np.split(np.arange(len(points)), np.flatnonzero(~finite)):
        run = run[finite[run]]
        if len(run):
            fixed = np.rint(points[run] * SCALE * 8).astype(np.int32)  # three binary places
            cv2.polylines(canvas, [fixed], False, colour, round(thickness * SCALE), cv2.LINE_AA, shift=3)


def _text(canvas: np.ndarray, text: str, x: float, y: float, size: float = 0.45, align: float = 0) -> float:
    """Write; align 0 starts at x, 0.5 centres on it, 1 ends there. Returns where the text ends."""
    (width, _), _ = cv2.getTextSize(text, FONT, size * SCALE, 1)
    start = x - align * width / SCALE
    cv2.putText(canvas, text, (round(start * SCALE), round(y * SCALE)), FONT, size * SCALE, INK, 1, cv2.LINE_AA)
    return start + width / SCALE

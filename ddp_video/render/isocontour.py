"""Lines of equal U and V over the body, the usual picture of dense pose.

A line is drawn by distance: at a pixel where U has value u and gradient g (per px, within the pixel's own chart and
person), the nearest line of level l is |u - l| / |g| px away. So lines have one width whatever the size of the person,
are anti-aliased, and never cross a seam.
"""

from __future__ import annotations

import cv2
import numpy as np

from ddp_video.structures import DensePose

DIM = 0.35  # brightness of the frame under the lines
OUTLINE = 0.3  # strength of the white line where a chart or a person ends
LEAST_GRADIENT = 1 / 200  # levels per px; flatter than this, a line would swell into a blob
MOST_COVERAGE = 0.5  # of a region's pixels by one family of lines; denser lines fade instead of filling it


def palette(colormap: int, first: int, last: int, lines: int) -> np.ndarray:
    """[lines, 4] float32 RGBA, entries `first` to `last` (0..255) of an OpenCV colormap."""
    entries = np.linspace(first, last, lines).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(entries[:, None], colormap), cv2.COLOR_BGR2RGBA)[:, 0].astype(np.float32)


def isocontour(frame_rgb: np.ndarray | None, pose: DensePose, lines: int = 10, width: float = 1.3) -> np.ndarray:
    """Draw the isocontours of one frame.

    Args:
        frame_rgb: [H, W, 3] uint8, shown dimmed below the lines, or None for black.
        lines: levels per chart and coordinate, at (k + 0.5) / lines: chart edges (0 and 1) are not levels.
        width: of a line, px.
    Returns:
        [H, W, 3] uint8 RGB; U in blue to green, V in violet to yellow, both rising.
    """
    if lines < 1 or width <= 0:
        raise ValueError(f"isocontours need at least one line of positive width, got {lines} of {width} px")
    part = pose.part.numpy()
    canvas = np.zeros((*part.shape, 4), np.uint8)
    if frame_rgb is not None:
        cv2.cvtColor(cv2.convertScaleAbs(frame_rgb, alpha=DIM), cv2.COLOR_RGB2RGBA, dst=canvas)
    pixels = np.flatnonzero(part).astype(np.int32)
    if len(pixels):
        neighbours = _neighbours(pose, pixels)
        enclosed = np.logical_and.reduce([same for _, before, after in neighbours for same in (before, after)])
        layers = [(OUTLINE * ~enclosed, np.full((1, 4), 255, np.float32), np.zeros(len(pixels), np.intp))]
        palettes = palette(cv2.COLORMAP_VIRIDIS, 90, 200, lines), palette(cv2.COLORMAP_PLASMA, 110, 245, lines)
        for plane, colours in zip(pose.uv.numpy(), palettes, strict=True):
            coverage, nearest = _lines(plane.ravel(), pixels, neighbours, lines, width)
            layers.append((coverage, colours, nearest))
        _blend(canvas, pixels, layers)
    return cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB)


def _neighbours(pose: DensePose, pixels: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """For each axis: the step to the next pixel in a flat frame, and whether the pixels before and after [N] each of
    the given ones lie on the same chart of the same person."""
    part, instance = pose.part.numpy(), pose.instance.numpy()
    found = []
    for step, here, there in (
        (1, np.s_[:, :-1], np.s_[:, 1:]),
        (part.shape[1], np.s_[:-1], np.s_[1:]),
    ):
        joined = np.zeros(part.shape, bool)  # with the next one; the last of a row or column has none
        joined[here] = (part[here] == part[there]) & (instance[here] == instance[there])
        joined = joined.ravel()
        found.append((step, joined.take(pixels - step, mode="wrap"), joined.take(pixels)))
    return found


def _lines(
    plane: np.ndarray, pixels: np.ndarray, neighbours: list, lines: int, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel the nearest line of a flat plane (u or v) covers [N] float32, and its level [N] int.

    Differences are central inside a chart, one-sided at its edge, 0 across a chart one pixel thin.
    """
    values = plane.take(pixels)
    squared = np.zeros_like(values)
    for step, before, after in neighbours:
        difference = (plane.take(pixels + step, mode="wrap") - values) * after
        difference += (values - plane.take(pixels - step, mode="wrap")) * before
        difference /= np.maximum(before.view(np.int8) + after.view(np.int8), np.float32(1))
        squared += difference * difference
    level = values * np.float32(lines) - np.float32(0.5)
    nearest = np.clip(np.rint(level), 0, lines - 1)
    slope = np.maximum(np.sqrt(squared) * np.float32(lines), np.float32(LEAST_GRADIENT))
    coverage = np.clip(np.float32(0.5 * (width + 1)) - np.abs(level - nearest) / slope, 0, 1)
    coverage *= np.minimum(1, np.float32(MOST_COVERAGE / width) / slope)
    return coverage, nearest.astype(np.intp)


def _blend(canvas: np.ndarray, pixels: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Lay colours over some pixels of an RGBA canvas, in place.

    layers: (strength [N], colours [K, 4], which of them [N]), the lowest first.
    """
    touched = np.flatnonzero(np.logical_or.reduce([strength > 0 for strength, _, _ in layers]))
    flat = canvas.view(np.uint32).ravel()  # one gather for the four channels
    at = pixels[touched]
    colour = flat[at].view(np.uint8).reshape(-1, 4).astype(np.float32)
    for strength, colours, which in layers:
        colour += (colours.take(which[touched], axis=0) - colour) * strength[touched, None].astype(np.float32)
    flat[at] = (colour + np.float32(0.5)).astype(np.uint8).view(np.uint32).ravel()

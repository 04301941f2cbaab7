"""What people look like, for telling them apart: the colours of their clothes and skin, region by region of the body.

Two views of the same pixels, as each fails elsewhere: mean colours are fine but blur patterns, histograms keep those but are
coarse. Both are sums over sites, so that a weighted mean of several frames is one of appearances, and what a frame does
not show of somebody does not count in it.
"""

from __future__ import annotations

import cv2
import numpy as np

from ddp_video.charts import NUM_CLASSES, PART_OF_CHART
from ddp_video.structures import FramePrediction

# Of `charts.PART_NAMES`: 0 = none, 1 head, 2 torso, 3 arms and hands, 4 legs and feet.
_REGION_OF_PART = np.array([0, 2, 3, 3, *[4] * 6, *[3] * 4, 1])
_REGION_OF_CHART = _REGION_OF_PART[list(PART_OF_CHART)]
_REGIONS = 5

_HALF_OF_REGION = np.array([2, 0, 0, 0, 1])  # of the body: 0 upper, 1 lower; 2 = neither
_BINS = 6  # a channel: of lightness over its whole range, of a and b over the range that clothes have
_CHROMA_RANGE = (98, 158)  # in 8-bit Lab, where grey is 128

MEAN_SCALE = 64.0  # distance of mean colours, in 8-bit Lab, that makes likeness 0 by itself
HISTOGRAM_SCALE = 1.33  # the same of histograms, whose largest distance is 1

COLUMNS = _REGIONS * 4 + 2 * _BINS**3


def describe(prediction: FramePrediction, frame_rgb: np.ndarray) -> np.ndarray:
    """[N, COLUMNS] float64, the appearance of the people of one frame."""
    count, (rows, columns) = len(prediction.instances), prediction.grid.size
    lab = cv2.cvtColor(cv2.resize(frame_rgb, (columns, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    sites, owner = prediction.iuv.sites.cpu().numpy(), prediction.iuv.owner.cpu().numpy()
    region = _REGION_OF_CHART[prediction.iuv.logits[:, :NUM_CLASSES].argmax(1).cpu().numpy()]
    pixels = lab[sites[:, 1], sites[:, 2]].astype(np.int64)
    sums = [
        np.bincount(owner * _REGIONS + region, weight, count * _REGIONS) for weight in (region > 0, *pixels.T)
    ]  # sums of region 0 are not read

    low, high = _CHROMA_RANGE
    lightness, *chroma = pixels.T
    a, b = (((channel - low) * _BINS // (high - low)).clip(0, _BINS - 1) for channel in chroma)
    colour = (lightness * _BINS // 256 * _BINS + a) * _BINS + b
    half = _HALF_OF_REGION[region]
    histograms = np.bincount((owner * 3 + half) * _BINS**3 + colour, minlength=count * 3 * _BINS**3)
    histograms = histograms.reshape(count, 3, _BINS**3)[:, :2]
    means = np.stack(sums, 1).reshape(count, _REGIONS * 4)
    return np.concatenate([means, histograms.reshape(count, 2 * _BINS**3)], 1)


def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[K, N] of appearances [K, COLUMNS] and [N, COLUMNS]: 1 = the same colours; may be negative."""
    return 1 - _mean_distance(a, b) / MEAN_SCALE - _histogram_distance(a, b) / HISTOGRAM_SCALE


def _mean_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean in Lab, weighed by how much of a region both show."""

    def split(appearance):
        sums = appearance[:, : _REGIONS * 4].reshape(-1, _REGIONS, 4)
        return sums[..., 0], sums[..., 1:] / np.maximum(sums[..., :1], 1e-9)

    (a_shown, a_colour), (b_shown, b_colour) = split(a), split(b)
    shared = np.minimum(a_shown[:, None], b_shown)
    difference = np.linalg.norm(a_colour[:, None] - b_colour, axis=3)
    return (difference * shared).sum(2) / np.maximum(shared.sum(2), 1e-9)


def _histogram_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - Bhattacharyya's coefficient, weighed likewise; 0..1."""

    def split(appearance):
        bins = appearance[:, _REGIONS * 4 :].reshape(-1, 2, _BINS**3)
        shown = bins.sum(2)
        return shown, np.sqrt(bins / np.maximum(shown, 1e-9)[..., None])

    (a_shown, a_root), (b_shown, b_root) = split(a), split(b)
    shared = np.minimum(a_shown[:, None], b_shown)
    same = np.einsum("khc,nhc->knh", a_root, b_root)
    return ((1 - same) * shared).sum(2) / np.maximum(shared.sum(2), 1e-9)

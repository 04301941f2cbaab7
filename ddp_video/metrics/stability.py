"""How steady a dense-pose video is, measured over consecutive frames.

ITF (mean PSNR) and ISI (mean SSIM) compare pictures as they are, and so reward frozen output. The others follow the
optical flow of the source video, so that motion costs nothing: what is seen at a point of frame t is compared with what
is seen where the flow takes that point in frame s = t + 1.

Each accumulator takes the frames of a video one by one and keeps only the latest; what it gathers is two numbers a pair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ddp_video.decode import whose
from ddp_video.metrics.similarity import luma, psnr, ssim
from ddp_video.structures import UNTRACKED, FramePrediction
from ddp_video.temporal.warp import consistent

RESAMPLES = 1000  # of the bootstrap
CONFIDENCE = 0.95
CROFTON = np.pi / 4  # length of a contour per crossing of a square lattice of unit step, over all directions
MAX_LAG = 2  # frames
LAG_SIDE = 180  # px: charts are thinned to about this short side for the lag
LEAST_MOTION = 0.002  # share of person pixels: where shifts differ by less, there is nothing to tell a lag by


class Series:
    """A ratio gathered over a clip: sum of numerators / sum of denominators, one of each a pair of frames."""

    def __init__(self):
        self.numerators: list[float] = []
        self.denominators: list[float] = []

    def add(self, numerator: float, denominator: float = 1.0) -> None:
        self.numerators.append(float(numerator))
        self.denominators.append(float(denominator))

    @classmethod
    def joined(cls, series: Iterable[Series]) -> Series:
        """Those of several clips, one after the other."""
        out = cls()
        for one in series:
            out.numerators += one.numerators
            out.denominators += one.denominators
        return out

    @property
    def value(self) -> float:
        """NaN while nothing counts."""
        total = sum(self.denominators)
        return sum(self.numerators) / total if total else float("nan")

    @property
    def curve(self) -> np.ndarray:
        """[pairs] the ratio of each pair, NaN where nothing counts."""
        numerators, denominators = np.array(self.numerators), np.array(self.denominators)
        return np.divide(numerators, denominators, out=np.full(len(numerators), np.nan), where=denominators > 0)

    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `value`, by a circular block bootstrap over the pairs.

        Neighbouring pairs share a frame and a scene, so what is drawn is not pairs but runs of about the cube root of
        their number.
        """
        count = len(self.numerators)
        if not count or not sum(self.denominators):
            return float("nan"), float("nan")
        run = max(round(count ** (1 / 3)), 1)
        starts = np.random.default_rng(0).integers(count, size=(RESAMPLES, -(-count // run)))

        def resampled(values: list[float]) -> np.ndarray:
            prefix = np.concatenate([[0], np.cumsum(values + values[:run])])
            return (prefix[run:] - prefix[:-run])[starts].sum(1)

        numerators, denominators = resampled(self.numerators), resampled(self.denominators)
        drawn = numerators[denominators > 0] / denominators[denominators > 0]
        low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return float(low), float(high)


@dataclass(frozen=True)
class Correspondence:
    """Where points of frame t lie in frame s. The points are a lattice over the frame, one for each px of the flow.

    rows [h], columns [w]: the pixels of frame t. y, x: [h, w] float32 positions in frame s (a pixel's centre is a whole
    number). trusted: [h, w] bool, inside frame s and not occluded. step: (vertical, horizontal) px between points.
    """

    rows: np.ndarray
    columns: np.ndarray
    y: np.ndarray
    x: np.ndarray
    trusted: np.ndarray
    step: tuple[float, float]

    @classmethod
    def from_flow(cls, t_to_s: torch.Tensor, s_to_t: torch.Tensor, frame_size: tuple[int, int]) -> Correspondence:
        """t_to_s, s_to_t: [1, 2, h, w] px of a frame reduced to h x w; frame_size: (H, W)."""
        height, width = t_to_s.shape[2:]
        step_y, step_x = frame_size[0] / height, frame_size[1] / width
        rows = ((np.arange(height) + 0.5) * step_y).astype(np.int64)
        columns = ((np.arange(width) + 0.5) * step_x).astype(np.int64)
        dx, dy = t_to_s[0].numpy()
        y, x = rows[:, None] + dy * np.float32(step_y), columns + dx * np.float32(step_x)
        trusted = consistent(t_to_s, s_to_t, pixel_size=(step_y * step_x) ** 0.5)[0].numpy()
        trusted &= (y > -0.5) & (y < frame_size[0] - 0.5) & (x > -0.5) & (x < frame_size[1] - 0.5)
        return cls(rows, columns, y.astype(np.float32), x.astype(np.float32), trusted, (step_y, step_x))

    def of_t(self, picture: np.ndarray) -> np.ndarray:
        """Values [h, w, ...] of frame t's picture [H, W, ...] at the points."""
        return picture[self.rows[:, None], self.columns]

    def of_s(self, picture: np.ndarray) -> np.ndarray:
        """Values of frame s's picture at the pixels nearest to the points; whatever is nearest if outside."""
        y = np.rint(self.y).clip(0, picture.shape[0] - 1).astype(np.int64)
        x = np.rint(self.x).clip(0, picture.shape[1] - 1).astype(np.int64)
        return picture[y, x]


class PictureStability:
    """ITF and ISI of a video: mean PSNR (dB, capped at 100) and SSIM over consecutive frames; higher is steadier."""

    def __init__(self):
        self.psnr, self.ssim = Series(), Series()
        self.identical_pairs = 0
        self._previous: np.ndarray | None = None

    def push(self, rgb: np.ndarray) -> None:
        """The next frame, [H, W, 3] uint8."""
        current = luma(rgb)
        if self._previous is not None:
            self.psnr.add(psnr(self._previous, current))
            self.ssim.add(ssim(self._previous, current))
            self.identical_pairs += np.array_equal(self._previous, current)
        self._previous = current


class WarpStability:
    """E_warp of a video: mean squared difference of RGB (0..1) along the flow; lower is steadier."""

    def __init__(self):
        self.error = Series()
        self._previous: np.ndarray | None = None

    def push(self, rgb: np.ndarray, points: Correspondence | None) -> None:
        """The next frame and the points that lead to it; None for the first frame and after a cut."""
        if points is not None and self._previous is not None:
            warped = cv2.remap(rgb, points.x, points.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            difference = (points.of_t(self._previous).astype(np.float32) - warped)[points.trusted] / np.float32(255)
            self.error.add(float(np.square(difference).mean(1).sum()), len(difference))
        self._previous = rgb


class ChartStability:
    """What flickers in the dense pose itself. Pictures are those of `render.iuv`, (I, 255 U, 255 V).

    error: E_warp of IUV over points on a person in either frame: 1 where the chart (or being a person) changes, else
    (du^2 + dv^2) / 2. flips: share of points on a person in both frames whose chart changes. drift: mean distance in
    (u, v) of points that keep their chart. jitter: how far silhouettes move against the flow, px: the area between the
    silhouette and the warped one, per length of the outline. Of all, lower is steadier.
    """

    def __init__(self):
        self.error, self.flips, self.drift, self.jitter = Series(), Series(), Series(), Series()
        self._previous: np.ndarray | None = None

    def push(self, iuv: np.ndarray, points: Correspondence | None) -> None:
        """The next frame [H, W, 3] uint8 and the points that lead to it, or None."""
        if points is not None and self._previous is not None:
            self._compare(points, points.of_t(self._previous), points.of_s(iuv[..., 0]), iuv)
        self._previous = iuv

    def _compare(self, points: Correspondence, seen: np.ndarray, chart: np.ndarray, iuv: np.ndarray) -> None:
        before, after = seen[..., 0] > 0, chart > 0
        both = points.trusted & before & after
        kept = both & (seen[..., 0] == chart)
        squared = np.square(_read_chart(iuv, points.y[kept], points.x[kept], chart[kept]) - seen[kept, 1:] / 255.0).sum(
            1
        )
        either = int((points.trusted & (before | after)).sum())
        self.error.add(either - len(squared) + squared.sum() / 2, either)
        self.flips.add(both.sum() - len(squared), both.sum())
        self.drift.add(np.sqrt(squared).sum(), len(squared))
        self.jitter.add(
            (points.trusted & (before != after)).sum() * points.step[0] * points.step[1], _outline(before, points)
        )


def _read_chart(iuv: np.ndarray, y: np.ndarray, x: np.ndarray, chart: np.ndarray) -> np.ndarray:
    """[N, 2] u and v at N positions, bilinear over those of the four pixels around each that lie on its chart."""
    height, width = iuv.shape[:2]
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    total, weight = np.zeros((len(y), 2)), np.zeros(len(y))
    for row, row_weight in ((top, top + 1 - y), (top + 1, y - top)):
        for column, column_weight in ((left, left + 1 - x), (left + 1, x - left)):
            pixel = iuv[row.clip(0, height - 1), column.clip(0, width - 1)]
            share = row_weight * column_weight * (pixel[:, 0] == chart)
            total += pixel[:, 1:] * share[:, None]
            weight += share
    return total / (255 * weight)[:, None]


def _outline(inside: np.ndarray, points: Correspondence) -> float:
    """Length of a silhouette's outline, px, from its crossings with the lattice's lines."""
    across = (inside[:, 1:] != inside[:, :-1]) & points.trusted[:, 1:] & points.trusted[:, :-1]
    down = (inside[1:] != inside[:-1]) & points.trusted[1:] & points.trusted[:-1]
    return CROFTON * (across.sum() * points.step[0] + down.sum() * points.step[1])


class IdentitySwitches:
    """How often people change their track_id: most of a person's points are somebody else's one frame later.

    From frame to frame one identity goes on as one other at most, the pairs that share most points in all. So a mask that
    swallows two people who cross is no switch, nor is one who comes out of it with his own identity. Without labels this
    tells continuity, and not whose identity it is: it never sees that two came out of a crossing with each other's. Where
    there are labels, `stability.truth.FollowedPeople` tells.
    """

    def __init__(self):
        self.count = 0
        self._previous: np.ndarray | None = None

    def push(self, prediction: FramePrediction, points: Correspondence | None) -> None:
        """The next frame's people and the points that lead to it, or None."""
        current = identity_map(prediction)
        if points is not None and self._previous is not None:
            per_cell = prediction.grid.pixels_per_cell
            before = _at_cells(self._previous, points.rows[:, None], points.columns, per_cell)
            after = _at_cells(current, points.y, points.x, per_cell)
            seen = points.trusted & (before != UNTRACKED) & (after != UNTRACKED)
            old, old_row = np.unique(before[seen], return_inverse=True)
            new, new_row = np.unique(after[seen], return_inverse=True)
            shared = np.zeros((len(old), len(new)), np.int64)
            np.add.at(shared, (old_row, new_row), 1)
            row, column = linear_sum_assignment(shared, maximize=True)
            most = 2 * shared[row, column] > shared.sum(1)[row]
            self.count += int((most & (old[row] != new[column])).sum())
        self._previous = current


def identity_map(prediction: FramePrediction) -> np.ndarray:
    """[rows, columns] int64 track_id of whom each cell belongs to, as in `decode`; UNTRACKED where nobody."""
    people = prediction.instances
    identities = torch.cat([people.track_id, torch.tensor([UNTRACKED])])  # -1, nobody, reads the last
    return identities[whose(people.mask_logits, people.scores)].numpy()


def _at_cells(cells: np.ndarray, y: np.ndarray, x: np.ndarray, pixels_per_cell: tuple[float, float]) -> np.ndarray:
    """Values of the grid's cells that hold the given pixel positions, broadcast."""
    row = ((y + 0.5) / pixels_per_cell[0]).astype(np.int64).clip(0, cells.shape[0] - 1)
    column = ((x + 0.5) / pixels_per_cell[1]).astype(np.int64).clip(0, cells.shape[1] - 1)
    return cells[row, column]


class Lag:
    """How far a smoothed video trails the unsmoothed one, by their charts.

    difference[k] is the share of person pixels whose chart differs between the smoothed frame t and the unsmoothed frame
    t + k, for k = -2..2. `changed` is its value at k = 0: how much smoothing altered. `frames` is the shift at which the
    two agree best, positive where the smoothed video trails: 0 is what smoothing should leave.
    """

    def __init__(self):
        self.difference = {shift: Series() for shift in range(-MAX_LAG, MAX_LAG + 1)}
        self._unsmoothed: deque[np.ndarray] = deque(maxlen=2 * MAX_LAG + 1)
        self._smoothed: deque[np.ndarray] = deque(maxlen=MAX_LAG + 1)

    @classmethod
    def joined(cls, lags: Sequence[Lag]) -> Lag:
        """Of several clips."""
        out = cls()
        out.difference = {shift: Series.joined([lag.difference[shift] for lag in lags]) for shift in out.difference}
        return out

    def push(self, unsmoothed_iuv: np.ndarray, iuv: np.ndarray) -> None:
        """The next frame of both, [H, W, 3] uint8."""
        thin = max(min(iuv.shape[:2]) // LAG_SIDE, 1)
        self._unsmoothed.append(unsmoothed_iuv[::thin, ::thin, 0].copy())
        self._smoothed.append(iuv[::thin, ::thin, 0].copy())
        if len(self._unsmoothed) == 2 * MAX_LAG + 1:
            for shift, series in self.difference.items():
                first, second = self._unsmoothed[MAX_LAG + shift], self._smoothed[0]
                person = (first | second) > 0
                series.add((first != second).sum(), person.sum())

    @property
    def changed(self) -> float:
        return self.difference[0].value

    @property
    def frames(self) -> float:
        """NaN where too little moves to tell."""
        values = np.array([series.value for series in self.difference.values()])
        if not np.isfinite(values).all() or values.max() - values.min() < LEAST_MOTION:
            return float("nan")
        best = int(values.argmin())
        if not 0 < best < 2 * MAX_LAG:
            return float(MAX_LAG - best)
        before, least, after = values[best - 1 : best + 2]
        vertex = (before - after) / (2 * (before - 2 * least + after))  # of the parabola through the three
        return float(MAX_LAG - best - vertex)

"""Stability measures on clips whose answers are known."""

import math

import numpy as np
import pytest
import torch

from ddp_video.metrics.stability import (
    ChartStability,
    Correspondence,
    IdentitySwitches,
    Lag,
    PictureStability,
    Series,
    WarpStability,
    identity_map,
)
from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV

SIZE = (60, 80)


def shift(dx, dy, size=SIZE, scale=1):
    """Points of a constant motion, on a lattice `scale` times coarser than the frame."""
    flow = torch.zeros(1, 2, size[0] // scale, size[1] // scale)
    flow[:, 0], flow[:, 1] = dx / scale, dy / scale
    return Correspondence.from_flow(flow, -flow, size)


def body(left=20.0, top=15.0, charts=(1, 2), size=SIZE, width=24, height=30):
    """A rectangle of two charts with u and v rising across each, as in an IUV picture."""
    y, x = np.mgrid[: size[0], : size[1]]
    inside = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    chart = np.where(x < left + width / 2, charts[0], charts[1])
    u, v = ((x - left) % (width / 2)) / (width / 2), (y - top) / height
    picture = np.stack([chart, 255 * u, 255 * v], -1).round().clip(0, 255)
    return (picture * inside[..., None]).astype(np.uint8)


def pushed(accumulator, *pairs):
    for picture, points in pairs:
        accumulator.push(picture, points)
    return accumulator


def test_still_video_is_perfectly_steady():
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    pictures = PictureStability()
    for _ in range(3):
        pictures.push(frame)
    assert pictures.psnr.value == 100 and pictures.ssim.value == pytest.approx(1) and pictures.identical_pairs == 2
    still = shift(0, 0)
    assert pushed(WarpStability(), (frame, None), (frame, still)).error.value == 0
    charts = pushed(ChartStability(), (body(), None), (body(), still))
    assert (charts.error.value, charts.flips.value, charts.drift.value, charts.jitter.value) == (0, 0, 0, 0)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (-2, 6)])
def test_motion_costs_nothing(dx, dy, scale):
    points = shift(dx, dy, scale=scale)
    before, after = body(20, 15), body(20 + dx, 15 + dy)
    assert pushed(WarpStability(), (before, None), (after, points)).error.value < 1e-9
    charts = pushed(ChartStability(), (before, None), (after, points))
    assert charts.flips.value == 0 and charts.drift.value < 1e-9 and charts.jitter.value == 0
    unfollowed = pushed(ChartStability(), (before, None), (after, shift(0, 0)))
    assert unfollowed.drift.value > 0.1 and unfollowed.jitter.value > 0.5


def test_half_a_pixel_is_interpolated_within_the_chart():
    ramp = np.zeros((40, 60, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = 3, np.arange(60) * 4
    ramp[:, 30:, 0] = 9
    points = shift(0.5, 0, size=(40, 60))
    charts = pushed(ChartStability(), (ramp, None), (ramp, points))
    # u rises by 4 / 255 a px: half of it inside a chart, nothing where the neighbour to the right is another chart
    assert charts.drift.value == pytest.approx(2 / 255, rel=0.05)


def test_flips_drift_and_error_by_hand():
    before, after = body(charts=(1, 2)), body(charts=(1, 5))
    charts = pushed(ChartStability(), (before, None), (after, shift(0, 0)))
    assert charts.flips.value == pytest.approx(0.5) and charts.drift.value == 0
    assert charts.error.value == pytest.approx(0.5)
    moved = before.copy()
    moved[..., 1] = np.where(before[..., 0] > 0, np.minimum(before[..., 1].astype(int) + 25, 255), 0)
    charts = pushed(ChartStability(), (before, None), (moved, shift(0, 0)))
    du = (moved[..., 1].astype(float) - before[..., 1])[before[..., 0] > 0] / 255
    assert charts.drift.value == pytest.approx(du.mean()) and charts.error.value == pytest.approx((du**2).mean() / 2)


@pytest.mark.parametrize("grow", [1, 3])
def test_jitter_is_how_far_the_outline_moves(grow):
    y, x = np.mgrid[:200, :200]

    def disc(radius):
        inside = (x - 100) ** 2 + (y - 100) ** 2 < radius**2
        return np.repeat(inside[..., None], 3, axis=2).astype(np.uint8)

    for scale in (1, 2):
        points = shift(0, 0, size=(200, 200), scale=scale)
        charts = pushed(ChartStability(), (disc(60), None), (disc(60 + grow), points))
        assert charts.jitter.value == pytest.approx(grow, rel=0.12)


def test_occluded_and_outside_points_do_not_count():
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0, :, :40] = 9  # the way back says 0: inconsistent
    points = Correspondence.from_flow(flow, torch.zeros_like(flow), SIZE)
    assert not points.trusted[:, :31].any() and points.trusted[:, 41:].all()
    assert not shift(5, 0).trusted[:, -5:].any()
    nothing = pushed(ChartStability(), (body(), None), (body(), shift(200, 0)))
    assert math.isnan(nothing.flips.value) and nothing.jitter.value != nothing.jitter.value


def test_cuts_and_first_frames_are_not_compared():
    charts = pushed(ChartStability(), (body(), None), (body(40), None), (body(40), shift(0, 0)))
    assert len(charts.flips.numerators) == 1 and charts.flips.value == 0


def people(lefts, ids, size=(64, 96), cells=5):
    grid = Grid(size, size)
    masks = torch.full((len(ids), *grid.size), -3.0)
    for mask, left in zip(masks, lefts, strict=True):
        mask[4:12, left // 4 : left // 4 + cells] = 3
    instances = Instances(
        torch.zeros(len(ids), 4), torch.full((len(ids),), 0.9), masks, masks, torch.tensor(ids).long()
    )
    return FramePrediction(0, 0, 0.0, grid, instances, SparseIUV.empty())


def test_identity_switches():
    points = shift(8, 0, size=(64, 96))
    kept = pushed(IdentitySwitches(), (people([8, 48], [1, 2]), None), (people([16, 56], [1, 2]), points))
    assert kept.count == 0
    swapped = pushed(IdentitySwitches(), (people([8, 48], [1, 2]), None), (people([16, 56], [2, 1]), points))
    assert swapped.count == 2
    renamed = pushed(IdentitySwitches(), (people([8, 48], [1, 2]), None), (people([16, 56], [1, 7]), points))
    assert renamed.count == 1
    gone = pushed(IdentitySwitches(), (people([8, 48], [1, 2]), None), (people([16], [1]), points))
    assert gone.count == 0
    nobody = pushed(IdentitySwitches(), (people([], []), None), (people([16], [1]), points))
    assert nobody.count == 0 and (identity_map(people([], [])) == -1).all()


def test_a_mask_that_swallows_two_people_is_no_switch():
    points = shift(0, 0, size=(64, 96))
    apart, one = people([8, 28], [1, 2]), people([8], [1], cells=10)
    crossing = pushed(IdentitySwitches(), (apart, None), (one, points), (apart, points))
    assert crossing.count == 0
    exchanged = pushed(IdentitySwitches(), (apart, None), (one, points), (people([8, 28], [7, 8]), points))
    assert exchanged.count == 0  # nobody can tell: half of the one's points are either's
    renamed = pushed(IdentitySwitches(), (apart, None), (people([8], [7], cells=10), points))
    assert renamed.count == 1


@pytest.mark.parametrize("delay", [0, 1, 0.5, -1])
def test_lag_is_found(delay):
    lag = Lag()
    for t in range(12):
        lag.push(body(10 + 2 * t), body(10 + 2 * (t - delay)))
    assert lag.frames == pytest.approx(delay, abs=0.1)
    assert (lag.changed == 0) == (delay == 0)


def test_lag_of_a_still_or_short_clip_is_unknown():
    lag = Lag()
    for _ in range(8):
        lag.push(body(), body())
    assert math.isnan(lag.frames) and lag.changed == 0
    assert math.isnan(Lag().frames) and math.isnan(Lag().changed)


def test_series_value_curve_and_interval():
    series = Series()
    assert math.isnan(series.value) and all(math.isnan(end) for end in series.interval()) and not len(series.curve)
    generator = np.random.default_rng(3)
    for value in generator.normal(5, 2, 900):
        series.add(value * 10, 10)
    series.add(0, 0)
    low, high = series.interval()
    assert low < series.value < high
    assert high - low == pytest.approx(2 * 1.96 * 2 / 30, rel=0.2)  # independent pairs: the textbook interval
    assert math.isnan(series.curve[-1]) and np.isfinite(series.curve[:-1]).all()
    one = Series()
    one.add(3)
    assert one.interval() == (3, 3)

"""What must be in the pictures: line positions and widths, channel orders, colours that others read."""

import importlib

import cv2
import numpy as np
import pytest
import torch

from ddp_video.charts import NUM_CHARTS
from ddp_video.render import STYLES, RenderOptions
from ddp_video.render.instances import identity_colours, instances
from ddp_video.render.isocontour import isocontour
from ddp_video.render.iuv import iuv, read_iuv
from ddp_video.render.parts import parts
from ddp_video.structures import UNTRACKED, DensePose, FramePrediction, Grid, Instances, SparseIUV


def pose_of(part, u, v, instance=None):
    part = np.asarray(part, np.uint8)
    uv = np.stack([np.broadcast_to(np.asarray(c, np.float32), part.shape) for c in (u, v)])
    instance = (part > 0) if instance is None else instance
    return DensePose(*map(torch.from_numpy, (part, uv * (part > 0), np.asarray(instance, np.int32))))


def ramp(width, height=6, part=1):
    """u rises from 0 to 1 over the width of one chart; v is constant, between two levels."""
    return pose_of(np.full((height, width), part), (np.arange(width) + 0.5) / width, 0.5)


def nothing(size):
    return pose_of(np.zeros(size), 0, 0)


def prediction_of(size, track_ids=()):
    count, grid = len(track_ids), Grid(size, size)
    masks = torch.zeros(count, *grid.size)
    people = Instances(torch.zeros(count, 4), torch.ones(count), masks, masks, torch.tensor(track_ids).long())
    return FramePrediction(0, 0, 0.0, grid, people, SparseIUV.empty())


@pytest.mark.parametrize("length", [200, 517])
@pytest.mark.parametrize("width", [1.0, 2.5])
def test_lines_lie_on_their_levels_and_keep_their_width(length, width, monkeypatch):
    module = importlib.import_module("ddp_video.render.isocontour")
    monkeypatch.setattr(module, "palette", lambda *_: np.full((10, 4), 255, np.float32))
    coverage = isocontour(None, ramp(length, height=7), lines=10, width=width)[3, 2:-2, 0] / 255  # off the outline
    at = np.arange(2, length - 2) + 0.5
    for level in (np.arange(10) + 0.5) / 10 * length:
        near = coverage * (np.abs(at - level) < length / 20)
        assert abs(near.sum() - width) < 0.02
        assert abs((near * at).sum() / near.sum() - level) < 0.05


def test_line_count_and_dense_lines_fade():
    assert isocontour(None, ramp(400), lines=3).max(2)[3, 2:-2].any()
    sparse, dense = (isocontour(None, ramp(400), lines=n)[3, 2:-2].max(1) for n in (4, 200))
    runs = np.count_nonzero(np.diff((sparse > 40).astype(int)) == 1)
    assert runs == 4
    assert dense.mean() < 0.6 * 255  # lines closer than their width never fill the chart


def test_no_line_crosses_a_seam():
    part = np.full((20, 40), 1)
    part[:, 20:] = 2
    u = np.where(part == 1, 0.12, 0.92)  # six levels would lie on the jump, none in the charts
    picture = isocontour(None, pose_of(part, u, 0.5))
    assert (picture[..., 0] == picture[..., 1]).all() and (picture[..., 1] == picture[..., 2]).all()  # outline only
    assert picture[10, 19:21].min() > 0 and not picture[5:15, 5:15].any()
    two_people = pose_of(np.ones((20, 40)), u, 0.5, instance=part)
    assert np.array_equal(isocontour(None, two_people), picture)


def test_frame_is_dimmed_and_left_alone():
    frame = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    before = frame.copy()
    picture = isocontour(frame, nothing((8, 9)))
    assert np.array_equal(frame, before)
    assert np.array_equal(picture, cv2.convertScaleAbs(frame, alpha=0.35))


def test_isocontour_refuses_no_lines():
    with pytest.raises(ValueError, match="line"):
        isocontour(None, ramp(10), lines=0)


def test_iuv_can_be_read_back_and_reversed():
    generator = np.random.default_rng(1)
    pose = pose_of(generator.integers(0, NUM_CHARTS + 1, (30, 41)), *generator.random((2, 30, 41), np.float32))
    picture = iuv(pose)
    part, uv = read_iuv(picture)
    assert np.array_equal(part, pose.part.numpy())
    assert np.abs(uv - pose.uv.numpy()).max() <= 1 / 510 + 1e-6
    assert np.array_equal(iuv(pose, "bgr"), picture[..., ::-1])
    with pytest.raises(ValueError, match="channel order"):
        iuv(pose, "gbr")


def test_legacy_order_is_what_opencv_reads(tmp_path):
    pose = pose_of([[7]], 1.0, 0.2)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(iuv(pose, "bgr"), cv2.COLOR_RGB2BGR))
    assert cv2.imread(str(tmp_path / "a.png"))[0, 0].tolist() == [7, 255, 51]


def test_parts_are_detectron2s_segmentation_colours():
    every = parts(pose_of(np.arange(NUM_CHARTS + 1)[None], 0, 0))[0]
    assert every[0].tolist() == [68, 1, 84] and every[24].tolist() == [253, 231, 37]  # VIRIDIS' published ends
    for chart in range(NUM_CHARTS + 1):
        scaled = np.clip(np.float32(chart) * np.float32(255.0 / 24), 0, 255).astype(np.uint8)
        bgr = cv2.applyColorMap(np.array([[scaled]], np.uint8), cv2.COLORMAP_VIRIDIS)[0, 0]
        assert every[chart].tolist() == bgr[::-1].tolist()
    assert len({tuple(c) for c in every.tolist()}) == NUM_CHARTS + 1


def test_identity_alone_decides_the_colour():
    colours = identity_colours(np.arange(40)).astype(int)
    assert np.array_equal(identity_colours(np.array([7, 3, 39])), colours[[7, 3, 39]])
    distance = np.abs(colours[:, None] - colours[None]).max(-1) + 255 * np.eye(40, dtype=int)
    assert distance.min() > 0 and distance[:20, :20].min() >= 12 and distance[:8, :8].min() >= 25


def test_instances_tint_and_outline():
    frame = np.full((20, 20, 3), 100, np.uint8)
    owner = np.zeros((20, 20), int)
    owner[5:15, 5:15] = 1
    pose = pose_of(np.zeros((20, 20)), 0, 0, instance=owner)
    picture = instances(frame, pose, np.array([4]))
    colour = identity_colours(np.array([4]))[0]
    assert (picture[owner == 0] == 100).all()
    assert (picture[5, 5:15] == colour).all()
    assert (picture[10, 10] != colour).any() and (picture[10, 10] != 100).any()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("background", ["frame", "black"])
def test_every_style_draws_anything(style, background):
    options = RenderOptions(background=background)
    for size in ((1, 1), (5, 3)):
        frame = np.full((*size, 3), 200, np.uint8)
        one = pose_of(np.full(size, 3), 0.4, 0.6)
        for pose, ids in ((nothing(size), ()), (one, (UNTRACKED,)), (one, (12,))):
            picture = STYLES[style](frame, pose, prediction_of(size, ids), options)
            assert picture.shape == (*size, 3) and picture.dtype == np.uint8
            assert (frame == 200).all()
            if not STYLES[style].needs_frame(options):
                assert np.array_equal(picture, STYLES[style](None, pose, prediction_of(size, ids), options))


def test_options_are_checked():
    for wrong in ({"lines": 0}, {"width": 0}, {"background": "white"}, {"order": "hsv"}):
        with pytest.raises(ValueError):
            RenderOptions(**wrong)

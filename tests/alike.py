"""Runs that were stopped, and whether two runs came out alike."""

import os
import sys
from dataclasses import fields

import numpy as np
import torch

from ddp_video.pictures import PictureSettings
from ddp_video.video import VideoReader

IUV_ONLY = PictureSettings(styles=("iuv",))


def pictures_of(path):
    return [(frame.pts_seconds, frame.rgb) for frame in VideoReader(path)]


def assert_same_predictions(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.index, a.pts, a.pts_seconds, a.grid) == (b.index, b.pts, b.pts_seconds, b.grid)
        for part in ("instances", "iuv"):
            for field in fields(getattr(a, part)):
                assert torch.equal(getattr(getattr(a, part), field.name), getattr(getattr(b, part), field.name)), (
                    field.name
                )


def assert_same_pictures(one, other):
    for (time, picture), (other_time, other_picture) in zip(pictures_of(one), pictures_of(other), strict=True):
        assert time == other_time
        assert np.array_equal(picture, other_picture)


class Stopped(Exception):
    pass


def stop_at(frame):
    def progress(done, _):
        if done == frame:
            raise Stopped

    return progress


def child_environment() -> dict[str, str]:
    """For processes that a test starts: they import what the test can."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

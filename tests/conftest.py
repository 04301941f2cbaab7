"""Fixtures that several rooms' tests use."""

import pytest
from discs import moving_discs, write_video


@pytest.fixture
def disc_video(tmp_path):
    """40 frames at a variable rate with two moving discs."""
    return write_video(tmp_path / "discs.mkv", moving_discs(40))

"""Submanifold convolution on the active sites of a 2-D grid (paper section 3.4), one backend a file."""

from ddp_video.sparse.convolution import BACKENDS, submanifold_conv
from ddp_video.sparse.sites import ActiveSites

__all__ = ["BACKENDS", "ActiveSites", "submanifold_conv"]

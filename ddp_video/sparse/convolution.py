"""Submanifold 3x3 convolution: outputs at the active sites only, inactive inputs count as zero (Graham et al.)."""

from __future__ import annotations

from torch import Tensor

from ddp_video.sparse.dense_backend import dense_conv
from ddp_video.sparse.sites import ActiveSites
from ddp_video.sparse.spconv_backend import spconv_conv
from ddp_video.sparse.torch_backend import gather_conv

BACKENDS = {"torch": gather_conv, "dense": dense_conv, "spconv": spconv_conv}


def submanifold_conv(
    features: Tensor, weight: Tensor, bias: Tensor | None, active: ActiveSites, backend: str = "torch"
) -> Tensor:
    """Equal to conv2d (padding 1) of the map that is zero off the sites, read at the sites.

    Args:
        features: [M, C_in], one row a site.
        weight: [C_out, C_in, 3, 3]; bias: [C_out] or None. Both are brought to the features' dtype.
        backend: 'torch' runs everywhere; 'dense' is the reference, and the faster one when nearly all cells are
            active; 'spconv' needs CUDA and the spconv package.
    Returns:
        [M, C_out] of the features' dtype.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown sparse backend {backend!r}, needed one of {', '.join(BACKENDS)}")
    if features.ndim != 2 or len(features) != len(active):
        raise ValueError(f"features must be [{len(active)},C], one row a site, got {list(features.shape)}")
    if tuple(weight.shape[1:]) != (features.shape[1], 3, 3):
        raise ValueError(f"weight must be [C_out,{features.shape[1]},3,3], got {list(weight.shape)}")
    weight = weight.to(features.dtype)
    bias = None if bias is None else bias.to(features.dtype)
    return BACKENDS[backend](features, weight, bias, active)

"""spconv's CUDA kernels (extra `spconv`).

On CPU spconv 2.3 gives wrong values as soon as it has more than one thread, so CPU tensors are refused.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddp_video.sparse.sites import ActiveSites


def spconv_conv(features: Tensor, weight: Tensor, bias: Tensor | None, active: ActiveSites) -> Tensor:
    if not features.is_cuda:
        raise ValueError("the spconv backend needs CUDA tensors; use the 'torch' backend on this device")
    return _run(features, weight, bias, active)


def _run(features: Tensor, weight: Tensor, bias: Tensor | None, active: ActiveSites) -> Tensor:
    try:
        import spconv.pytorch as spconv
    except ImportError as error:
        raise ValueError("the spconv backend needs the package spconv: pip install 'ddp-video[spconv]'") from error
    batch, height, width = active.size
    with torch.device("meta"):  # only its code is used: the weights come from our own layer
        layer = spconv.SubMConv2d(weight.shape[1], weight.shape[0], 3, bias=bias is not None, indice_key="active")
    tensor = spconv.SparseConvTensor(
        features, active.sites.int().contiguous(), (height, width), batch, indice_dict=active.spconv_pairs
    )
    parameters = {"weight": weight.permute(0, 2, 3, 1).contiguous()}  # spconv's layout is [out, kh, kw, in]
    if bias is not None:
        parameters["bias"] = bias
    return torch.func.functional_call(layer, parameters, (tensor,)).features

"""The backend for every machine: gather each site's nine neighbours, one matmul, in chunks that stay in cache."""

from __future__ import annotations

import torch
from torch import Tensor

from ddp_video.sparse.sites import ActiveSites

# Bytes of gathered neighbourhoods at a time and thread: about what a core's second-level cache holds.
CHUNK_BYTES = 1 << 20


def gather_conv(features: Tensor, weight: Tensor, bias: Tensor | None, active: ActiveSites) -> Tensor:
    return _GatherConv.apply(features, weight, bias, active.neighbours)


class _GatherConv(torch.autograd.Function):
    """Saves the features alone: neighbourhoods are gathered again in backward. No scatter anywhere, hence no races."""

    @staticmethod
    def forward(ctx, features, weight, bias, neighbours):
        ctx.save_for_backward(features, weight, neighbours)
        ctx.has_bias = bias is not None
        # [C_out, 9 C_in], columns ordered (tap, channel) as the gathered neighbourhoods are.
        return _convolve(features, weight.permute(0, 2, 3, 1).flatten(1), bias, neighbours)

    @staticmethod
    def backward(ctx, grad):
        features, weight, neighbours = ctx.saved_tensors
        grad = grad.contiguous()
        grad_features = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            # If a is tap k of b then b is tap 8-k of a: the transposed convolution is one with the kernel turned.
            grad_features = _convolve(grad, weight.flip(2, 3).permute(1, 2, 3, 0).flatten(1), None, neighbours)
        if ctx.needs_input_grad[1]:
            c_out, c_in = weight.shape[:2]
            total = torch.zeros(9 * c_in, c_out, dtype=torch.float32, device=grad.device)
            for patches, rows in _neighbourhoods(features, neighbours):
                total += patches.T @ grad[rows]
            grad_weight = total.view(3, 3, c_in, c_out).permute(3, 2, 0, 1).to(weight.dtype)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad.sum(0)
        return grad_features, grad_weight, grad_bias, None


def _convolve(features: Tensor, matrix: Tensor, bias: Tensor | None, neighbours: Tensor) -> Tensor:
    """matrix: [C_out, 9 C_in]."""
    out = features.new_empty(len(features), len(matrix))
    onednn = _is_onednn_faster(features)
    for patches, rows in _neighbourhoods(features, neighbours):
        if onednn:
            out[rows] = torch.ops.mkldnn._linear_pointwise(patches, matrix, bias, "none", [], "")
        elif bias is None:
            torch.mm(patches, matrix.T, out=out[rows])
        else:
            torch.addmm(bias, patches, matrix.T, out=out[rows])
    return out


def _is_onednn_faster(features: Tensor) -> bool:
    """PyTorch multiplies float32 matrices with MKL, which on AMD's processors runs at half the speed of oneDNN."""
    return (
        features.dtype == torch.float32
        and features.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # not promised to stay
    )


def _neighbourhoods(features: Tensor, neighbours: Tensor):
    """Yields ([R, 9 C] values under the nine taps, the R rows as a slice) until all sites are done."""
    count, channels = features.shape
    padded = torch.cat([features, features.new_zeros(1, channels)])  # the row that stands for inactive cells
    step = max(64, CHUNK_BYTES * torch.get_num_threads() // (9 * channels * features.element_size()))
    if features.is_cuda:
        step = max(count, 1)
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        patches = padded.index_select(0, neighbours[rows].reshape(-1))
        yield patches.view(-1, 9 * channels), rows

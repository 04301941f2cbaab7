"""Depthwise convolution with a fast gradient on CPU.

oneDNN has fast depthwise kernels forward, but falls back to reference loops for the weight gradient of 5x5 kernels and,
in bfloat16, for the input gradient of strided ones: measured on EfficientNet-Lite0 they took more than half of a whole
training step. Both are rewritten here in terms of convolutions that it does run fast.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn


def replace_depthwise(module: nn.Module) -> None:
    """Put a DepthwiseConv2d in the place of every depthwise convolution inside `module`."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.groups == child.in_channels > 1 and child.bias is None:
            setattr(module, name, DepthwiseConv2d(child))
        else:
            replace_depthwise(child)


class DepthwiseConv2d(nn.Module):
    """Takes the place of a depthwise convolution without bias, with its weight and its padding rule.

    Input sides must be multiples of the stride. Padding is k // 2 all around; for TensorFlow's 'SAME' (timm's
    Conv2dSame) with stride 2 it is one less at the left and top.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.weight = conv.weight
        self.bias = None  # given by batch normalisation when it is folded in, for inference only
        self.stride = conv.stride[0]
        self.groups = conv.groups
        self.padding = padding_of(conv)

    def forward(self, x: Tensor) -> Tensor:
        before, after = self.padding
        if before != after:
            x, before = F.pad(x, (before, after, before, after)), 0
        training = torch.is_grad_enabled() and self.weight.requires_grad and self.bias is None
        if x.device.type != "cpu" or not training:
            return F.conv2d(x, self.weight, self.bias, self.stride, before, groups=self.groups)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        return _DepthwiseConv.apply(x, weight, self.stride, before)


def padding_of(conv: nn.Conv2d | DepthwiseConv2d) -> tuple[int, int]:
    """Rows and columns of zeros before and after a map whose sides are multiples of the stride."""
    if isinstance(conv, DepthwiseConv2d):
        return conv.padding
    if isinstance(conv, Conv2dSame):
        after = conv.kernel_size[0] // 2
        return (after - 1 if conv.stride[0] == 2 else after), after
    return conv.padding[0], conv.padding[0]


class _DepthwiseConv(torch.autograd.Function):
    """Its weight is trained: the gradient of it is always wanted, that of the input not below frozen stages."""

    @staticmethod
    def forward(ctx, x, weight, stride, padding):
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        gradients = _by_phases if ctx.stride == 2 else _at_stride_one
        return *gradients(grad, x, weight, ctx.padding, ctx.needs_input_grad[0]), None, None


def _by_phases(grad: Tensor, x: Tensor, weight: Tensor, padding: int, of_input: bool):
    """Stride 2 as four convolutions of stride 1: even or odd rows and columns meet even or odd taps only."""
    kernel = weight.shape[-1]
    reach = (kernel + 1) // 2  # taps of a phase along a side; where the kernel has one less, it is zero
    height, width = (2 * (n + reach - 1) for n in grad.shape[2:])
    padded = F.pad(x, (padding, width - padding - x.shape[3], padding, height - padding - x.shape[2]))
    taps = F.pad(weight, (0, 2 * reach - kernel) * 2)
    grad_padded = torch.empty_like(padded) if of_input else None
    grad_taps = torch.empty_like(taps)
    for i in (0, 1):
        for j in (0, 1):
            phase = (..., slice(i, None, 2), slice(j, None, 2))
            part = padded[phase].contiguous(memory_format=torch.channels_last)
            grad_part, grad_taps_part = _at_stride_one(grad, part, taps[phase], 0, of_input)
            grad_taps[phase] = grad_taps_part
            if of_input:
                grad_padded[phase] = grad_part
    grad_x = grad_padded[..., padding : padding + x.shape[2], padding : padding + x.shape[3]] if of_input else None
    return grad_x, grad_taps[..., :kernel, :kernel]


def _at_stride_one(grad: Tensor, x: Tensor, weight: Tensor, padding: int, of_input: bool):
    if weight.shape[-1] <= 3:
        return _gradients(grad, x, weight, padding, (of_input, True))
    grad_x = _gradients(grad, x, weight, padding, (True, False))[0] if of_input else None
    return grad_x, _weight_gradient(grad, x, weight, padding)


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The k x k gradient from 3x3 windows of its taps, each the gradient of a 3x3 convolution of a shifted input."""
    x = F.pad(x, (padding,) * 4)
    height, width = (n + 2 for n in grad.shape[2:])
    window = weight.new_empty(len(weight), 1, 3, 3).to(memory_format=torch.channels_last)
    out = torch.empty_like(weight)
    for top in range(0, weight.shape[-1] - 2, 2):
        for left in range(0, weight.shape[-1] - 2, 2):
            part = x[:, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
            out[..., top : top + 3, left : left + 3] = _gradients(grad, part, window, 0, (False, True))[1]
    return out


def _gradients(grad: Tensor, x: Tensor, weight: Tensor, padding: int, wanted: tuple[bool, bool]):
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, (1, 1), (padding,) * 2, (1, 1), False, (0, 0), len(weight), (*wanted, False)
    )
    return grad_x, grad_weight

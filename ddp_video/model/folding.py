"""Convolutions that do what follows them as well: BatchNorm folded in everywhere, activations by oneDNN on the CPU.

For inference only. A convolution of a mobile network leaves large maps behind that BatchNorm and ReLU6 would each read and write
again, and TensorFlow's padding would copy once more: together a quarter of EfficientNet-Lite0's time.
"""

from __future__ import annotations

import platform
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddp_video.model.depthwise import DepthwiseConv2d, padding_of

# Names and arguments by which oneDNN knows what may follow a convolution.
_ACTIVATIONS = {nn.Identity: ("none", []), nn.ReLU: ("relu", []), nn.ReLU6: ("hardtanh", [0.0, 6.0])}


class FusedConv2d(nn.Module):
    """A convolution and the activation after it in one pass over the maps, equal to both, on the CPU.

    Where less is padded before than after (TensorFlow's 'SAME'), the kernel gets taps of zero in front instead.
    """

    def __init__(self, conv: nn.Conv2d | DepthwiseConv2d, activation: nn.Module):
        super().__init__()
        before, self.padding = padding_of(conv)
        self.weight = nn.Parameter(F.pad(conv.weight.detach(), (self.padding - before, 0) * 2), requires_grad=False)
        self.bias = nn.Parameter(conv.bias.detach(), requires_grad=False)
        self.stride, self.groups, self.activation = _pair(conv.stride)[0], conv.groups, activation

    def forward(self, x: Tensor) -> Tensor:
        dtype = self.weight.dtype
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), self.weight.to(dtype), self.bias.to(dtype)
        if not _has_kernels(dtype):
            return self.activation(F.conv2d(x, weight, bias, self.stride, self.padding, groups=self.groups))
        stride, padding, what = (self.stride,) * 2, (self.padding,) * 2, _ACTIVATIONS[type(self.activation)]
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, padding, stride, (1, 1), self.groups, *what, "")


@torch.no_grad()
def fold(module: nn.Module) -> None:
    """Multiply each BatchNorm inside `module` into the convolution before it, and on the CPU let that do the activation too."""
    for parent in list(module.modules()):
        conv_name = None
        for name, child in list(parent.named_children()):
            if isinstance(child, (nn.Conv2d, DepthwiseConv2d)):
                conv_name = name
            elif isinstance(child, nn.BatchNorm2d):
                conv = getattr(parent, conv_name)
                scale = child.weight * torch.rsqrt(child.running_var + child.eps)
                conv.weight = nn.Parameter(conv.weight * scale[:, None, None, None])
                conv.bias = nn.Parameter(child.bias - child.running_mean * scale)
                activation = getattr(child, "act", None) or _taken(parent, name)
                if _is_fusible(conv, activation):
                    conv, activation = FusedConv2d(conv, activation), nn.Identity()
                setattr(parent, conv_name, conv)
                setattr(parent, name, activation)


def _taken(parent: nn.Module, batchnorm: str) -> nn.Module:
    """The activation right after a BatchNorm of this name, with nothing left in its place; Identity if there is none."""
    after = ""
    if isinstance(parent, nn.Sequential):
        after = dict(pairwise([name for name, _ in parent.named_children()])).get(batchnorm, "")
    elif batchnorm.startswith("bn") and hasattr(parent, f"conv{int(batchnorm[2:]) + 1}"):
        after = f"act{batchnorm[2:]}"  # of a ResNet's block; that after its last convolution follows the sum
    activation = getattr(parent, after, None)
    if type(activation) not in _ACTIVATIONS:
        return nn.Identity()
    setattr(parent, after, nn.Identity())
    return activation


def _has_kernels(dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in this precision on this CPU: unlike PyTorch's own convolutions it does not fall back."""
    if dtype == torch.float32:
        return True
    onednn = torch.ops.mkldnn
    return onednn._is_mkldnn_bf16_supported() if dtype == torch.bfloat16 else onednn._is_mkldnn_fp16_supported()


def _is_fusible(conv: nn.Module, activation: nn.Module) -> bool:
    return (
        conv.weight.device.type == "cpu"
        and platform.machine() in ("x86_64", "AMD64")  # elsewhere it was not tried
        and type(activation) in _ACTIVATIONS
        and _pair(getattr(conv, "dilation", 1)) == (1, 1)
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")  # not promised to stay
    )


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)

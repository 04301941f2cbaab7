"""ResNet and feature pyramid as the DensePose R-CNN checkpoints know them.

Submodules bear the checkpoints' names, so that a state dict loads as it is. Images are BGR minus the ImageNet mean and
not divided by its deviation; a stage's stride sits in the first 1x1 convolution (the original MSRA ResNet), unlike
torchvision's and timm's.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ddp_video.model.densepose_rcnn.config import BLOCKS, RCNNConfig


class NormedConv(nn.Conv2d):
    """A convolution without bias, and its normalisation as the child `norm`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, norm: nn.Module, stride: int = 1):
        super().__init__(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> NormedConv:
    # Frozen in training; the network here is only ever evaluated, where frozen and ordinary are the same.
    return NormedConv(in_channels, out_channels, kernel_size, nn.BatchNorm2d(out_channels), stride)


class Bottleneck(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = conv_bn(in_channels, channels, 1, stride)
        self.conv2 = conv_bn(channels, channels, 3)
        self.conv3 = conv_bn(channels, 4 * channels, 1)
        self.shortcut = conv_bn(in_channels, 4 * channels, 1, stride) if in_channels != 4 * channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu_(self.conv2(F.relu_(self.conv1(x))))
        return F.relu_(self.conv3(out) + self.shortcut(x))


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = conv_bn(3, 64, 7, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu_(self.conv1(x)), kernel_size=3, stride=2, padding=1)


class ResNet(nn.Module):
    def __init__(self, depth: int):
        super().__init__()
        self.stem = Stem()
        in_channels = 64
        for index, count in enumerate(BLOCKS[depth]):
            channels = 64 << index
            stage = nn.Sequential()
            for block in range(count):
                stage.append(Bottleneck(in_channels, channels, stride=2 if block == 0 and index > 0 else 1))
                in_channels = 4 * channels
            self.add_module(f"res{index + 2}", stage)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps of strides 4, 8, 16 and 32."""
        maps = [self.stem(x)]
        for stage in (self.res2, self.res3, self.res4, self.res5):
            maps.append(stage(maps[-1]))
        return maps[1:]


class FPN(nn.Module):
    """Feature pyramid of five levels: p2 to p5 from the ResNet, p6 every other cell of p5."""

    def __init__(self, config: RCNNConfig):
        super().__init__()
        self.bottom_up = ResNet(config.depth)
        for level in (2, 3, 4, 5):
            self.add_module(f"fpn_lateral{level}", nn.Conv2d(64 << level, config.fpn_channels, 1))
            self.add_module(f"fpn_output{level}", nn.Conv2d(config.fpn_channels, config.fpn_channels, 3, padding=1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W], sides multiples of 32 -> p2 ... p6, [B, C, H/4, W/4] ... [B, C, H/64, W/64]."""
        maps = self.bottom_up(images)
        inner = self.fpn_lateral5(maps[3])
        pyramid = [self.fpn_output5(inner)]
        for level in (4, 3, 2):
            lateral, output = self.get_submodule(f"fpn_lateral{level}"), self.get_submodule(f"fpn_output{level}")
            inner = lateral(maps[level - 2]) + F.interpolate(inner, scale_factor=2, mode="nearest")
            pyramid.insert(0, output(inner))
        pyramid.append(pyramid[-1][:, :, ::2, ::2])
        return pyramid

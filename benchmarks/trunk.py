"""The trunk alone: what folding BatchNorm, channels_last and bf16 are worth."""

from __future__ import annotations

import torch

from benchmarks.report import Table
from benchmarks.settings import Settings
from benchmarks.timing import compare
from ddp_video.hardware import DTYPES, autocast, choose_precision
from ddp_video.model.backbone import Backbone

SIZE = (800, 1344)


def trunk(settings: Settings) -> Table:
    height, width = (-(-side // 32) * 32 for side in settings.sides(*SIZE))
    precision = choose_precision(torch.device(settings.device))
    images = torch.rand(1, 3, height, width, device=settings.device).contiguous(memory_format=torch.channels_last)
    calls = {
        "fp32, as trained": _call(images, torch.float32, fold=False),
        "fp32, folded": _call(images, torch.float32, fold=True),
        f"{precision}, folded": _call(images, DTYPES[precision], fold=True),
    }
    found = compare(calls, settings.rounds)
    first = next(iter(found.values()))
    return Table(
        f"ResNet-50 trunk, {height} x {width} px",
        ("variant", "CPU s", "wall s", "of the first"),
        [(name, t.cpu, t.wall, t.cpu / first.cpu) for name, t in found.items()],
        "All channels_last.",
    )


def _call(images: torch.Tensor, dtype: torch.dtype, fold: bool):
    torch.manual_seed(0)
    model = Backbone("resnet50").eval().to(images.device, memory_format=torch.channels_last)
    if fold:
        model.fold_batchnorm()
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(dtype)

    def run():
        with torch.inference_mode(), autocast(images.device, dtype):
            return model(images)

    return run

"""What networks compute on: which device, in which precision, and as much at once as its memory holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

CPU_INFO = Path("/proc/cpuinfo")  # of Linux
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(device: torch.device | str) -> torch.device:
    """'auto' = CUDA where there is one. Raises ValueError for a device that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type != "cuda":  # which would take its memory, and needs no trial
            torch.zeros(1, device=chosen).item()
    except (RuntimeError, AssertionError) as error:  # either, where PyTorch was built without that kind of device
        raise ValueError(f"unknown device {device!r}, or none such here; needed auto, cpu, cuda or cuda:N") from error
    if chosen.type == "cuda" and (not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"device {device!r} is not there; PyTorch sees {torch.cuda.device_count()} CUDA devices")
    return chosen


def choose_precision(device: torch.device, precision: str = "auto") -> str:
    """A name in DTYPES: that which is given, or for 'auto' that which the device multiplies natively and fastest.

    Raises ValueError for any other.
    """
    if precision not in ("auto", *DTYPES):
        raise ValueError(f"unknown precision {precision!r}, needed auto, {', '.join(DTYPES)}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    able = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    return "bf16" if device.type == "cpu" and ("avx512_bf16" in able or "amx_bf16" in able) else "fp32"


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Networks compute in `dtype` within it. Nothing for float32, which is no type of autocast's."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def full_precision(x: Tensor) -> Tensor:
    """x in float32 if it is coarser, as autocast's results are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def halving(run: Callable[[Tensor], list], batch: Tensor) -> list:
    """run(batch); when memory runs out, of both halves of the batch, down to single items."""
    try:
        return run(batch)
    except RuntimeError as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    # Outside the handler, so that the traceback no longer holds the failed run's tensors.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(batch) // 2
    return halving(run, batch[:half]) + halving(run, batch[half:])


def is_out_of_memory(error: RuntimeError) -> bool:
    # PyTorch has a class of its own for CUDA only.
    return isinstance(error, torch.cuda.OutOfMemoryError) or "can't allocate memory" in str(error)

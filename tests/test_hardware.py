"""Which devices are taken, and the precision each gets: bf16 must never be emulated, it is ten times slower then."""

import pytest
import torch

from ddp_video import hardware


@pytest.mark.parametrize("name", ["abacus", "cuda:77", "meta", "vulkan"])
def test_devices_that_nothing_can_be_computed_on(name):
    with pytest.raises(ValueError, match=name):
        hardware.choose_device(name)


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fma avx2", "fp32"), ("avx2 avx512f avx512_vnni", "fp32"), ("avx512f avx512_bf16", "bf16"), ("amx_bf16", "bf16")],
)
def test_a_cpu_gets_what_it_multiplies_natively(tmp_path, monkeypatch, flags, precision):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags : fpu sse2 {flags}\n")
    monkeypatch.setattr(hardware, "CPU_INFO", info)
    assert hardware.choose_precision(torch.device("cpu")) == precision
    assert hardware.choose_precision(torch.device("cpu"), "fp16") == "fp16"


def test_a_cpu_of_which_nothing_is_known_gets_fp32(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "not-there")
    assert hardware.choose_precision(torch.device("cpu")) == "fp32"


def test_other_precisions_are_refused():
    with pytest.raises(ValueError, match="unknown precision 'int8', needed auto, fp32, bf16, fp16"):
        hardware.choose_precision(torch.device("cpu"), "int8")


@pytest.mark.parametrize(
    ("given", "dtype", "computed"),
    [(torch.float64, torch.float32, torch.float64), (torch.float32, torch.bfloat16, torch.bfloat16)],
)
def test_autocast_is_nothing_for_float32(given, dtype, computed):
    x = torch.rand(2, 2, dtype=given)
    with hardware.autocast(torch.device("cpu"), dtype):
        product = x @ x
    assert product.dtype == computed


def test_full_precision_is_float32_at_least():
    kinds = [torch.uint8, torch.bfloat16, torch.float16, torch.float32, torch.float64]
    wanted = [torch.float32] * 4 + [torch.float64]
    assert [hardware.full_precision(torch.ones(1, dtype=kind)).dtype for kind in kinds] == wanted

"""IAN = a float64 loop over the instances (eqs. 2-4), and its corner cases."""

import pytest
import torch

from ddp_video.model.normalization import InstanceAwareNorm


def loop(features, weight, bias, segment, eps):
    out = torch.empty_like(features)
    for i in segment.unique():
        rows = segment == i
        x = features[rows]
        mean = x.mean(0)
        variance = ((x - mean) ** 2).mean(0)
        out[rows] = (x - mean) / (variance + eps) ** 0.5 * weight + bias
    return out


@pytest.fixture
def norm():
    torch.manual_seed(0)
    norm = InstanceAwareNorm(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("chunk", [1 << 17, 7 * 6])
def test_equals_a_float64_loop_with_gradients(norm, chunk, monkeypatch):
    monkeypatch.setattr("ddp_video.model.normalization.CHUNK_ELEMENTS", chunk)
    segment = torch.randint(0, 5, (200,)) * 2  # segments 1, 3, 5, 7, 9 are empty
    features = (torch.randn(200, 6) * 3 + 50 * segment[:, None]).requires_grad_()
    exact = [t.detach().double().requires_grad_() for t in (features, norm.weight, norm.bias)]
    ours = norm(features, segment, 10)
    reference = loop(*exact, segment, norm.eps)
    torch.testing.assert_close(ours.double(), reference, rtol=0, atol=2e-4)
    upstream = torch.randn(200, 6)
    ours = torch.autograd.grad(ours, (features, norm.weight, norm.bias), upstream)
    reference = torch.autograd.grad(reference, exact, upstream.double())
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-3)


def test_one_site_instances_and_no_sites(norm):
    features = torch.randn(3, 6, requires_grad=True)
    out = norm(features, torch.tensor([0, 1, 2]), 3)
    torch.testing.assert_close(out, norm.bias.expand(3, 6))
    assert torch.isfinite(torch.autograd.grad(out.square().sum(), features)[0]).all()
    assert norm(torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64), 0).shape == (0, 6)


@torch.no_grad()
def test_statistics_are_float32_for_bfloat16_input(norm):
    segment = torch.zeros(4096, dtype=torch.int64)
    features = (torch.randn(4096, 6) + 20).bfloat16()
    out = norm(features, segment, 1)
    assert out.dtype == torch.bfloat16
    reference = loop(features.double(), norm.weight.double(), norm.bias.double(), segment, norm.eps)
    assert float((out.double() - reference).abs().max()) < 0.02 * float(reference.abs().max())

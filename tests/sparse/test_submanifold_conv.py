"""Every backend equals conv2d times the mask, forward and gradient."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from ddp_video.sparse import ActiveSites, submanifold_conv

SIZE = (2, 13, 17)


def masked_conv2d(features, weight, bias, sites, size):
    """The definition, written without the package: scatter, conv2d with zero padding, read at the sites."""
    image, y, x = sites.long().T
    dense = features.new_zeros(size[0], size[1], size[2], features.shape[1]).index_put((image, y, x), features)
    out = F.conv2d(dense.permute(0, 3, 1, 2), weight, bias, padding=1)
    return out.permute(0, 2, 3, 1)[image, y, x]


def problem(density, c_in=12, c_out=20, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sites = (torch.rand(SIZE, generator=generator) < density).nonzero().int()
    features = torch.randn(len(sites), c_in, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(c_out, c_in, 3, 3, generator=generator).to(dtype).requires_grad_()
    bias = torch.randn(c_out, generator=generator).to(dtype).requires_grad_()
    return sites, (features, weight, bias)


def relative_error(ours, reference):
    ours, reference = ours.detach().double(), reference.detach().double()
    return float((ours - reference).abs().max() / reference.abs().max().clamp(min=1))


@pytest.mark.parametrize("backend", ["torch", "dense"])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.25, 0.9, 1.1])
def test_equals_masked_conv2d_with_gradients(backend, density):
    sites, inputs = problem(density)
    ours = submanifold_conv(*inputs, ActiveSites(sites, SIZE), backend)
    reference = masked_conv2d(*inputs, sites, SIZE)
    assert ours.shape == (len(sites), 20)
    if len(sites) == 0:
        return
    assert relative_error(ours, reference) < 1e-5
    upstream = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    for gradient, expected in zip(
        torch.autograd.grad(ours, inputs, upstream), torch.autograd.grad(reference, inputs, upstream), strict=True
    ):
        assert relative_error(gradient, expected) < 1e-5


def test_no_sites_gives_zero_gradients():
    sites, inputs = problem(0.0)
    out = submanifold_conv(*inputs, ActiveSites(sites, SIZE))
    gradients = torch.autograd.grad(out.sum(), inputs)
    assert all(g.shape == i.shape and not g.any() for g, i in zip(gradients, inputs, strict=True))


def test_chunks_join_without_seams(monkeypatch):
    sites, inputs = problem(0.6)
    whole = submanifold_conv(*inputs, ActiveSites(sites, SIZE))
    monkeypatch.setattr("ddp_video.sparse.torch_backend.CHUNK_BYTES", 1)
    chunked = submanifold_conv(*inputs, ActiveSites(sites, SIZE))
    assert len(sites) > 128
    torch.testing.assert_close(chunked, whole, rtol=1e-5, atol=1e-5)


def test_images_of_a_batch_do_not_touch():
    """The last row of one image and the first of the next are far apart."""
    sites = torch.tensor([[0, 12, 3], [1, 0, 3]])
    features = torch.tensor([[1.0], [10.0]])
    out = submanifold_conv(features, torch.ones(1, 1, 3, 3), None, ActiveSites(sites, SIZE))
    assert torch.equal(out, features)


def test_order_of_sites_does_not_matter():
    sites, (features, weight, bias) = problem(0.4)
    order = torch.randperm(len(sites), generator=torch.Generator().manual_seed(2))
    straight = submanifold_conv(features, weight, bias, ActiveSites(sites, SIZE))
    shuffled = submanifold_conv(features[order], weight, bias, ActiveSites(sites[order], SIZE))
    torch.testing.assert_close(shuffled, straight[order], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "dense"])
def test_bfloat16(backend):
    sites, inputs = problem(0.5, dtype=torch.bfloat16)
    reference_inputs = [t.detach().float().requires_grad_() for t in inputs]
    ours = submanifold_conv(*inputs, ActiveSites(sites, SIZE), backend)
    reference = masked_conv2d(*reference_inputs, sites, SIZE)
    assert ours.dtype == torch.bfloat16
    assert relative_error(ours, reference) < 0.01
    for gradient, expected in zip(
        torch.autograd.grad(ours.float().square().mean(), inputs),
        torch.autograd.grad(reference.square().mean(), reference_inputs),
        strict=True,
    ):
        assert gradient.dtype == torch.bfloat16
        assert float((gradient.float() - expected).norm() / expected.norm()) < 0.02


def test_gather_inverts_scatter():
    sites, (features, *_) = problem(0.3)
    active = ActiveSites(sites, SIZE)
    dense = active.scatter(features)
    assert dense.shape == (2, 12, 13, 17)
    assert torch.equal(active.gather(dense), features)
    assert int((dense != 0).sum()) == features.numel()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "magic"}, "unknown sparse backend 'magic'"),
        ({"features": torch.zeros(3, 12)}, "one row a site"),
        ({"weight": torch.zeros(20, 12, 5, 5)}, r"weight must be \[C_out,12,3,3\]"),
        ({"backend": "spconv"}, "needs CUDA"),
    ],
)
def test_wrong_arguments(change, message):
    sites, (features, weight, bias) = problem(0.3)
    arguments = {"features": features, "weight": weight, "bias": bias, "backend": "torch"} | change
    with pytest.raises(ValueError, match=message):
        submanifold_conv(active=ActiveSites(sites, SIZE), **arguments)
    with pytest.raises(ValueError, match="sites must be integer"):
        ActiveSites(sites.float(), SIZE)


def test_spconv_weight_layout():
    """On CPU spconv is right only under one thread, so its layout is checked in a process of its own."""
    pytest.importorskip("spconv.pytorch")
    code = """
import torch
from ddp_video.sparse import ActiveSites, submanifold_conv
from ddp_video.sparse.spconv_backend import _run
torch.manual_seed(0)
sites = (torch.rand(2, 13, 17) < 0.4).nonzero().int()
active, x = ActiveSites(sites, (2, 13, 17)), torch.randn(len(sites), 12)
for c_in, c_out in ((12, 20), (20, 8)):
    weight, bias = torch.randn(c_out, c_in, 3, 3), torch.randn(c_out)
    ours = submanifold_conv(x, weight, bias, active)
    torch.testing.assert_close(_run(x, weight, bias, active), ours, rtol=1e-4, atol=1e-4)
    x = ours
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["torch", "dense", "spconv"])
def test_cuda(backend):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if backend == "spconv":
        pytest.importorskip("spconv.pytorch")
    sites, inputs = problem(0.5, c_in=16, c_out=32)
    sites, inputs = sites.cuda(), [t.detach().cuda().requires_grad_() for t in inputs]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    ours = submanifold_conv(*inputs, ActiveSites(sites, SIZE), backend)
    reference = masked_conv2d(*inputs, sites, SIZE)
    assert relative_error(ours, reference) < 1e-5
    for gradient, expected in zip(
        torch.autograd.grad(ours.square().sum(), inputs),
        torch.autograd.grad(reference.square().sum(), inputs),
        strict=True,
    ):
        assert relative_error(gradient, expected) < 1e-4

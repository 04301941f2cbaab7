"""Attention within a person: nothing before training, blind to others, the same at any size, fine with nobody."""

import numpy as np
import pytest
import torch

from ddp_video.model.body_context import GRID, BodyContext, _at, _on_the_body

CHANNELS = 16


@pytest.fixture
def context():
    torch.manual_seed(0)
    module = BodyContext(CHANNELS)
    torch.nn.init.normal_(module.write[1].weight)
    return module


def body(height, width, top=0, left=0):
    y, x = torch.meshgrid(torch.arange(height) + top, torch.arange(width) + left, indexing="ij")
    return torch.stack([torch.zeros_like(y), y, x], -1).reshape(-1, 3)


def test_untrained_it_changes_nothing():
    sites = body(20, 8)
    x = torch.randn(len(sites), CHANNELS)
    segment = torch.zeros(len(sites), dtype=torch.int64)
    assert torch.equal(BodyContext(CHANNELS)(x, sites, segment, 1), x)


def test_others_do_not_matter(context):
    one, other = body(20, 8), body(9, 30, top=40)
    sites = torch.cat([one, other])
    segment = torch.tensor([0] * len(one) + [2] * len(other))  # 1 is empty
    x = torch.randn(len(sites), CHANNELS)
    together = context(x, sites, segment, 3)
    alone = context(x[: len(one)], one, segment[: len(one)], 1)
    torch.testing.assert_close(together[: len(one)], alone, rtol=1e-4, atol=1e-4)
    moved = context(x, sites + torch.tensor([0, 5, 7]), segment, 3)
    torch.testing.assert_close(moved, together, rtol=1e-4, atol=1e-4)


def test_what_one_end_looks_like_reaches_the_other(context):
    sites = body(60, 12)
    segment = torch.zeros(len(sites), dtype=torch.int64)
    x = torch.randn(len(sites), CHANNELS, requires_grad=True)
    context(x, sites, segment, 1)[-1].sum().backward()
    assert x.grad[0].abs().sum() > 0


def test_places_on_the_body_do_not_depend_on_its_size():
    small, large = body(20, 8), body(100, 40)
    positions = [_on_the_body(b[:, 1:].float(), torch.zeros(len(b), dtype=torch.int64), 1)[0] for b in (small, large)]
    corners = [
        p.view(h, w, 2)[[0, 0, -1, -1], [0, -1, 0, -1]]
        for p, (h, w) in zip(positions, [(20, 8), (100, 40)], strict=True)
    ]
    np.testing.assert_allclose(corners[0], corners[1], atol=0.4)  # small bodies end half a cell earlier
    assert positions[1].min() >= 0 and positions[1].max() <= GRID - 1
    assert positions[1].view(100, 40, 2)[50, 20].sub((GRID - 1) / 2).abs().max() < 0.2


def test_interpolation_is_bilinear():
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    planes = torch.stack([2.0 * rows - columns, columns.float()], -1).reshape(-1, 2)  # linear, hence exact
    position = torch.tensor([[0.0, 0.0], [3.25, 7.5], [GRID - 1.0, GRID - 1.0]])
    cells = torch.cat([planes + 100, planes])
    found = _at(cells, position, torch.tensor([1, 1, 0]))
    expected = torch.stack([2 * position[:, 0] - position[:, 1], position[:, 1]], -1)
    expected[2] += 100
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("sites", [body(1, 1), body(1, 9), torch.zeros(0, 3, dtype=torch.int64)])
def test_tiny_bodies_and_none(context, sites):
    x = torch.randn(len(sites), CHANNELS, requires_grad=True)
    out = context(x, sites, torch.zeros(len(sites), dtype=torch.int64), 2)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()

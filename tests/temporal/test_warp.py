import pytest
import torch
import torch.nn.functional as F

from ddp_video.structures import Flow
from ddp_video.temporal.warp import Sampler, chain, consistent, inside, warp


def constant_flow(dx, dy, height=9, width=11):
    return torch.tensor([dx, dy], dtype=torch.float32)[None, :, None, None].expand(1, 2, height, width).clone()


def test_zero_flow_is_the_identity_bit_by_bit():
    source = torch.randn(2, 5, 9, 11)
    assert torch.equal(warp(source, torch.zeros(2, 2, 9, 11)), source)


def test_whole_pixels_shift_and_zero_comes_in_from_outside():
    source = torch.randn(1, 3, 9, 11)
    out = warp(source, constant_flow(2, -3))
    assert torch.equal(out[:, :, 3:, :-2], source[:, :, :-3, 2:])
    assert not out[:, :, :3].any() and not out[:, :, :, -2:].any()
    valid = inside(constant_flow(2, -3))[0]
    assert valid[3:, :-2].all() and not valid[:3].any() and not valid[:, -2:].any()


def test_equals_grid_sample_without_aligned_corners():
    torch.manual_seed(1)
    source, flow = torch.randn(2, 3, 9, 11), 4 * torch.randn(2, 2, 9, 11)
    x = (flow[:, 0] + torch.arange(11) + 0.5) * 2 / 11 - 1
    y = (flow[:, 1] + torch.arange(9)[:, None] + 0.5) * 2 / 9 - 1
    expected = F.grid_sample(source, torch.stack([x, y], -1), padding_mode="zeros", align_corners=False)
    assert torch.allclose(warp(source, flow), expected, atol=1e-5)


def test_flow_that_is_not_a_number_or_huge_reads_zero():
    flow = torch.zeros(1, 2, 9, 11)
    flow[0, 0, 0, 0], flow[0, 1, 0, 1] = float("nan"), 1e12
    sampler = Sampler(flow)
    assert sampler.index.min() >= 0 and sampler.index.max() < 99 and sampler.weight.isfinite().all()
    out = warp(torch.ones(1, 1, 9, 11), flow)[0, 0]
    assert out[0, 0] == out[0, 1] == 0 and out[0, 2] == 1


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="its size"):
        warp(torch.zeros(1, 3, 9, 11), torch.zeros(1, 2, 9, 10))


def test_forward_backward_check():
    there, back = constant_flow(2, 0), constant_flow(-2, 0)
    assert consistent(there, back)[0, :, :-2].all() and not consistent(there, back)[0, :, -2:].any()
    back[0, 0, 4, 6] = 0  # seen from (4, 4): returns 2 px off
    assert not consistent(there, back)[0, 4, 4]
    # Half a px off passes in px of the grid, and is 2 px off where a cell is 4 px.
    there, back = constant_flow(0.5, 0), constant_flow(0, 0)
    assert consistent(there, back).all() and not consistent(there, back, pixel_size=4).any()


def test_chained_flow_follows_the_point():
    whole = torch.ones(1, 9, 11, dtype=torch.bool)
    first = Flow(constant_flow(1, 0), whole)
    x = torch.arange(11.0).expand(1, 9, 11)
    second = Flow(torch.stack([x, torch.zeros_like(x)], 1), whole.clone())
    second.valid[0, :, 5] = False
    both = chain(first, second)
    assert torch.equal(both.t_to_s[0, 0, :, :-1], 1 + x[0, :, 1:])
    assert both.valid[0, :, 3].all() and not both.valid[0, :, 4].any()

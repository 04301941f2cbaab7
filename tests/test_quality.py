"""Expected quality: against a float64 loop, and what it must do to people of whom little is known."""

import math

import pytest
import torch

from ddp_video.quality import expected_quality
from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV

GRID = Grid((24, 32), (24, 32))


def predicted(mask_logits, owner, logits):
    """Sites come row by row, as many as owners."""
    cells = torch.arange(len(owner))
    sites = torch.stack([0 * cells, cells // GRID.size[1], cells % GRID.size[1]], 1).int()
    count = len(mask_logits)
    people = Instances(torch.zeros(count, 4), torch.ones(count), mask_logits, mask_logits, torch.arange(count))
    return FramePrediction(0, 0, 0.0, GRID, people, SparseIUV(sites, logits, owner))


def test_equals_a_loop_in_float64():
    generator = torch.Generator().manual_seed(3)
    masks = 3 * torch.randn(3, *GRID.size, generator=generator)
    owner = torch.randint(0, 3, (40,), generator=generator)
    logits = 4 * torch.randn(40, 75, generator=generator)
    found = expected_quality(predicted(masks, owner, logits))
    for person in range(3):
        shared = either = 0.0
        for logit in masks[person].flatten().tolist():
            p = 1 / (1 + math.exp(-logit))
            shared += p if p > 0.5 else 0
            either += 1 if p > 0.5 else p
        likeliest = []
        for site in (owner == person).nonzero()[:, 0].tolist():
            weights = [math.exp(logit) for logit in logits[site, :25].tolist()]
            likeliest.append(max(weights[1:]) / sum(weights))
        assert found[person].item() == pytest.approx(shared / either * sum(likeliest) / len(likeliest), rel=1e-5)


def test_sure_is_one_unsure_less_and_nothing_zero():
    masks = torch.full((3, *GRID.size), -30.0)
    masks[:2, :2] = 30
    logits = torch.zeros(4, 75)
    logits[:, 7] = torch.tensor([40.0, 40, 2, 2])
    sure, unsure, nothing = expected_quality(predicted(masks, torch.tensor([0, 0, 1, 1]), logits)).tolist()
    assert sure == pytest.approx(1)
    assert unsure == pytest.approx(math.exp(2) / (math.exp(2) + 24))
    assert nothing == 0


def test_nobody():
    nobody = predicted(torch.zeros(0, *GRID.size), torch.zeros(0).long(), torch.zeros(0, 75))
    assert expected_quality(nobody).shape == (0,)

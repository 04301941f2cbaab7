"""Sides that agree along limbs: against a dense solution, and on made-up legs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddp_video.charts import MIRROR, NAMES
from ddp_video.model.sides import CHAINS, MOST_ODDS, SPREAD, agree_on_sides
from ddp_video.structures import SparseIUV

LEG, FOOT, LEFT_LEG, LEFT_FOOT, TORSO = (
    NAMES.index(name)
    for name in ("right lower leg front", "right foot", "left lower leg front", "left foot", "torso front")
)


def make(parts, owner=None):
    """A prediction whose site at parts[y][x] favours a chart: {chart: logit} at every place, None where there is no site."""
    rows = [(y, x, logits) for y, row in enumerate(parts) for x, logits in enumerate(row) if logits]
    iuv = torch.zeros(len(rows), 75)
    for k, (_, _, logits) in enumerate(rows):
        for chart, logit in logits.items():
            iuv[k, chart] = logit
    sites = torch.tensor([(0, y, x) for y, x, _ in rows], dtype=torch.int32)
    return SparseIUV(sites, iuv, torch.zeros(len(rows), dtype=torch.int64) if owner is None else torch.tensor(owner))


def charts(iuv):
    return iuv.logits[:, 1:25].argmax(1) + 1


SHIN, UNSURE_FOOT = [{LEG: 9.0, LEFT_LEG: 2.0}] * 6, [{LEFT_FOOT: 6.5, FOOT: 6.0}] * 6
LEG_OF_60 = [LEG] * 360


def test_a_foot_takes_the_side_of_its_leg():
    steady = agree_on_sides(make([SHIN] * 60 + [UNSURE_FOOT] * 3), (63, 6))
    assert charts(steady).tolist() == LEG_OF_60 + [FOOT] * 18


def test_nothing_flows_between_people_or_over_gaps():
    parted = make([SHIN] * 60 + [UNSURE_FOOT] * 3, [0] * 360 + [1] * 18)
    assert charts(agree_on_sides(parted, (63, 6))).tolist() == LEG_OF_60 + [LEFT_FOOT] * 18
    gap = make([SHIN] * 60 + [[None] * 6] + [UNSURE_FOOT] * 3)
    assert charts(agree_on_sides(gap, (64, 6))).tolist() == LEG_OF_60 + [LEFT_FOOT] * 18
    trunk = make([SHIN] * 60 + [[{TORSO: 12.0}] * 6] * 2 + [UNSURE_FOOT] * 3)
    assert charts(agree_on_sides(trunk, (65, 6))).tolist() == LEG_OF_60 + [TORSO] * 12 + [LEFT_FOOT] * 18


@pytest.fixture
def noisy():
    """Two people side by side, 9 x 14 sites, with random logits."""
    generator = torch.Generator().manual_seed(5)
    y, x = torch.meshgrid(torch.arange(9), torch.arange(14), indexing="ij")
    sites = torch.stack([torch.zeros_like(y), y, x], -1).view(-1, 3).int()
    return SparseIUV(sites, 2 * torch.randn(126, 75, generator=generator), (x.reshape(-1) > 5).long())


def test_equals_a_dense_solution_in_float64(noisy):
    steady = agree_on_sides(noisy, (9, 14))
    logits, owner = noisy.logits[:, :25].double().numpy(), noisy.owner.numpy()
    p = np.exp(logits[:, 1:]) / np.exp(logits[:, 1:]).sum(1, keepdims=True)
    where = noisy.sites[:, 1:].numpy()
    for left, right in CHAINS:
        on_left, on_right = (p[:, np.array(side) - 1].sum(1) + 1e-6 for side in (left, right))
        own, w = np.log(on_left / on_right), on_left + on_right
        assert (w > 0.02).all()
        matrix = np.diag(w)
        for i in range(126):
            for j in range(126):
                if owner[i] == owner[j] and np.abs(where[i] - where[j]).sum() == 1:
                    bond = SPREAD * (owner == owner[i]).sum() * w[i] * w[j]
                    matrix[i, i] += bond
                    matrix[i, j] -= bond
        agreed = np.linalg.solve(matrix, w * np.clip(own, -MOST_ODDS, MOST_ODDS))
        change = (steady.logits[:, left] - noisy.logits[:, left]).numpy()
        assert np.allclose(change, ((agreed - own) / 2)[:, None], atol=0.02)
        assert torch.allclose(steady.logits[:, right] - noisy.logits[:, right], -torch.from_numpy(change), atol=1e-5)
    untouched = sorted(set(range(75)) - {chart for chain in CHAINS for side in chain for chart in side})
    assert torch.equal(steady.logits[:, untouched], noisy.logits[:, untouched])


def test_mirrored_sides_give_mirrored_results(noisy):
    mirror = [*MIRROR, *range(25, 75)]
    mirrored = agree_on_sides(replace(noisy, logits=noisy.logits[:, mirror]), (9, 14))
    assert torch.allclose(mirrored.logits, agree_on_sides(noisy, (9, 14)).logits[:, mirror], atol=1e-3)


def test_nobody_and_nobodys_limbs():
    assert len(agree_on_sides(SparseIUV.empty(), (3, 3))) == 0
    trunk = make([[{TORSO: 20.0}] * 3])
    assert torch.equal(agree_on_sides(trunk, (1, 3)).logits, trunk.logits)

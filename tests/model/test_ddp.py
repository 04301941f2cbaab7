"""The whole network: inference, its invariants, the ablations, and gradients everywhere."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ddp_video.model.config import CONFIGS, ModelConfig
from ddp_video.model.ddp import DDP
from ddp_video.model.suppression import suppress_background


def build(**changes):
    torch.manual_seed(0)
    return DDP(replace(CONFIGS["ddp_lite"], **changes)).eval()


@pytest.fixture(scope="module")
def model():
    return build()


def images(count=2, height=64, width=96):
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(1)).byte()


def find_people(model, bias):
    """Untrained heads find nobody; this bias makes them find many."""
    with torch.no_grad():
        model.instance_branch.class_logits.bias.fill_(bias)


@pytest.mark.parametrize("bias", [-9.0, 3.0])
def test_inference_values_are_consistent(bias):
    model = build()
    find_people(model, bias)
    for people, iuv in model(images(), size=(60, 90)):
        assert people.mask_logits.shape == people.dense_mask_logits.shape == (len(people), 15, 23)
        assert bool(len(people)) == (bias > 0)
        covered = (people.mask_logits > -1).any(0) if len(people) else torch.zeros(15, 23, dtype=torch.bool)
        assert torch.equal(iuv.sites[:, 1:].long(), covered.nonzero())
        assert torch.isfinite(iuv.logits).all()
        assert len(iuv) == 0 or 0 <= int(iuv.owner.min()) <= int(iuv.owner.max()) < len(people)


def test_wrong_images(model):
    for wrong in (
        torch.zeros(1, 3, 64, 65),
        torch.zeros(3, 64, 64),
        torch.zeros(1, 1, 64, 64),
        torch.zeros(1, 3, 0, 64),
    ):
        with pytest.raises(ValueError, match="multiples of 32"):
            model(wrong)


def test_uint8_equals_float(model):
    a, b = model.extract(images()).agg, model.extract(images().float()).agg
    assert torch.equal(a, b)


def crowd(people, size=(16, 24), batch=2):
    """Sites and owners of random overlapping masks."""
    generator = torch.Generator().manual_seed(people)
    masks = F.interpolate(torch.randn(people, 1, 4, 6, generator=generator), size, mode="bilinear")[:, 0] - 0.3
    image = torch.arange(people) * batch // max(people, 1)
    return masks, image, suppress_background(masks, image, batch)


@pytest.mark.parametrize("people", [0, 1, 9, 100])
def test_suppression_equals_a_loop_over_cells(people):
    masks, image, foreground = crowd(people)
    expected = []
    for b in range(2):
        for y in range(16):
            for x in range(24):
                mine = [k for k in range(people) if image[k] == b]
                owners = [k for k in mine if masks[k, y, x] > 0] or [k for k in mine if masks[k, y, x] > -1]
                if owners:
                    expected.append((b, y, x, owners[0]))
    ours = torch.cat([foreground.sites.long(), foreground.owner[:, None]], 1)
    assert ours.tolist() == [list(row) for row in expected]


@pytest.mark.parametrize("people", [0, 1, 100])
def test_iuv_branch_with_any_number_of_people(model, people):
    agg = torch.randn(2, 96, 16, 24)
    foreground = crowd(people)[2]
    logits = model.iuv_branch(agg, foreground.sites, foreground.owner, people)
    assert logits.shape == (len(foreground.sites), 75)
    assert torch.isfinite(logits).all()


def test_numbering_of_people_does_not_matter(model):
    torch.manual_seed(0)
    agg = torch.randn(2, 96, 16, 24)
    foreground = crowd(6)[2]
    order = torch.tensor([3, 5, 0, 4, 1, 2])
    a = model.iuv_branch(agg, foreground.sites, foreground.owner, 6)
    b = model.iuv_branch(agg, foreground.sites, order[foreground.owner], 6)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_one_person_does_not_disturb_another(model):
    """IAN: people who do not touch have the logits that they have alone."""
    torch.manual_seed(0)
    agg = torch.randn(1, 96, 16, 48)
    mask = torch.zeros(2, 16, 48)
    mask[0, 2:14, 2:12], mask[1, 2:14, 30:44] = 1, 1
    mask -= 2 * (mask == 0).float()
    both = suppress_background(mask, torch.tensor([0, 0]), 1)
    alone = suppress_background(mask[:1], torch.tensor([0]), 1)
    together = model.iuv_branch(agg, both.sites, both.owner, 2)[both.owner == 0]
    torch.testing.assert_close(together, model.iuv_branch(agg, alone.sites, alone.owner, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("instance_aware_norm", [True, False])
def test_sparse_equals_dense_when_everything_is_active(instance_aware_norm):
    torch.manual_seed(0)
    agg = torch.randn(2, 96, 12, 16)
    everywhere = torch.ones(2, 12, 16).nonzero()
    owner = everywhere[:, 0] * 2 + (everywhere[:, 2] > 7)
    branches = [build(instance_aware_norm=instance_aware_norm, sparse=s).iuv_branch for s in (True, False)]
    sparse, dense = (branch(agg, everywhere, owner, 4) for branch in branches)
    torch.testing.assert_close(sparse, dense, rtol=1e-3, atol=1e-3)


def test_dense_ablation_sees_the_background():
    torch.manual_seed(0)
    branch = build(sparse=False).iuv_branch
    foreground = crowd(4)[2]
    agg = torch.randn(2, 96, 16, 24)
    logits = branch(agg, foreground.sites, foreground.owner, 4)
    assert logits.shape == (len(foreground.sites), 75)
    changed = agg.clone()
    active = torch.zeros(2, 16, 24, dtype=torch.bool).index_put(tuple(foreground.sites.long().T), torch.tensor(True))
    changed.permute(0, 2, 3, 1)[~active] += 5 * torch.randn(int((~active).sum()), 96)
    assert not torch.allclose(branch(changed, foreground.sites, foreground.owner, 4), logits, atol=1e-2)


@pytest.mark.parametrize("autocast", [False, True])
def test_every_parameter_gets_a_finite_gradient(autocast):
    model = build().train()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        features = model.extract(images())
        heads = model.instance_branch(features)
        image, location = torch.tensor([0, 1, 1]), torch.tensor([3, 40, 100])
        masks = model.instance_branch.masks(
            heads.mask_features,
            heads.controller[image, location],
            heads.locations[location],
            heads.strides[location],
            image,
        )
        foreground = crowd(3)[2]
        iuv = model.iuv_branch(features.agg, foreground.sites, foreground.owner, 3)
    for value in (heads.class_logits, heads.boxes_ltrb, heads.centerness_logits, masks, iuv):
        assert value.dtype == torch.float32
    loss = heads.class_logits.sum() + heads.boxes_ltrb.log().sum() + heads.centerness_logits.sum()
    (loss + masks.square().sum() + iuv.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_paper_configuration():
    model = DDP(CONFIGS["ddp_r50"]).eval()
    find_people(model, 3.0)
    people, iuv = model(images(1, 64, 64))[0]
    assert len(people) > 0
    assert len(iuv) > 0


def test_config_survives_a_dictionary():
    for config in CONFIGS.values():
        assert ModelConfig.from_dict(config.to_dict()) == config

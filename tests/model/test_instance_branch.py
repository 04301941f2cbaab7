"""Locations, the controller, the dynamic mask head against a loop over people, and detection."""

import pytest
import torch
import torch.nn.functional as F

from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.detection import detect
from ddp_video.model.instance_branch import InstanceBranch, InstanceOutput


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DDP(CONFIGS["ddp_lite"]).eval()


@pytest.fixture(scope="module")
def heads(model):
    torch.manual_seed(1)
    with torch.no_grad():
        return model.instance_branch(model.extract(torch.randint(0, 256, (2, 3, 96, 128), dtype=torch.uint8)))


def test_locations_are_cell_centres(heads):
    count = [12 * 16, 6 * 8, 3 * 4, 2 * 2]
    assert heads.locations.shape == (sum(count), 2)
    assert heads.strides.tolist() == [float(s) for s, n in zip((8, 16, 32, 64), count, strict=True) for _ in range(n)]
    assert heads.locations[:2].tolist() == [[4, 4], [12, 4]]
    assert heads.locations[-1].tolist() == [96, 96]


def test_shapes_ranges_and_prior(heads):
    assert heads.class_logits.shape == heads.centerness_logits.shape == (2, 256)
    assert heads.boxes_ltrb.shape == (2, 256, 4)
    assert (heads.boxes_ltrb >= 0).all()
    assert heads.mask_features.shape == (2, 8, 12, 16)
    assert float(heads.class_logits.sigmoid().mean()) == pytest.approx(0.01, rel=0.5)


def test_controller_equals_a_convolution(model, heads):
    controller = model.instance_branch.controller
    torch.manual_seed(2)
    levels = [torch.randn(2, 96, h, w, requires_grad=True) for h, w in ((12, 16), (6, 8), (3, 4), (2, 2))]
    image, location = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 15, 200, 251, 255])
    ours = controller(levels)[image, location]
    dense = [F.conv2d(x, controller.weight, controller.bias, padding=1).flatten(2) for x in levels]
    reference = torch.cat(dense, 2)[image, :, location]
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), levels),
        torch.autograd.grad(reference.square().sum(), levels),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def loop_over_people(mask_features, params, locations, strides, image_index):
    """The head as the paper tells it: one person at a time, three small 1x1 convolutions."""
    out = []
    height, width = mask_features.shape[2:]
    for k in range(len(params)):
        relative = torch.zeros(2, height, width)
        for y in range(height):
            for x in range(width):
                relative[0, y, x] = (locations[k, 0] - (8 * x + 4)) / (8 * strides[k])
                relative[1, y, x] = (locations[k, 1] - (8 * y + 4)) / (8 * strides[k])
        x = torch.cat([mask_features[image_index[k]], relative])[None]
        p = params[k]
        x = F.conv2d(x, p[:80].view(8, 10, 1, 1), p[80:88]).relu()
        x = F.conv2d(x, p[88:152].view(8, 8, 1, 1), p[152:160]).relu()
        x = F.conv2d(x, p[160:176].view(2, 8, 1, 1), p[176:178])
        out.append(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[0])
    return torch.stack(out)


@pytest.mark.parametrize("people", [1, 7])
def test_mask_head_equals_a_loop(heads, people):
    torch.manual_seed(3)
    params = torch.randn(people, 178)
    image, location = torch.randint(2, (people,)), torch.randint(256, (people,))
    where = (heads.locations[location], heads.strides[location], image)
    ours = InstanceBranch.masks(heads.mask_features, params, *where)
    assert ours.shape == (people, 2, 24, 32)
    torch.testing.assert_close(ours, loop_over_people(heads.mask_features, params, *where), rtol=1e-4, atol=1e-4)


def test_no_people_have_no_masks(heads):
    none = torch.zeros(0, dtype=torch.int64)
    masks = InstanceBranch.masks(heads.mask_features, heads.controller[none, none], torch.zeros(0, 2), none, none)
    assert masks.shape == (0, 2, 24, 32)


def output(class_logits, boxes_ltrb, centerness=10.0):
    batch, count = class_logits.shape
    return InstanceOutput(
        locations=torch.full((count, 2), 50.0),
        strides=torch.full((count,), 8.0),
        class_logits=class_logits,
        boxes_ltrb=boxes_ltrb,
        centerness_logits=torch.full((batch, count), centerness),
        controller=None,
        mask_features=torch.zeros(batch, 8, 2, 2),
    )


def test_detection_suppresses_doubles_and_sorts():
    logits = torch.tensor([[0.0, 2.0, 1.0, -9.0], [-9.0, -9.0, -9.0, -9.0]])
    ltrb = torch.tensor([[10.0, 10, 10, 10], [40, 40, 40, 40], [41, 40, 40, 40], [9, 9, 9, 9]]).expand(2, 4, 4)
    found = detect(output(logits, ltrb), (80, 85))
    assert found.image.tolist() == [0, 0]
    assert found.location.tolist() == [1, 0]  # 2 doubles 1, 3 is improbable
    assert found.boxes_xyxy.tolist() == [[10, 10, 85, 80], [40, 40, 60, 60]]
    torch.testing.assert_close(found.scores, torch.tensor([2.0, 0.0]).sigmoid().sqrt(), rtol=1e-4, atol=1e-4)


def test_detection_thresholds():
    logits = torch.logit(torch.tensor([[0.049, 0.051, 0.5]]))
    ltrb = torch.tensor([[[1.0, 1, 1, 1], [10, 10, 10, 10], [40, 40, 40, 40]]])
    assert detect(output(logits, ltrb), (100, 100)).location.tolist() == [2, 1]
    assert detect(output(logits, ltrb), (100, 100), score_threshold=0.6).location.tolist() == [2]


def test_at_most_a_hundred_people():
    generator = torch.Generator().manual_seed(0)
    heads = output(torch.rand(1, 300, generator=generator), torch.full((1, 300, 4), 1.0))
    heads.locations.copy_(torch.arange(600).view(300, 2) * 10)
    found = detect(heads, (10000, 10000))
    assert len(found) == 100
    assert (found.scores.diff() <= 0).all()

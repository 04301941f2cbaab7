import pytest
import torch
import torch.nn.functional as F
from timm import create_model

from ddp_video.model.backbone import Backbone
from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.depthwise import DepthwiseConv2d
from ddp_video.model.folding import FusedConv2d


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "efficientnet_lite0", "resnet18"])
def test_stages_compute_what_timm_computes(name, folded):
    torch.manual_seed(0)
    trunk = create_model(name, features_only=True, out_indices=(1, 2, 3, 4)).eval()
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.7, 1.3)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.normal_(tensor, std=0.2)
    backbone = Backbone(name).eval()
    backbone.load_state_dict(dict(zip(backbone.state_dict(), trunk.state_dict().values(), strict=True)))
    if folded:
        backbone.fold_batchnorm()
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in backbone.modules())
    images = torch.randn(2, 3, 64, 128)
    for ours, theirs, stride in zip(backbone(images), trunk(images), (4, 8, 16, 32), strict=True):
        assert ours.shape[2:] == (64 // stride, 128 // stride)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "resnet50"])
def test_fused_activations_change_nothing(name, precision, monkeypatch):
    """Beside what a device without oneDNN computes."""
    if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN computes no bfloat16 on this CPU")
    torch.manual_seed(0)
    fused, plain = Backbone(name).eval(), Backbone(name).eval()
    plain.load_state_dict(fused.state_dict())
    fused.fold_batchnorm()
    monkeypatch.setattr("ddp_video.model.folding._is_fusible", lambda conv, activation: False)
    plain.fold_batchnorm()
    images = torch.randn(1, 3, 64, 128).contiguous(memory_format=torch.channels_last)
    tolerance = {"fp32": 1e-4, "bf16": 0.02}[precision]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for a, b in zip(fused(images), plain(images), strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)

    assert not any(isinstance(module, (torch.nn.Conv2d, DepthwiseConv2d)) for module in fused.modules())
    assert not any(isinstance(module, FusedConv2d) for module in plain.modules())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)])
def test_depthwise_gradients_equal_autograd(kernel, stride, dtype):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(6, 6, kernel, stride, kernel // 2, groups=6, bias=False).to(dtype)
    x = torch.randn(2, 6, 12, 16, dtype=dtype, requires_grad=True)
    ours = DepthwiseConv2d(conv)(x)
    exact = [t.detach().double().requires_grad_() for t in (x, conv.weight)]
    reference = F.conv2d(*exact, None, stride, kernel // 2, groups=6)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.1}
    torch.testing.assert_close(ours.double(), reference, **tolerance)
    upstream = torch.randn_like(ours)
    ours = torch.autograd.grad(ours, (x, conv.weight), upstream)
    for a, b in zip(ours, torch.autograd.grad(reference, exact, upstream.double()), strict=True):
        assert a.dtype == dtype
        torch.testing.assert_close(a.double(), b, **tolerance)


def test_frozen_stages_and_batchnorm_stay_as_they_are():
    torch.manual_seed(0)
    model = DDP(CONFIGS["ddp_lite"])
    model.freeze_backbone(2)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    features = model.extract(torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8))
    features.agg.square().mean().backward()
    for name, parameter in model.backbone.named_parameters():
        frozen = name.startswith(("stages.0.", "stages.1."))
        assert (parameter.grad is None) == frozen, name
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_unsupported_backbone():
    with pytest.raises(ValueError, match="regnetx_002"):
        Backbone("regnetx_002")

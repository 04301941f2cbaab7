"""Predictors that find exactly the people of a scene, whatever their weights: all the work is done, then its result replaced.

So networks with random weights, and networks that would find other people, are timed on the same number of people and the
same foreground.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.scenes import Scene
from ddp_video.model import ddp
from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.densepose_rcnn import DensePoseRCNN, DenseposeRCNNPredictor, RCNNConfig
from ddp_video.model.detection import Detections, detect
from ddp_video.model.instance_branch import HEAD_STRIDES, SIZE_OF_INTEREST_PER_STRIDE, InstanceOutput
from ddp_video.model.predictor import DDPPredictor
from ddp_video.structures import FramePrediction, Grid

SCORE = 0.9
LOGIT = 4.0  # of a mask, inside; minus that outside


def on(scene: Scene, predictor: DDPPredictor | DenseposeRCNNPredictor) -> Callable[[], FramePrediction]:
    """A call that predicts the scene's picture, with the people that are really in it."""
    size = scene.picture.shape[:2]
    height, width = predictor.input_size(size)
    boxes = scene.boxes_xyxy * torch.tensor([width / size[1], height / size[0]] * 2)
    batch, force = scene.batch(), _forced_ddp if isinstance(predictor, DDPPredictor) else _forced_rcnn
    masks = F.interpolate(torch.from_numpy(scene.masks)[None].float(), Grid(size, (height, width)).size, mode="area")[0]
    replace = force(predictor, boxes.to(predictor.device), torch.where(masks > 0.5, LOGIT, -LOGIT).to(predictor.device))

    def predict() -> FramePrediction:
        with ExitStack() as stack:
            for owner, name, forced in replace:
                stack.enter_context(patch.object(owner, name, forced, create=True))
            return predictor.predict(batch)[0]

    return predict


def _forced_ddp(predictor: DDPPredictor, boxes: Tensor, mask_logits: Tensor) -> list[tuple]:
    branch = predictor.model.instance_branch
    compute_masks = branch.masks
    sides, centres = (boxes[:, 2:] - boxes[:, :2]).amax(1), (boxes[:, 2:] + boxes[:, :2]) / 2
    rows, columns = mask_logits.shape[1:]

    def find(heads: InstanceOutput, size: tuple[int, int], score_threshold: float) -> Detections:
        detect(heads, size, score_threshold)
        strides = torch.tensor(HEAD_STRIDES, device=boxes.device)
        level = (strides * SIZE_OF_INTEREST_PER_STRIDE < sides[:, None]).sum(1).clamp(max=len(strides) - 1)
        far = (heads.locations - centres[:, None]).norm(dim=2)
        location = far.masked_fill(heads.strides != strides[level][:, None], torch.inf).argmin(1)
        return Detections(torch.zeros_like(location), location, boxes, torch.full_like(sides, SCORE))

    def masks(*heads: Tensor) -> Tensor:
        computed = compute_masks(*heads)
        computed[:, :, :rows, :columns] = mask_logits[:, None]
        return computed

    return [(ddp, "detect", find), (branch, "masks", masks)]


def _forced_rcnn(predictor: DenseposeRCNNPredictor, boxes: Tensor, _: Tensor) -> list[tuple]:
    heads = predictor.model.roi_heads
    compute = heads.detect

    def find(*features) -> tuple[list[Tensor], list[Tensor]]:
        compute(*features)
        return [boxes], [torch.full_like(boxes[:, 0], SCORE)]

    return [(heads, "detect", find)]


def random_ddp(name: str) -> DDP:
    torch.manual_seed(0)
    return DDP(CONFIGS[name]).eval()


def random_rcnn() -> DensePoseRCNN:
    """densepose_rcnn_R_50_FPN_DL_s1x, the paper's peer, with weights that keep activations at ordinary sizes."""
    torch.manual_seed(0)
    model = DensePoseRCNN(RCNNConfig(head="deeplab"))
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if "conv3" in name:  # the end of a residual branch
                module.weight.data *= 0.3
    for layer in (model.proposal_generator.rpn_head.anchor_deltas, model.roi_heads.box_predictor.bbox_pred):
        layer.weight.data *= 0.01
    model.backbone.bottom_up.stem.conv1.weight.data *= 0.02
    return model.eval()

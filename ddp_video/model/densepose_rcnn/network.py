"""The top-down DensePose R-CNN (Gueler et al., CVPR 2018; the baseline of the paper's Tables 1 and 4 and Figure 4).

Images -> feature pyramid -> candidate boxes -> people's boxes and scores -> charts in each box. Written on
torchvision's operators after the behaviour of detectron2's DensePose project, to which its outputs are equal
(tests/model/test_densepose_rcnn_parity.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import nms

from ddp_video.hardware import full_precision
from ddp_video.model.densepose_rcnn.backbone import FPN
from ddp_video.model.densepose_rcnn.boxes import apply_deltas, as_rois, clip, nonempty, pool
from ddp_video.model.densepose_rcnn.config import RCNNConfig
from ddp_video.model.densepose_rcnn.heads import ChartPredictor, Charts, Decoder, DensePoseHead
from ddp_video.model.densepose_rcnn.proposals import ProposalGenerator

PIXEL_MEAN = (103.53, 116.28, 123.675)  # B, G, R
PAD_MULTIPLE = 32

BOX_CELLS = 7
CHART_CELLS, LEGACY_CHART_CELLS = 28, 14
BOX_WEIGHTS = (10.0, 5.0)  # of centre and size deltas
NMS_IOU = 0.5
MAX_PEOPLE = 100


@dataclass(frozen=True)
class Detections:
    """The people of one image, best first: boxes_xyxy [N, 4] px of the input, scores [N], and their charts."""

    boxes_xyxy: Tensor
    scores: Tensor
    charts: Charts


class BoxHead(nn.Module):
    def __init__(self, config: RCNNConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.fpn_channels * BOX_CELLS**2, config.box_channels)
        self.fc2 = nn.Linear(config.box_channels, config.box_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.fc2(F.relu_(self.fc1(x.flatten(1)))))


class BoxPredictor(nn.Module):
    def __init__(self, config: RCNNConfig):
        super().__init__()
        self.cls_score = nn.Linear(config.box_channels, 2)  # person, background
        self.bbox_pred = nn.Linear(config.box_channels, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of a person [K] and box deltas [K, 4]."""
        return full_precision(self.cls_score(x)).softmax(dim=1)[:, 0], full_precision(self.bbox_pred(x))


class ROIHeads(nn.Module):
    def __init__(self, config: RCNNConfig):
        super().__init__()
        self.box_head = BoxHead(config)
        self.box_predictor = BoxPredictor(config)
        self.decoder = Decoder(config.fpn_channels) if config.decoder else None
        self.densepose_head = DensePoseHead(config)
        self.densepose_predictor = ChartPredictor(config)

    def detect(
        self, pyramid: list[Tensor], proposals: list[Tensor], size: tuple[int, int], score_threshold: float
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Boxes [N, 4] and scores [N] of the people in each image, best first."""
        rois = as_rois(proposals)
        scores, deltas = self.box_predictor(self.box_head(pool(pyramid, rois, BOX_CELLS)))
        moved = apply_deltas(deltas, rois[:, 1:], BOX_WEIGHTS)
        counts = [len(of_image) for of_image in proposals]
        people = [
            _people(boxes, probability, size, score_threshold)
            for boxes, probability in zip(moved.split(counts), scores.split(counts), strict=True)
        ]
        return [boxes for boxes, _ in people], [probability for _, probability in people]

    def charts(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Charts]:
        rois = as_rois(boxes)
        if self.decoder is None:
            pooled = pool(pyramid, rois, LEGACY_CHART_CELLS)
        else:
            pooled = pool([self.decoder(pyramid)], rois, CHART_CELLS)
        charts = self.densepose_predictor(self.densepose_head(pooled))
        return charts.split([len(of_image) for of_image in boxes])


def _people(boxes: Tensor, scores: Tensor, size: tuple[int, int], score_threshold: float) -> tuple[Tensor, Tensor]:
    keep = (scores > score_threshold) & boxes.isfinite().all(dim=1)
    boxes, scores = clip(boxes[keep], size), scores[keep]
    keep = nms(boxes, scores, NMS_IOU)[:MAX_PEOPLE]
    keep = keep[nonempty(boxes[keep])]
    return boxes[keep], scores[keep]


class DensePoseRCNN(nn.Module):
    """Only for inference: built from a checkpoint by `checkpoint.load`, never trained here."""

    def __init__(self, config: RCNNConfig):
        super().__init__()
        self.config = config
        self.source: dict[str, str] = {}  # file name and hash of the checkpoint
        self.backbone = FPN(config)
        self.proposal_generator = ProposalGenerator(config.fpn_channels)
        self.roi_heads = ROIHeads(config)

    @torch.no_grad()
    def forward(self, images: Tensor, score_threshold: float = 0.05) -> list[Detections]:
        """
        Args:
            images: [B, 3, H, W] RGB in 0..255, uint8 or float, of any size (the published models were trained with a
                short side of 640 to 800 px).
            score_threshold: people that score no more are left out.
        Returns:
            One `Detections` an image.
        """
        size = images.shape[2], images.shape[3]
        inputs = full_precision(images.flip(1))
        inputs = inputs - inputs.new_tensor(PIXEL_MEAN)[:, None, None]
        inputs = F.pad(inputs, (0, -size[1] % PAD_MULTIPLE, 0, -size[0] % PAD_MULTIPLE))
        pyramid = self.backbone(inputs)
        proposals = self.proposal_generator(pyramid, size)
        boxes, scores = self.roi_heads.detect(pyramid[:4], proposals, size, score_threshold)
        charts = self.roi_heads.charts(pyramid[:4], boxes)
        return [Detections(*of_image) for of_image in zip(boxes, scores, charts, strict=True)]

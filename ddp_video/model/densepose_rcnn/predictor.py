"""Frames in, predictions out: DensePose R-CNN behind the interface of `ddp_video.model.predictor.DDPPredictor`."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor
from torch.nn import functional as F

from ddp_video.model.densepose_rcnn.checkpoint import MODEL_NAME
from ddp_video.model.densepose_rcnn.network import DensePoseRCNN, Detections
from ddp_video.model.densepose_rcnn.paste import paste
from ddp_video.structures import UNTRACKED, FrameBatch, FramePrediction, Grid, Instances

SHORT_SIDE = 800  # px, of the published models' input
LONGEST_PER_SHORTEST = 1333 / 800  # a longer frame is made smaller than `size` on its short side too

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class DenseposeRCNNPredictor:
    """
    Args:
        model: from `densepose_rcnn.load`.
        device: where to run.
        precision: "fp32", "bf16" or "fp16".
        size: px of the short side that frames are resized to, up or down as detectron2 does.
        score_threshold: people that score no more are left out. detectron2 evaluates with 0.05 and shows with 0.8; in a
            global map every box hides what lies under it, so that video wants fewer than evaluation.
    """

    charts = "densepose"  # the official ones, of the SMPL-based DensePose-COCO

    def __init__(
        self,
        model: DensePoseRCNN,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        size: int = SHORT_SIDE,
        score_threshold: float = 0.5,
    ):
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        if size < 64:
            raise ValueError(f"size must be at least 64 px, got {size}")
        if not 0 <= score_threshold < 1:
            raise ValueError(f"score_threshold must lie in 0..1, got {score_threshold}")
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.precision = precision
        self.size = size
        self.score_threshold = score_threshold

    def describe(self) -> dict:
        """What decides the result, for run.json."""
        return {
            "name": MODEL_NAME,
            "config": {"name": self.model.config.name, **asdict(self.model.config)},
            "weights": self.model.source,
            "charts": self.charts,
            "precision": self.precision,
            "size": self.size,
            "score_threshold": self.score_threshold,
        }

    def predict(self, batch: FrameBatch) -> list[FramePrediction]:
        """One prediction a frame, on the CPU."""
        grid = Grid(batch.frame_size, input_size(batch.frame_size, self.size))
        # As detectron2 (through Pillow) resizes: 8 bits in, 8 bits out, with antialiasing.
        images = F.interpolate(batch.data.cpu(), grid.input_size, mode="bilinear", antialias=True, align_corners=False)
        return [
            self._prediction(batch, index, grid, detections) for index, detections in enumerate(self._detect(images))
        ]

    def _detect(self, images: Tensor) -> list[Detections]:
        dtype = PRECISIONS[self.precision]
        try:
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                return self.model(images.to(self.device), self.score_threshold)
        except torch.cuda.OutOfMemoryError:
            if len(images) == 1:
                raise
        half = len(images) // 2
        return self._detect(images[:half]) + self._detect(images[half:])

    def _prediction(self, batch: FrameBatch, index: int, grid: Grid, detections: Detections) -> FramePrediction:
        boxes, scores = detections.boxes_xyxy, detections.scores
        masks, dense_masks, iuv = paste(boxes, scores, detections.charts, grid)
        (frame_h, frame_w), (input_h, input_w) = grid.frame_size, grid.input_size
        to_frame = boxes.new_tensor([frame_w / input_w, frame_h / input_h]).repeat(2)
        track_id = torch.full_like(scores, UNTRACKED, dtype=torch.int64)
        return FramePrediction(
            index=batch.first_index + index,
            pts=int(batch.pts[index]),
            pts_seconds=float(batch.pts_seconds[index]),
            grid=grid,
            instances=Instances(boxes * to_frame, scores, masks, dense_masks, track_id).to("cpu"),
            iuv=iuv.to("cpu"),
        )


def input_size(frame_size: tuple[int, int], size: int) -> tuple[int, int]:
    """(h, w) px that a frame (H, W) is resized to: short side `size`, unless the long side would be over 5/3 of it."""
    scale = min(size / min(frame_size), size * LONGEST_PER_SHORTEST / max(frame_size))
    return int(frame_size[0] * scale + 0.5), int(frame_size[1] * scale + 0.5)

"""Frames in, predictions out: DensePose R-CNN behind the interface of `ddp_video.model.predictor.DDPPredictor`."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor
from torch.nn import functional as F

from ddp_video.hardware import DTYPES, autocast, choose_device, choose_precision, halving
from ddp_video.model.densepose_rcnn.config import MODEL_NAME
from ddp_video.model.densepose_rcnn.network import DensePoseRCNN, Detections
from ddp_video.model.densepose_rcnn.paste import paste
from ddp_video.structures import UNTRACKED, FrameBatch, FramePrediction, Grid, Instances

SHORT_SIDE = 800  # px, of the published models' input
LONGEST_PER_SHORTEST = 1333 / 800  # a longer frame is made smaller than `size` on its short side too
MIN_SIZE = 64

# detectron2 evaluates with 0.05 and shows with 0.8. In a global map every box hides what lies under it, so that video
# wants fewer boxes than evaluation.
SCORE_THRESHOLD = 0.5


class DenseposeRCNNPredictor:
    """Runs a DensePose R-CNN on batches of frames.

    Args:
        model: from `densepose_rcnn.load`.
        device: 'cpu', 'cuda', 'cuda:1' ..., or 'auto'.
        precision: 'fp32', 'bf16', 'fp16', or 'auto': bf16 where the hardware multiplies it natively.
        size: px, of the short side that frames are resized to, up or down as detectron2 does.
        score_threshold: people that score no more are left out, 0..1.
    """

    charts = "densepose"  # the official ones, of the SMPL-based DensePose-COCO

    def __init__(
        self,
        model: DensePoseRCNN,
        device: torch.device | str = "auto",
        precision: str = "auto",
        size: int = SHORT_SIDE,
        score_threshold: float = SCORE_THRESHOLD,
    ):
        if size < MIN_SIZE:
            raise ValueError(f"size must be at least {MIN_SIZE} px, got {size}")
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score threshold must be in 0..1, got {score_threshold}")
        self.device = choose_device(device)
        self.precision = choose_precision(self.device, precision)
        self.size = size
        self.score_threshold = score_threshold
        self.model = model.to(self.device, memory_format=torch.channels_last)

    def describe(self) -> dict:
        """What run.json records."""
        return {
            "model": {"name": MODEL_NAME, "zoo_name": self.model.config.name, **asdict(self.model.config)},
            "weights": self.model.source.get("file"),
            "weights_sha256": self.model.source.get("sha256"),
            "device": str(self.device),
            "precision": self.precision,
            "size": self.size,
            "score_threshold": self.score_threshold,
        }

    def predict(self, frames: FrameBatch) -> list[FramePrediction]:
        """One prediction a frame, on the CPU. When memory runs out the batch is halved, down to single frames."""
        if len(frames) == 0:
            return []
        grid = Grid(frames.frame_size, self.input_size(frames.frame_size))
        # As detectron2 (through Pillow) resizes: 8 bits in, 8 bits out, with antialiasing.
        images = F.interpolate(frames.data.cpu(), grid.input_size, mode="bilinear", antialias=True)
        return [self._prediction(frames, i, grid, found) for i, found in enumerate(halving(self._detect, images))]

    def input_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) px that a frame (H, W) is resized to: short side `size`, unless the long side would be over 5/3 of it."""
        scale = min(self.size / min(frame_size), self.size * LONGEST_PER_SHORTEST / max(frame_size))
        return int(frame_size[0] * scale + 0.5), int(frame_size[1] * scale + 0.5)

    def _detect(self, images: Tensor) -> list[Detections]:
        with autocast(self.device, DTYPES[self.precision]):
            return self.model(images.to(self.device), self.score_threshold)

    def _prediction(self, frames: FrameBatch, index: int, grid: Grid, found: Detections) -> FramePrediction:
        masks, dense_masks, iuv = paste(found.boxes_xyxy, found.scores, found.charts, grid)
        (frame_h, frame_w), (input_h, input_w) = grid.frame_size, grid.input_size
        boxes = found.boxes_xyxy * found.boxes_xyxy.new_tensor([frame_w / input_w, frame_h / input_h] * 2)
        track_id = torch.full_like(found.scores, UNTRACKED, dtype=torch.int64)
        return FramePrediction(
            index=frames.first_index + index,
            pts=int(frames.pts[index]),
            pts_seconds=float(frames.pts_seconds[index]),
            grid=grid,
            instances=Instances(boxes, found.scores, masks, dense_masks, track_id).to("cpu"),
            iuv=iuv.to("cpu"),
        )

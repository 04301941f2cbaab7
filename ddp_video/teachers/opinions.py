"""What BodyPix and our own model say about a frame, on one grid: probabilities of the background and of every chart."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ddp_video.charts import MIRROR, NUM_CLASSES, PART_NAMES, PART_OF_CHART
from ddp_video.data.sample import UNLABELLED
from ddp_video.model.predictor import DDPPredictor
from ddp_video.structures import STRIDE, FrameBatch, FramePrediction
from ddp_video.teachers.bodypix import OUTPUT_STRIDE, BodyPix


@dataclass(frozen=True)
class OwnOpinion:
    """Our model on a frame of h x w cells.

    boxes: [N, 4] xyxy px. person: [N, h, w] probability. charts: [h, w, 25] probability of each, zero off the cells that it
    looked at, `seen` [h, w]. uv: [h, w, 25, 2] in 0..1, of every chart. in_mirror: [h, w, 25] its charts of the frame's
    mirror image, mirrored back: a side that it guesses from habit is the other one there.
    """

    boxes: np.ndarray
    person: np.ndarray
    charts: np.ndarray
    uv: np.ndarray
    seen: np.ndarray
    in_mirror: np.ndarray

    def agreed(self, least: float) -> np.ndarray:
        """[h, w] uint8: the chart that both looks find the likeliest, of a mean probability of at least `least`, or
        UNLABELLED."""
        chart = self.charts.argmax(-1)
        mean = np.take_along_axis(self.charts + self.in_mirror, chart[..., None], -1)[..., 0] / 2
        alike = (chart > 0) & (self.in_mirror.argmax(-1) == chart) & (mean >= least)
        return np.where(alike, chart, UNLABELLED).astype(np.uint8)


def ask_own_model(predictor: DDPPredictor, image: np.ndarray) -> OwnOpinion:
    """Our model's opinion on image [H, W, 3] uint8 RGB."""
    alone = FrameBatch.of_picture(image)
    predictor = predictor.for_clip(lambda: alone)  # each picture at the size that its people need
    prediction, dense, seen, charts = _look(predictor, image)
    *_, in_mirror = _look(predictor, image[:, ::-1])
    size = cells_of(image)
    uv = _resize(dense[NUM_CLASSES:].clamp(0, 1).numpy().transpose(1, 2, 0), size)
    uv = np.minimum(uv / np.maximum(seen, 1e-6)[..., None], 1)  # a mean of what was looked at: elsewhere it is 0
    masks = prediction.instances.mask_logits.float().sigmoid().numpy()
    return OwnOpinion(
        prediction.instances.boxes_xyxy.numpy(),
        np.stack([_resize(mask, size) for mask in masks]) if len(masks) else np.zeros((0, *size), np.float32),
        charts,
        np.stack([uv[..., :NUM_CLASSES], uv[..., NUM_CLASSES:]], -1),
        seen > 0.5,
        in_mirror[:, ::-1, MIRROR],
    )


def _look(predictor: DDPPredictor, image: np.ndarray) -> tuple[FramePrediction, torch.Tensor, np.ndarray, np.ndarray]:
    """One look at image [H, W, 3]: the prediction; on its own grid its dense IUV [75, rows, columns]; and on the image's cells
    the share [h, w] of each that it looked at, and charts [h, w, 25]."""
    prediction = predictor.predict(FrameBatch.of_picture(image))[0]
    dense = prediction.iuv.dense(prediction.grid.size).float()
    seen = torch.zeros(prediction.grid.size)
    seen[prediction.iuv.sites[:, 1].long(), prediction.iuv.sites[:, 2].long()] = 1
    charts = dense[1:NUM_CLASSES].softmax(0).numpy() * seen.numpy()
    charts = _resize(np.concatenate([np.zeros_like(charts[:1]), charts]).transpose(1, 2, 0), cells_of(image))
    charts /= np.maximum(charts.sum(-1, keepdims=True), 1e-6)
    return prediction, dense, _resize(seen.numpy(), cells_of(image)), charts


def ask_bodypix(bodypix: BodyPix, image: np.ndarray) -> np.ndarray:
    """[h, w, 25] on the cells of image [H, W, 3] uint8 RGB."""
    height, width = (max(OUTPUT_STRIDE, round(n / OUTPUT_STRIDE) * OUTPUT_STRIDE) for n in image.shape[:2])
    return _resize(bodypix(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)), cells_of(image))


def cells_of(image: np.ndarray) -> tuple[int, int]:
    """(h, w) of the grid of STRIDE px over an image."""
    return -(-image.shape[0] // STRIDE), -(-image.shape[1] // STRIDE)


def parts_of(charts: np.ndarray) -> np.ndarray:
    """[..., 25] probabilities of charts -> [..., 15] of parts."""
    out = np.zeros((*charts.shape[:-1], len(PART_NAMES)), np.float32)
    for chart, part in enumerate(PART_OF_CHART):
        out[..., part] += charts[..., chart]
    return out


def without_sides(parts: np.ndarray) -> np.ndarray:
    """[..., 15] -> the same with every limb's probability that of both sides together."""
    out = parts.copy()
    for part, name in enumerate(PART_NAMES):
        if name.startswith("left "):
            twin = PART_NAMES.index(name.replace("left", "right"))
            out[..., part] = out[..., twin] = parts[..., part] + parts[..., twin]
    return out


def _resize(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if plane.shape[:2] == size:
        return plane
    channels = [
        cv2.resize(np.ascontiguousarray(c), size[::-1], interpolation=cv2.INTER_LINEAR)
        for c in np.atleast_3d(plane).transpose(2, 0, 1)
    ]
    return np.stack(channels, -1).reshape(*size, *plane.shape[2:])

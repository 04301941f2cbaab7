"""BodyPix: 24 body parts per pixel, nearly ours (Apache-2.0, TensorFlow.js models)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from scipy.special import expit

from ddp_video.charts import NUM_CLASSES
from ddp_video.structures import STRIDE
from ddp_video.teachers.litert import LiteModel

# Our chart of each of BodyPix's parts: left and right face; upper arms, lower arms (left front, left back, right front,
# right back); hands; torso front, back; upper legs, lower legs; feet.
CHARTS = (24, 23, 17, 15, 18, 16, 21, 19, 22, 20, 4, 3, 2, 1, 10, 8, 9, 7, 14, 12, 13, 11, 5, 6)
OUTPUT_STRIDE = 16  # px between the cells of its outputs; the first lies on the first pixel


class BodyPix:
    """Args: path: a BodyPix .tflite file with output stride 16."""

    def __init__(self, path: str | Path):
        self.model = LiteModel(path, ("float_segments", "float_part_heatmaps"))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """[H, W, 3] uint8 RGB, sides a multiple of 16 -> [H/4, W/4, 25] probability of background and of each chart."""
        padded = np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge")
        outputs = self.model(padded)
        person = expit(outputs["float_segments"])
        parts = outputs["float_part_heatmaps"]
        parts = np.exp(parts - parts.max(-1, keepdims=True))
        coarse = np.empty((*parts.shape[:2], NUM_CLASSES), np.float32)
        coarse[..., :1] = 1 - person
        coarse[..., CHARTS] = person * parts / parts.sum(-1, keepdims=True)
        return _at_cell_centres(coarse, (image.shape[0] // STRIDE, image.shape[1] // STRIDE))


def _at_cell_centres(coarse: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate from BodyPix's cells to the centres of cells of STRIDE px."""
    y, x = (((np.arange(n) + 0.5) * STRIDE - 0.5) / OUTPUT_STRIDE for n in size)
    across, down = (grid.astype(np.float32) for grid in np.meshgrid(x, y))
    planes = [
        cv2.remap(np.ascontiguousarray(plane), across, down, cv2.INTER_LINEAR) for plane in coarse.transpose(2, 0, 1)
    ]
    return np.stack(planes, -1)

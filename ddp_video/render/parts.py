"""The charts in the colours that MagicAnimate and its kin were trained on."""

from __future__ import annotations

import cv2
import numpy as np

from ddp_video.charts import NUM_CHARTS
from ddp_video.structures import DensePose


def colours() -> np.ndarray:
    """[25, 3] uint8 RGB of each chart: VIRIDIS at chart * 255 / 24, cut to a whole number as detectron2's `dp_segm` does.

    The background is VIRIDIS at 0, dark purple.
    """
    values = (np.arange(NUM_CHARTS + 1, dtype=np.float32) * (255 / NUM_CHARTS)).astype(np.uint8)
    return cv2.applyColorMap(values[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]


def parts(pose: DensePose) -> np.ndarray:
    """[H, W, 3] uint8 RGB: each pixel in the opaque colour of its chart."""
    return colours().take(pose.part.numpy(), axis=0)

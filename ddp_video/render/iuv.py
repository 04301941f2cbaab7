"""The dense pose itself as a picture: charts and coordinates as numbers in three channels."""

from __future__ import annotations

import cv2
import numpy as np

from ddp_video.structures import DensePose

ORDERS = ("rgb", "bgr")


def iuv(pose: DensePose, order: str = "rgb") -> np.ndarray:
    """[H, W, 3] uint8 for a lossless file.

    "rgb": R = I (chart 0..24), G = round(255 U), B = round(255 V). To read it: I = R, U = G / 255, V = B / 255.
    "bgr": the older convention, blue = I, green = 255 U, red = 255 V, so that OpenCV, which gives channels in the
    order blue, green, red, reads (I, U, V).
    """
    if order not in ORDERS:
        raise ValueError(f"unknown channel order {order!r}; choose one of {', '.join(ORDERS)}")
    u, v = (cv2.convertScaleAbs(plane, alpha=255) for plane in pose.uv.numpy())
    channels = [pose.part.numpy(), u, v]
    return cv2.merge(channels if order == "rgb" else channels[::-1])


def read_iuv(picture_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Back from a picture in "rgb" order: charts [H, W] uint8 and u, v [2, H, W] float32, within 1 / 510."""
    part = picture_rgb[..., 0]
    return part, picture_rgb[..., 1:].transpose(2, 0, 1) / np.float32(255)

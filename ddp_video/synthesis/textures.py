"""Images in a row with their reductions, as the kernels read them."""

from __future__ import annotations

import math

import cv2
import numpy as np

_SMALLEST = 32  # px, side of the last reduction


class TextureBank:
    """texels: [N, 3 or 4] uint8 BGR(A). Each image's levels are (start, side)."""

    def __init__(self, images: list[np.ndarray]):
        """images: uint8 [S, S, 3 or 4], all with as many channels, S a power of two."""
        parts: list[np.ndarray] = []
        self.levels: list[list[tuple[int, int]]] = []
        start = 0
        for image in images:
            levels = []
            while image.shape[0] >= _SMALLEST:
                side = image.shape[0]
                parts.append(image.reshape(-1, image.shape[2]))
                levels.append((start, side))
                start += side * side
                image = cv2.resize(image, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
            self.levels.append(levels)
        self.texels = np.concatenate(parts)

    def level(self, image: int, texels_per_pixel: float) -> tuple[int, int]:
        """(start, side) of the reduction of an image that suits a scale of its full-size texels."""
        levels = self.levels[image]
        step = math.floor(math.log2(max(texels_per_pixel, 1e-3)) + 0.3)
        return levels[min(max(step, 0), len(levels) - 1)]


def luminance(image: np.ndarray) -> float:
    """Mean brightness 0..1 of a BGRA image where it is opaque."""
    weight = image[..., 3].astype(np.float32) + 1e-3
    return float((image[..., :3].mean(-1) * weight).sum() / weight.sum()) / 255

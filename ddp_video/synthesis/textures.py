"""Images in a row with their reductions, as the kernels read them."""

from __future__ import annotations

import math

import cv2
import numpy as np

_SMALLEST = 32  # px, side of the last reduction


class TextureBank:
    """texels: [N, 4] uint8 BGRA. Each image's levels are (start, side); luminance: mean 0..1 where it is opaque."""

    def __init__(self, images: list[np.ndarray]):
        """images: uint8 [S, S, 3 or 4], S a power of two."""
        parts: list[np.ndarray] = []
        self.levels: list[list[tuple[int, int]]] = []
        self.luminance: list[float] = []
        start = 0
        for image in images:
            if image.shape[2] == 3:
                image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
            weight = image[..., 3].astype(np.float64) + 1e-3
            self.luminance.append(float(np.average(image[..., :3].mean(-1), weights=weight)) / 255)
            levels = []
            while image.shape[0] >= _SMALLEST:
                side = image.shape[0]
                parts.append(image.reshape(-1, 4))
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

"""PSNR and SSIM of two pictures, as scikit-image computes them."""

from __future__ import annotations

import math

import cv2
import numpy as np

PEAK = 255.0
PSNR_CAP = 100.0  # dB, of identical pictures
RADIUS, SIGMA = 5, 1.5  # px, of SSIM's Gaussian window
K1, K2 = 0.01, 0.03


def luma(rgb: np.ndarray) -> np.ndarray:
    """[H, W] uint8 brightness of [H, W, 3] uint8 RGB: .299 R + .587 G + .114 B, rounded."""
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """10 log10(255^2 / mean squared difference) of two uint8 pictures, dB, at most 100; higher is more alike."""
    squared = cv2.norm(first, second, cv2.NORM_L2SQR) / first.size
    return PSNR_CAP if squared == 0 else min(10 * math.log10(PEAK**2 / squared), PSNR_CAP)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Mean structural similarity of two uint8 [H, W] pictures, -1..1; higher is more alike.

    11 x 11 Gaussian window of sigma 1.5, population covariance, mirrored borders, of which 5 px are left out of the mean
    (along a side shorter than 11 px, nothing is left out).
    """
    # About the middle of the range, so that variances in float32 do not drown in the squares of means.
    x, y = (picture.astype(np.float32) - np.float32(128) for picture in (first, second))

    def blur(values: np.ndarray) -> np.ndarray:
        size = 2 * RADIUS + 1
        blurred = cv2.GaussianBlur(values, (size, size), SIGMA, borderType=cv2.BORDER_REFLECT)
        return blurred[tuple(slice(RADIUS, n - RADIUS) if n >= size else slice(None) for n in values.shape)]

    mean_x, mean_y = blur(x), blur(y)
    variances = blur(x * x) - mean_x * mean_x + blur(y * y) - mean_y * mean_y
    covariance = blur(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + 128, mean_y + 128
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return float(similarity.mean(dtype=np.float64))

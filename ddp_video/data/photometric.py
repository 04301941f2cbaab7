"""How a camera, a codec and a lamp may change a picture without moving anything: augmentation of colour and sharpness.

Every function takes and gives uint8 [H, W, 3] and draws from the generator it is handed, so a seed fixes the result.
"""

from __future__ import annotations

import cv2
import numpy as np

_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = np.linalg.inv(_YIQ)


def tone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gamma, contrast, brightness and white balance: one table a channel."""
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    levels = (levels - 0.5) * np.exp(rng.normal(0, 0.2)) + 0.5 + rng.normal(0, 0.06)
    levels = levels * np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.07, 3))
    return cv2.LUT(image, np.clip(255 * levels, 0, 255).astype(np.uint8)[None])


def colour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Saturation and hue, and now and then no colour at all: one 3x3 matrix in YIQ."""
    saturation = 0.0 if rng.random() < 0.06 else np.exp(rng.normal(0, 0.35))
    hue = rng.normal(0, 0.12) if rng.random() < 0.96 else rng.uniform(-np.pi, np.pi)
    c, s = saturation * np.cos(hue), saturation * np.sin(hue)
    return cv2.transform(image, _RGB @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ _YIQ)


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus, moved by up to a dozen px, or filmed with fewer pixels."""
    kind = rng.random()
    if kind < 0.4:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    if kind < 0.6:
        length, angle = rng.integers(3, 13), rng.uniform(0, np.pi)
        end = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
        kernel, centre = np.zeros((length, length), np.float32), (length - 1) / 2
        cv2.line(
            kernel,
            tuple(np.rint(centre - end).astype(int).tolist()),
            tuple(np.rint(centre + end).astype(int).tolist()),
            1,
        )
        return cv2.filter2D(image, -1, kernel / kernel.sum())
    factor = rng.uniform(0.35, 0.9)
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    way = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(small, image.shape[1::-1], interpolation=way)


def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sensor noise, coloured or grey."""
    channels, sigma = 3 if rng.random() < 0.5 else 1, rng.uniform(2, 16)
    grain = np.empty((*image.shape[:2], channels), np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31)))  # OpenCV draws four times as fast as NumPy
    cv2.randn(grain, 0, (sigma,) * channels)
    return cv2.add(image, np.broadcast_to(grain, image.shape), dtype=cv2.CV_8U)


def compress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blocks and ringing of a bad codec."""
    quality = int(rng.integers(15, 80))
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


# In the order in which light, lens, sensor and codec act, each with how often it does.
STEPS = ((tone, 0.9), (colour, 0.7), (blur, 0.35), (noise, 0.3), (compress, 0.35))


def photometric(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random few of the above."""
    for step, probability in STEPS:
        if rng.random() < probability:
            image = step(image, rng)
    return image

"""From light to file: what lens, shutter, sensor and codec do to a rendered picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

_CODECS = {"jpeg": (".jpg", cv2.IMWRITE_JPEG_QUALITY), "vp8": (".webp", cv2.IMWRITE_WEBP_QUALITY)}
_GREY = 0.26  # linear light that cameras make the mean of a picture
_CURVE = 2048  # entries of the response table, over 0 .. 2 in the root of linear light


@dataclass(frozen=True)
class Look:
    """One camera's response; the same for all frames of a shot.

    shutter: share of the time between two frames (1/25 s) during which it is open, 0 = no motion blur. curve: [2048] output
    0..1 over sqrt(light) in 0..2. gain, bias: [3] BGR. grey: black and white. blur: sigma px. noise: standard deviation
    0..1. reduction: how many times smaller the picture was before it was enlarged to its size. codec: "jpeg", "vp8" (a key
    frame, as WebP holds it) or "" with its quality.
    """

    shutter: float
    curve: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    grey: bool
    blur: float
    noise: float
    reduction: float
    codec: str
    quality: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Look:
        exposure, gamma = rng.uniform(0.75, 1.2), rng.uniform(0.85, 1.2)
        x = np.arange(_CURVE) / (_CURVE / 2) * np.sqrt(exposure)
        x = np.where(x > 0.8, 0.8 + 0.2 * np.tanh((x - 0.8) / 0.2), x)  # highlights roll off
        dim = rng.random() < 0.1  # low light: dark and grainy
        curve = np.clip(x, 0, 1) ** gamma * (rng.uniform(0.35, 0.7) if dim else 1)
        codec = str(rng.choice(["", "jpeg", "vp8"], p=[0.45, 0.42, 0.13]))
        return cls(
            shutter=rng.uniform(0.15, 0.9) if rng.random() < 0.25 else 0.0,
            curve=curve.astype(np.float32),
            gain=(1 + rng.normal(0, 0.04, 3)).astype(np.float32),
            bias=rng.normal(0, 0.012, 3).astype(np.float32),
            grey=bool(rng.random() < 0.05),
            blur=rng.uniform(0.3, 1.2) if rng.random() < 0.35 else 0.0,
            noise=rng.uniform(0.02, 0.06) if dim else rng.uniform(0.002, 0.03) if rng.random() < 0.7 else 0.0,
            reduction=rng.uniform(1.15, 2.2) if rng.random() < 0.12 else 1.0,
            codec=codec,
            quality=int(rng.integers(12, 92) if codec == "jpeg" else rng.integers(1, 60)),
        )


def metered(light: np.ndarray) -> float:
    """The exposure, as a factor on linear light [H, W, 3], that a camera would choose: nearly as bright as others, not wholly."""
    return float(np.clip((_GREY / max(light[::4, ::4].mean(), 1e-4)) ** 0.8, 0.4, 5.0))


def grain(height: int, width: int) -> np.ndarray:
    """[height + 64, width + 64, 3] normal noise, of which every picture takes another window."""
    return np.random.default_rng(0).standard_normal((height + 64, width + 64, 3)).astype(np.float32)


@njit(cache=True, fastmath=True)
def _respond(image, curve, gain, bias, grey, noise, sigma, out):
    top = len(curve) - 1
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            mean = np.float32(0)
            for k in range(3):
                entry = min(int(np.sqrt(max(image[y, x, k], np.float32(0))) * (_CURVE / 2)), top)
                image[y, x, k] = curve[entry] * gain[k] + bias[k]
                mean += image[y, x, k] / 3
            for k in range(3):
                value = mean if grey else image[y, x, k]
                out[y, x, k] = np.uint8(min(max((value + noise[y, x, k] * sigma) * 255 + 0.5, 0.0), 255.0))


def develop(light: np.ndarray, look: Look, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 BGR [H, W, 3] from linear light [H, W, 3] float32 (which is overwritten)."""
    height, width = light.shape[:2]
    if look.reduction > 1:
        size = round(width / look.reduction), round(height / look.reduction)
        light = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    if look.blur:
        light = cv2.GaussianBlur(light, (0, 0), look.blur / look.reduction)
    y, x = rng.integers(0, 64, 2)
    out = np.empty(light.shape, np.uint8)
    window = noise[y : y + light.shape[0], x : x + light.shape[1]]
    _respond(light, look.curve, look.gain, look.bias, look.grey, window, np.float32(look.noise), out)
    if look.reduction > 1:  # after the sensor: its grain grows with the picture
        out = cv2.resize(out, (width, height), interpolation=cv2.INTER_CUBIC)
    if look.codec:
        suffix, setting = _CODECS[look.codec]
        out = cv2.imdecode(cv2.imencode(suffix, out, [setting, look.quality])[1], cv2.IMREAD_COLOR)
    return out

"""Colours that clothes, hair, eyes and things come in; BGR, 0..1."""

from __future__ import annotations

import colorsys

import numpy as np

EYES = np.array([(0.05, 0.1, 0.2), (0.03, 0.06, 0.1), (0.35, 0.25, 0.12), (0.2, 0.28, 0.2)], np.float32)
_BLOND = 4
_HAIR = np.array(  # RGB: black, dark brown, brown, light brown, blond, red, grey
    [(0.05, 0.05, 0.06), (0.1, 0.08, 0.06), (0.22, 0.13, 0.08), (0.4, 0.25, 0.15), (0.7, 0.55, 0.35), (0.5, 0.2, 0.08), (0.6, 0.6, 0.6)]
)  # fmt: skip


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """[3] float32: greys, black and white most, then blues, then anything."""
    kind = rng.random()
    hue, saturation, value = rng.random(), rng.uniform(0.15, 0.85), rng.uniform(0.2, 0.95)
    if kind < 0.3:  # dark clothes are what people wear
        saturation, value = rng.uniform(0, 0.25), rng.uniform(0.03, 0.28)
    elif kind < 0.52:
        saturation, value = rng.uniform(0, 0.15), rng.uniform(0.2, 0.97)
    elif kind < 0.7:
        hue, saturation, value = rng.uniform(0.55, 0.68), rng.uniform(0.2, 0.7), rng.uniform(0.1, 0.6)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)[::-1], np.float32)


def hair_colour(rng: np.random.Generator, old: bool) -> np.ndarray:
    """[3] float32."""
    grey = len(_HAIR) - 1
    index = grey if old and rng.random() < 0.6 else rng.choice(len(_HAIR), p=[0.28, 0.22, 0.2, 0.12, 0.1, 0.04, 0.04])
    return (_HAIR[index][::-1] * rng.uniform(0.8, 1.3)).astype(np.float32)


def ends_of_hair(rng: np.random.Generator, roots: np.ndarray) -> np.ndarray:
    """[3] float32: mostly as the roots, [3]; else bleached, or dyed in any colour."""
    odd = rng.random()
    if odd < 0.7:
        return roots
    if odd > 0.95:
        return cloth_colour(rng)
    return roots + rng.uniform(0.3, 1) * (_HAIR[_BLOND][::-1] * rng.uniform(0.7, 1.3) - roots).astype(np.float32)

"""What a surface is made of: rows of numbers that the shader reads, and the patterns and noise that it draws with."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Kinds of material
SKIN, CLOTH, HAIR, EYE, PLAIN, PICTURE = range(6)

# Columns of a material row (float32 [COLUMNS]); colours are BGR, 0..1, before squaring to linear light.
KIND = 0
TINT = 1  # 0 keeps the texture's colours .. 1 replaces them, keeping its shades
SPECULAR, SHININESS = 2, 3
MEAN_LUMINANCE = 4  # of the texture, 0..1
WAIST = 5  # canonical height, m: what is above is the upper garment, or not yet the ends of hair
NECK = 6  # canonical height, m, where painted upper clothes end
SLEEVE = 7  # length of painted sleeves: 1 = elbow, 2 = wrist
TROUSER = 8  # length of painted trousers: 1 = knee, 2 = ankle
SOCK = 9  # position along the lower leg below which socks or painted shoes begin
UPPER = 10  # ten columns from here: colour 3, second colour 3, pattern, its frequency
LOWER = 20  # likewise
SOCK_COLOUR = 30
TONE = 33  # factor on the skin's colour
WRINKLE = 36  # strength of the bumps
WRINKLE_SCALE = 37  # their number a metre
GLOVE = 38  # position along the lower arm below which gloves begin
GLOVE_COLOUR = 39
COLUMNS = 42
PATTERN, FREQUENCY = 6, 7  # within UPPER and LOWER

(SOLID, STRIPES, PINSTRIPES, CHECKS, PLAID, DOTS, CAMOUFLAGE, MOTTLED) = range(8)
NUM_PATTERNS = 8

_NOISE_SIDE = 64


def noise_volume(seed: int = 0) -> np.ndarray:
    """[64, 64, 64, 4] int8, periodic: gradient of a field of folds (3, in 32nds), and smooth noise (0..127 for 0..1).

    Bytes, because the shader reads it at random and caches are small.
    """
    rng = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(_NOISE_SIDE) * _NOISE_SIDE
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(frequency, frequency, frequency, indexing="ij")))

    def band(low: float, high: float) -> np.ndarray:
        spectrum = np.fft.fftn(rng.standard_normal((_NOISE_SIDE,) * 3))
        field = np.real(np.fft.ifftn(spectrum * ((radius >= low) & (radius < high)) / np.maximum(radius, 1)))
        return field / field.std()

    folds = 1 - np.abs(band(2, 6)) + 0.15 * (1 - np.abs(band(6, 14)))  # ridges where the field changes sign
    gradient = np.stack([(np.roll(folds, -1, k) - np.roll(folds, 1, k)) for k in range(3)], -1)
    smooth = 0.5 + 0.17 * (band(2, 8) + 0.4 * band(8, 20))
    field = np.concatenate([32 * gradient / gradient.std(), 127 * np.clip(smooth, 0, 1)[..., None]], -1)
    return np.clip(np.rint(field), -127, 127).astype(np.int8)


@njit(cache=True, fastmath=True, forceinline=True)
def _cell(volume, x, y, z):
    """Indices of the two grid points around a position in each direction, and how far it lies between them."""
    side = volume.shape[0]
    x, y, z = (x - math.floor(x)) * side, (y - math.floor(y)) * side, (z - math.floor(z)) * side
    i, j, k = int(x), int(y), int(z)
    fx, fy, fz = x - i, y - j, z - k
    i, j, k = i % side, j % side, k % side
    return i, (i + 1) % side, j, (j + 1) % side, k, (k + 1) % side, fx, fy, fz


@njit(cache=True, fastmath=True, forceinline=True)
def noise_at(volume, x, y, z):
    """Smooth noise 0..1, trilinear; the field repeats every unit."""
    i, i1, j, j1, k, k1, fx, fy, fz = _cell(volume, x, y, z)
    low = (volume[i, j, k, 3] * (1 - fz) + volume[i, j, k1, 3] * fz) * (1 - fy) + (
        volume[i, j1, k, 3] * (1 - fz) + volume[i, j1, k1, 3] * fz
    ) * fy
    high = (volume[i1, j, k, 3] * (1 - fz) + volume[i1, j, k1, 3] * fz) * (1 - fy) + (
        volume[i1, j1, k, 3] * (1 - fz) + volume[i1, j1, k1, 3] * fz
    ) * fy
    return (low * (1 - fx) + high * fx) * (1 / 127.0)


@njit(cache=True, fastmath=True, forceinline=True)
def folds_at(volume, x, y, z):
    """Gradient (x, y, z) of the field of folds, trilinear."""
    i, i1, j, j1, k, k1, fx, fy, fz = _cell(volume, x, y, z)
    gx = gy = gz = 0.0
    for a, share_a in ((i, 1 - fx), (i1, fx)):
        for b, share_b in ((j, 1 - fy), (j1, fy)):
            for c, share_c in ((k, 1 - fz), (k1, fz)):
                share = share_a * share_b * share_c
                gx += share * volume[a, b, c, 0]
                gy += share * volume[a, b, c, 1]
                gz += share * volume[a, b, c, 2]
    return gx / 32.0, gy / 32.0, gz / 32.0


@njit(cache=True, fastmath=True, forceinline=True)
def pattern_at(volume, kind, frequency, x, y, z):
    """Share 0..1 of the second colour at a canonical position; frequency in radians a metre."""
    if kind == STRIPES:
        return 1.0 if math.sin(z * frequency) > 0 else 0.0
    if kind == PINSTRIPES:
        return 1.0 if math.sin(math.atan2(x, -y) * frequency * 0.12) > 0 else 0.0
    if kind == CHECKS:
        return 1.0 if math.sin(z * frequency) * math.sin(x * frequency) > 0 else 0.0
    if kind == PLAID:
        return 0.5 * (math.sin(z * frequency) > 0.3) + 0.5 * (math.sin(x * frequency) > 0.3)
    if kind == DOTS:
        return 1.0 if math.sin(z * frequency) ** 2 + math.sin(x * frequency) ** 2 > 1.5 else 0.0
    if kind == CAMOUFLAGE:
        f = frequency * 0.05
        return 1.0 if noise_at(volume, x * f, y * f, z * f) > 0.55 else 0.0
    if kind == MOTTLED:
        f = frequency * 0.06
        return noise_at(volume, x * f, y * f, z * f)
    return 0.0

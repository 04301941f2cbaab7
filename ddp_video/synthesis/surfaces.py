"""Made-up materials of floors, walls and furniture as square tiles that repeat: wood, tiles, brick, grass, asphalt, cloth."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 256  # px of a tile


def _noise(rng: np.random.Generator, power: float, stretch: float = 1.0) -> np.ndarray:
    """[SIDE, SIDE] periodic noise of zero mean and unit spread, spectrum 1 / f^power; stretched along x."""
    f = np.fft.fftfreq(SIDE) * SIDE
    radius = np.maximum(np.hypot(f[:, None], f[None] * stretch), 1)
    field = np.real(np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIDE, SIDE))) / radius**power))
    return (field - field.mean()) / field.std()


def _tint(value: np.ndarray, colour, contrast: float) -> np.ndarray:
    """uint8 BGR tile of a base colour (BGR 0..255) with brightness varied by `value`."""
    return np.clip(np.asarray(colour) * (1 + contrast * value[..., None]), 0, 255).astype(np.uint8)


def _planks(rng, rows: int, colour, contrast: float = 0.16) -> np.ndarray:
    """Boards along x with grain, each of its own shade, with dark joints."""
    grain = _noise(rng, 1.2, stretch=14)
    height = SIDE // rows
    shade = np.repeat(rng.normal(0, 1, rows), height)[:, None] * np.ones((1, SIDE))
    value = 0.6 * grain + 0.8 * shade
    tile = _tint(value, colour, contrast).astype(np.float32)
    for r in range(rows):
        tile[r * height : r * height + 1] *= 0.55
        seam = rng.integers(SIDE)
        tile[r * height : (r + 1) * height, seam : seam + 1] *= 0.55
    return tile.astype(np.uint8)


def _grid(rng, rows: int, columns: int, colour, joint, offset: bool, spread: float, rough: float) -> np.ndarray:
    """Tiles, bricks or paving: blocks of their own shade between joints."""
    h, w = SIDE // rows, SIDE // columns
    shade = np.zeros((SIDE, SIDE))
    gaps = np.zeros((SIDE, SIDE), bool)
    for r in range(rows):
        shift = w // 2 if offset and r % 2 else 0
        band = np.roll(np.repeat(rng.normal(0, 1, columns), w), shift)
        shade[r * h : (r + 1) * h, : len(band)] = band
        gaps[r * h : r * h + 2] = True
        gaps[r * h : (r + 1) * h, (np.arange(columns) * w + shift) % SIDE] = True
    tile = _tint(spread * shade + rough * _noise(rng, 0.8), colour, 1.0)
    tile[gaps] = joint
    return tile


def _speckle(rng, colour, contrast: float, power: float) -> np.ndarray:
    """Grass, asphalt, plaster, sand: one colour with noise of brightness and a little of hue."""
    tile = _tint(_noise(rng, power) * 0.7 + _noise(rng, 0.2) * 0.5, colour, contrast).astype(np.float32)
    tile *= 1 + 0.02 * _noise(rng, 1.4)[..., None] * rng.normal(0, 1, 3)
    return np.clip(tile, 0, 255).astype(np.uint8)


def _weave(rng, colour) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    threads = np.sin(x * np.pi / 2) * np.cos(y * np.pi / 2)
    return _tint(0.5 * threads + 0.4 * _noise(rng, 1.0), colour, 0.15)


def _leaves(rng, colour) -> np.ndarray:
    """Foliage: blotches of light and shade with dark gaps between."""
    clumps, fine = _noise(rng, 1.0), _noise(rng, 0.35)
    tile = _tint(0.5 * clumps + 0.6 * fine, colour, 0.55).astype(np.float32)
    tile[fine + 0.6 * clumps < -0.9] *= 0.3
    return tile.astype(np.uint8)


def make_tiles(seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Tiles by what they serve for: 'wood', 'floor' (indoors, not wood), 'ground' (outdoors), 'wall', 'cloth',
    'leaves'."""
    rng = np.random.default_rng(seed)
    woods = [(40, 80, 140), (60, 110, 170), (30, 55, 95), (95, 140, 185), (120, 150, 175), (25, 40, 65)]
    wood = [_planks(rng, int(rng.choice([8, 16])), c) for c in woods]
    floor = [
        _grid(rng, 4, 4, (200, 205, 208), (150, 150, 150), False, 0.02, 0.02),
        _grid(rng, 8, 8, (120, 140, 170), (90, 90, 90), False, 0.06, 0.04),
        _grid(rng, 4, 4, (70, 70, 72), (40, 40, 40), False, 0.08, 0.05),
        _speckle(rng, (110, 110, 115), 0.1, 1.2),
        _speckle(rng, (90, 80, 120), 0.12, 0.3),
        _weave(rng, (130, 135, 145)),
    ]
    ground = [
        _speckle(rng, (50, 95, 75), 0.28, 0.5),
        _speckle(rng, (40, 110, 95), 0.3, 0.7),
        _speckle(rng, (60, 100, 120), 0.25, 0.9),
        _speckle(rng, (95, 97, 100), 0.12, 0.4),
        _speckle(rng, (70, 70, 72), 0.15, 0.3),
        _speckle(rng, (140, 175, 200), 0.1, 0.8),
        _speckle(rng, (225, 220, 215), 0.05, 1.2),
        _grid(rng, 4, 8, (130, 135, 140), (95, 95, 95), True, 0.06, 0.06),
        _grid(rng, 4, 4, (150, 150, 150), (110, 110, 110), False, 0.05, 0.05),
        _grid(rng, 16, 8, (90, 105, 150), (120, 120, 120), True, 0.1, 0.06),
    ]
    wall = [
        _speckle(rng, (225, 228, 230), 0.02, 1.5),
        _speckle(rng, (200, 212, 222), 0.03, 1.2),
        _speckle(rng, (150, 150, 150), 0.06, 1.4),
        _grid(rng, 16, 8, (70, 85, 150), (150, 155, 160), True, 0.12, 0.08),
        _grid(rng, 16, 8, (190, 195, 200), (160, 160, 160), True, 0.04, 0.04),
        _grid(rng, 8, 16, (230, 230, 232), (170, 170, 170), False, 0.01, 0.01),
    ]
    leaves = [_leaves(rng, c) for c in ((35, 90, 60), (30, 70, 45), (50, 115, 95), (40, 110, 130), (35, 60, 40))]
    cloth = [_weave(rng, c) for c in ((60, 60, 65), (110, 120, 140), (120, 90, 60), (60, 70, 130), (35, 35, 38))]
    return {"wood": wood, "floor": floor, "ground": ground, "wall": wall, "cloth": cloth, "leaves": leaves}


def recolour(tile: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """The tile in another colour: hue, saturation and brightness moved by up to `strength` 0..1."""
    hsv = cv2.cvtColor(tile, cv2.COLOR_BGR2HSV)
    hue = (np.arange(256) + int(rng.normal(0, 35 * strength))) % 180
    saturation = np.clip(np.arange(256) * np.exp(rng.normal(0, strength)), 0, 255)
    value = np.clip(np.arange(256) * np.exp(rng.normal(0, 0.5 * strength)), 0, 255)
    table = np.stack([hue, saturation, value], -1).astype(np.uint8)
    return cv2.cvtColor(cv2.LUT(hsv, table[None]), cv2.COLOR_HSV2BGR)

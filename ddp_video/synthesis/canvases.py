"""Pictures that backdrops are covered with: walls with doors, windows and shelves, facades, crops of photographs."""

from __future__ import annotations

import cv2
import numpy as np

from ddp_video.synthesis.colours import cloth_colour
from ddp_video.synthesis.surfaces import recolour

_SIDE = 512  # px of a wall


def _square_crop(image: np.ndarray, rng: np.random.Generator, side: int, least: float = 0.5) -> np.ndarray:
    """A random square of a photograph, perhaps mirrored, side x side px."""
    h, w = image.shape[:2]
    size = int(min(h, w) * rng.uniform(least, 1))
    y, x = rng.integers(0, h - size + 1), rng.integers(0, w - size + 1)
    crop = image[y : y + size, x : x + size]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if size > side else cv2.INTER_LINEAR)


def _paint(canvas: np.ndarray, image, x0: float, y0: float, x1: float, y1: float) -> None:
    """Put a colour or an image into a rectangle of a canvas; corners as shares 0..1, y down."""
    h, w = canvas.shape[:2]
    top, bottom = max(int(y0 * h), 0), min(int(y1 * h), h)
    left, right = max(int(x0 * w), 0), min(int(x1 * w), w)
    if bottom - top < 2 or right - left < 2:
        return
    if image.ndim == 1:
        canvas[top:bottom, left:right] = image
    else:
        canvas[top:bottom, left:right] = cv2.resize(image, (right - left, bottom - top), interpolation=cv2.INTER_AREA)


def _tiled(tile: np.ndarray, across: int, down: int) -> np.ndarray:
    """A new canvas covered with so many tiles each way: one is shrunken, not all of them."""
    width, height = _SIDE // across, _SIDE // down
    small = cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA)
    return np.tile(small, (-(-_SIDE // height), -(-_SIDE // width), 1))[:_SIDE, :_SIDE].copy()


class Canvases:
    """Draws pictures out of tiles (see `surfaces.make_tiles`) and photographs."""

    def __init__(self, tiles: dict[str, list[np.ndarray]], photographs: list[np.ndarray], names: list[str]):
        self.tiles, self.photographs, self.names = tiles, photographs, names
        scenic = [n.startswith(("caltech_BACKGROUND", "intel", "wallpaper")) for n in names] or [True] * len(
            photographs
        )
        self._scenic = np.flatnonzero(scenic)

    def photograph(self, rng: np.random.Generator, side: int, least: float = 0.5, scenic: float = 0.5) -> np.ndarray:
        """A square crop of a photograph, of a place with the odds `scenic`, or of anything."""
        if len(self._scenic) and rng.random() < scenic:
            index = rng.choice(self._scenic)
        else:
            index = rng.integers(len(self.photographs))
        return _square_crop(self.photographs[index], rng, side, least)

    def tile(self, rng: np.random.Generator, kind: str, strength: float = 0.25) -> np.ndarray:
        tiles = self.tiles[kind]
        return recolour(tiles[rng.integers(len(tiles))], rng, 0.12 if kind == "wood" else strength)

    def rug(self, rng) -> np.ndarray:
        """A carpet with a border: a pattern, a photograph's colours, or plain."""
        kind = rng.random()
        if kind < 0.4:
            canvas = cv2.resize(self.photograph(rng, 64), (256, 256))
            canvas = np.maximum(canvas, canvas[::-1, ::-1])
        else:
            canvas = self.tile(rng, "cloth", 0.6).copy()
            if kind < 0.7:
                y, x = np.mgrid[:256, :256] * rng.uniform(0.05, 0.3)
                share = (np.sin(y) * np.sin(x) > 0)[..., None] * rng.uniform(0.2, 0.7)
                canvas = (canvas * (1 - share) + 255 * cloth_colour(rng) * share).astype(np.uint8)
        cv2.rectangle(canvas, (0, 0), (255, 255), (255 * cloth_colour(rng)).tolist(), int(rng.integers(1, 30)))
        return canvas

    def _curtain(self, rng) -> np.ndarray:
        """Cloth that hangs in folds."""
        x = np.linspace(0, rng.uniform(15, 60), 128)
        folds = 0.75 + 0.25 * np.sin(x + 0.6 * np.sin(0.37 * x + 1))
        return np.tile((255 * cloth_colour(rng) * folds[:, None]).astype(np.uint8), (64, 1, 1))

    def wall(self, rng, paint: np.ndarray, width: float, height: float) -> np.ndarray:
        """A wall with a skirting board and pictures, windows, doors or shelves, 512 px square over its whole area."""
        canvas = _tiled(paint, *(max(1, round(length / 2)) for length in (width, height)))  # a tile is 2 m wide
        trim = (rng.uniform(20, 240) * np.ones(3)).astype(np.uint8)
        _paint(canvas, trim, 0, 1 - rng.uniform(0.03, 0.06), 1, 1)
        for _ in range(rng.integers(0, 4)):
            what, x, w = rng.random(), rng.uniform(0, 0.9), rng.uniform(0.5, 2.2) / width
            if what < 0.3:  # a door
                w = rng.uniform(0.8, 1.1) / width
                _paint(canvas, trim, x - 0.01, 1 - 2.15 / height, x + w + 0.01, 1)
                _paint(
                    canvas,
                    self.tile(rng, "wood") if rng.random() < 0.6 else 255 * cloth_colour(rng),
                    x,
                    1 - 2.1 / height,
                    x + w,
                    1,
                )
            elif what < 0.55:  # a window, bright
                y = rng.uniform(0.1, 0.4)
                bright = cv2.convertScaleAbs(self.photograph(rng, 128), alpha=0.6, beta=100)
                _paint(canvas, trim, x - 0.015, y - 0.02, x + w + 0.015, y + 0.45)
                _paint(canvas, bright, x, y, x + w, y + 0.43)
                _paint(canvas, trim, x + w / 2 - 0.005, y, x + w / 2 + 0.005, y + 0.43)
                if rng.random() < 0.5:
                    cloth, wide = self._curtain(rng), rng.uniform(0.15, 0.4) * w
                    _paint(canvas, cloth, x - 0.6 * wide, y - 0.04, x + 0.4 * wide, 0.97)
                    _paint(canvas, cloth, x + w - 0.4 * wide, y - 0.04, x + w + 0.6 * wide, 0.97)
            elif what < 0.85:  # a picture or screen
                y, h = rng.uniform(0.2, 0.5), rng.uniform(0.3, 1.2) / height
                _paint(
                    canvas,
                    (rng.uniform(0, 255, 3) * 0.5).astype(np.uint8),
                    x - 0.008,
                    y - 0.012,
                    x + w + 0.008,
                    y + h + 0.012,
                )
                _paint(canvas, self.photograph(rng, 128), x, y, x + w, y + h)
            else:  # shelves
                y = rng.uniform(0.2, 0.6)
                shelf = self.tile(rng, "wood")
                for k in range(rng.integers(1, 4)):
                    _paint(canvas, shelf, x, y + 0.13 * k, x + w, y + 0.13 * k + 0.018)
                    for _ in range(rng.integers(0, 6)):
                        at = x + rng.uniform(0, 0.9) * w
                        _paint(
                            canvas,
                            255 * cloth_colour(rng),
                            at,
                            y + 0.13 * k - rng.uniform(0.03, 0.1),
                            at + 0.02,
                            y + 0.13 * k,
                        )
        return canvas

    def facade(self, rng, width: float, height: float) -> np.ndarray:
        canvas = _tiled(self.tile(rng, "wall", 0.4), 3, 3)
        rows, columns = max(1, round(height / 3)), max(1, round(width / rng.uniform(1.5, 3.5)))
        glass = (
            self.photograph(rng, 128)
            if rng.random() < 0.5
            else (rng.uniform(10, 120) * rng.uniform(0.8, 1, 3)).astype(np.uint8)
        )
        frame = (rng.uniform(30, 240) * rng.uniform(0.85, 1, 3)).astype(np.uint8)
        for r in range(rows):
            for c in range(columns):
                x, y = (c + 0.25) / columns, (r + 0.2) / rows
                _paint(canvas, frame, x - 0.08 / columns, y - 0.06 / rows, x + 0.58 / columns, y + 0.56 / rows)
                _paint(canvas, glass, x, y, x + 0.5 / columns, y + 0.5 / rows)
        return canvas

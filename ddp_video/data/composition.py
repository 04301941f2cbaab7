"""Several labelled pictures as one: side by side, or the people of one before those of another.

People are numbered on from picture to picture, and ignored once numbers run out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ddp_video.data.sample import IGNORE, named


@dataclass(frozen=True)
class Layers:
    """A picture of S x S px and its labels. image, instance: at S px; the rest on the grid of S/4 cells."""

    image: np.ndarray
    instance: np.ndarray
    cells: np.ndarray  # the instance map at the cell centres
    dense: np.ndarray
    has_dense: np.ndarray
    part: np.ndarray
    uv: np.ndarray


def mosaic(tiles: list[Layers]) -> Layers:
    """Layers of one size as a square block of them, row by row."""
    side = math.isqrt(len(tiles))
    first = np.cumsum([0] + [len(tile.has_dense) for tile in tiles[:-1]])

    def block(parts):
        return np.concatenate([np.concatenate(parts[n : n + side], 1) for n in range(0, len(parts), side)], 0)

    return Layers(
        block([tile.image for tile in tiles]),
        block([_numbered_on(tile.instance, n) for tile, n in zip(tiles, first, strict=True)]),
        block([_numbered_on(tile.cells, n) for tile, n in zip(tiles, first, strict=True)]),
        block([tile.dense for tile in tiles]),
        np.concatenate([tile.has_dense for tile in tiles])[: IGNORE - 1],
        block([tile.part for tile in tiles]),
        block([tile.uv for tile in tiles]),
    )


def pasted(back: Layers, front: Layers, rng: np.random.Generator) -> Layers:
    """Some of the people of `front` cut out and put before `back`, at the places that they have: people half hidden by others,
    and on other ground (Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation", CVPR 2021).

    Only what is labelled as somebody comes along, so the labels stay true where an outline is not.
    """
    number = len(back.has_dense)
    drawn = np.zeros(256, bool)
    drawn[1 : len(front.has_dense) + 1] = rng.random(len(front.has_dense)) < 0.7
    pixels, cells = drawn[named(front.instance)], drawn[named(front.cells)]

    # Softened within the outline, so that nothing of the other background comes along.
    soft = (2 * cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 0.8)[pixels] - 1).clip(0, 1)[:, None]
    image, behind = back.image.copy(), back.image[pixels]
    image[pixels] = (behind + soft * (front.image[pixels].astype(np.float32) - behind)).round()
    return Layers(
        image,
        np.where(pixels, _numbered_on(front.instance, number), back.instance),
        np.where(cells, _numbered_on(front.cells, number), back.cells),
        np.where(cells, front.dense, back.dense),
        np.concatenate([back.has_dense, front.has_dense])[: IGNORE - 1],
        np.where(cells, front.part, back.part),
        np.where(cells[..., None], front.uv, back.uv),
    )


def _numbered_on(people: np.ndarray, before: int) -> np.ndarray:
    """An instance map whose numbers begin after those of `before` others."""
    number = np.minimum(np.arange(256) + before, IGNORE).astype(np.uint8)
    number[0] = 0
    return number[people]

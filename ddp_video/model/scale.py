"""In which sizes the frames of a clip are looked at: so that everybody in them is charted well.

About the joints that people marked in 340 photographs of COCO that the weights never saw, charts are right (%), by the people's
height in the usual look, whose short side is the model's own 576 px, and in one half as large again:

    px           < 100  100 to 150  150 to 200  200 to 256  256 to 350  350 to 450   more   all
    576 px        32.1        42.3        62.1        61.5        69.3        72.9   72.3  60.3
    864 px        43.0        53.4        64.0        62.3        69.1        72.3   62.9  61.8
    both, joined  41.5        54.1        65.5        61.8        69.3        72.9   72.3  63.6

Small people need the larger look (on the stride-4 grid three cells tell a small person's left leg from his right), tall ones
the usual one, and pictures have both. Where exactly one takes over from the other hardly matters: 63.6 to 63.9 % for all means
between 175 and 400 px. Sizes below the model's own are best for nobody (in 90 of the pictures 61.8 % at 480 px, 63.5 % at 576).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from ddp_video.structures import FrameBatch, Grid

Predictor = TypeVar("Predictor")

# px of the usual look's input: up to SMALL the larger look alone counts, from TALL on the usual one.
SMALL, TALL = 125, 225
ENLARGED = 1.5  # the larger look in usual ones, which takes 2.25 times the time


def weight_of_usual(heights: Tensor) -> Tensor:
    """How much the usual look counts, beside the larger one, for people so tall in its input, px: 0..1."""
    return ((heights - SMALL) / (TALL - SMALL)).clamp(0, 1)


def heights_in_input(boxes_xyxy: Tensor, grid: Grid) -> Tensor:
    """[N] px of the network's input, of people's boxes [N, 4] in px of the frame."""
    return (boxes_xyxy[:, 3] - boxes_xyxy[:, 1]) * grid.input_size[0] / grid.frame_size[0]


def both_sizes(usual: int) -> tuple[int, int]:
    """The short sides of the usual look and of the larger one, px."""
    return usual, int(ENLARGED * usual)


def sizes_for_people(heights: Tensor, usual: int) -> tuple[int, ...]:
    """The short sides of the looks that people need who are so tall in the usual one's input, px, the smallest first."""
    for_usual = weight_of_usual(heights) >= 0.5
    if for_usual.all():  # nobody too
        return (usual,)
    sizes = both_sizes(usual)
    return sizes if for_usual.any() else sizes[1:]


def fitted(predictor: Predictor, sample: Callable[[], FrameBatch]) -> Predictor:
    """What a predictor's `for_clip` gives for a clip of which `sample()` is some frames; itself if it has no such method."""
    return predictor.for_clip(sample) if hasattr(predictor, "for_clip") else predictor

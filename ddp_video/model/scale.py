"""How large a clip's frames should be for the network: so large that its people are charted well.

A person of 100 px has legs of a dozen px each, and on the stride-4 grid three cells tell left from right. The same weights
chart such people far better in enlarged frames: of the real points of a clip with people of 100 px, 69 % in its own size
(576 px), 78 % at 720 px, 83 % at 864 px, no more at 1008 px; of three clips with people made 210 px tall, 84 % as they are,
87 % at 1.25 times that, no more at 1.75 times.

No frames are left smaller than the model's own size, whoever is in them: about the joints marked in 150 photographs of COCO of
640 x 480, 52.6 % of the charts are right as they are, 55.3 % at 576 px (and 91.7 % of the joints found, not 87.5 %); in the same
halved 44.9 % as they are, 48.5 % at 360 px, 49.5 % at 480 px, 52.1 % at 576 px.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from ddp_video.model.ddp import SIZE_MULTIPLE
from ddp_video.structures import FrameBatch

Predictor = TypeVar("Predictor")

TALL_ENOUGH = 256  # px of the network's input; taller people are not enlarged
MOST_OF_MODEL = 1.5  # times the model's own size, which takes 2.25 times its time


def size_for_people(heights: Tensor, usual: int, model_size: int) -> int:
    """The short side, px, that frames should get: `usual`, or more where most people would be small in it.

    Args:
        heights: [N] of people seen in the clip, in short sides of the frame.
        usual: short side that frames get otherwise, px.
        model_size: that of the frames that the model was trained for, px.
    """
    if len(heights) == 0:
        return usual
    tall = max(float(heights.median()), 1e-6)  # a box may be empty
    wanted = min(TALL_ENOUGH / tall, MOST_OF_MODEL * model_size)
    return max(usual, int(wanted) // SIZE_MULTIPLE * SIZE_MULTIPLE)


def fitted(predictor: Predictor, sample: Callable[[], FrameBatch]) -> Predictor:
    """What a predictor's `for_clip` gives for a clip of which `sample()` is some frames; itself if it has no such method."""
    return predictor.for_clip(sample) if hasattr(predictor, "for_clip") else predictor

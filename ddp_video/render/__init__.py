"""Pictures of dense pose: frame in, frame out, pure functions.

`STYLES` is the one table that the pipeline and the command line draw from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ddp_video.render.instances import instances
from ddp_video.render.isocontour import isocontour
from ddp_video.render.iuv import ORDERS, iuv
from ddp_video.render.parts import parts
from ddp_video.structures import DensePose, FramePrediction

BACKGROUNDS = ("frame", "black")
MOST_LINES, MOST_WIDTH_PX = 255, 100


@dataclass(frozen=True)
class RenderOptions:
    """How pictures look; each style takes what concerns it."""

    lines: int = 10  # isocontour: levels per chart and coordinate
    width: float = 1.3  # isocontour: of a line, px
    background: str = "frame"  # isocontour, instances: the video's frame, or black
    order: str = "rgb"  # iuv: of the channels

    def __post_init__(self):
        if not (1 <= self.lines <= MOST_LINES and 0 < self.width <= MOST_WIDTH_PX):
            raise ValueError(
                f"needed 1 to {MOST_LINES} lines of up to {MOST_WIDTH_PX} px, got {self.lines} lines of {self.width} px"
            )
        if self.background not in BACKGROUNDS:
            raise ValueError(f"unknown background {self.background!r}; choose one of {', '.join(BACKGROUNDS)}")
        if self.order not in ORDERS:
            raise ValueError(f"unknown channel order {self.order!r}; choose one of {', '.join(ORDERS)}")


@dataclass(frozen=True)
class Style:
    """One way to draw a frame.

    draw: (frame [H, W, 3] uint8 RGB or None, DensePose, FramePrediction, RenderOptions) -> [H, W, 3] uint8 RGB.
    over_frame: whether it shows the video's frame, when the background asks for it. lossless: its pixels are data, to
    be written without loss.
    """

    draw: Callable[[np.ndarray | None, DensePose, FramePrediction, RenderOptions], np.ndarray]
    over_frame: bool = False
    lossless: bool = False

    def needs_frame(self, options: RenderOptions) -> bool:
        return self.over_frame and options.background == "frame"

    def __call__(
        self, frame_rgb: np.ndarray | None, pose: DensePose, prediction: FramePrediction, options: RenderOptions
    ) -> np.ndarray:
        return self.draw(frame_rgb if self.needs_frame(options) else None, pose, prediction, options)


STYLES: dict[str, Style] = {
    "isocontour": Style(
        lambda frame, pose, _, options: isocontour(frame, pose, options.lines, options.width), over_frame=True
    ),
    "iuv": Style(lambda frame, pose, _, options: iuv(pose, options.order), lossless=True),
    "parts": Style(lambda frame, pose, _, options: parts(pose)),
    "instances": Style(
        lambda frame, pose, prediction, options: instances(frame, pose, prediction.instances.track_id.numpy()),
        over_frame=True,
    ),
}

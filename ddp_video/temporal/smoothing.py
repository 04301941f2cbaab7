"""2D temporal smoothing of a stream of predictions (paper section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ddp_video.structures import STRIDE, Flow, FramePrediction, Grid
from ddp_video.temporal.averaging import average_as_paper, average_robust
from ddp_video.temporal.cuts import CutDetector
from ddp_video.temporal.flow import DISFlow, FlowEstimator
from ddp_video.temporal.people import Neighbour
from ddp_video.temporal.warp import Sampler, chain, consistent, likeness

RADII = {"robust": 3, "paper": 2}  # 2 is the paper's; on labelled clips 3 gave more, in accuracy as well
MODES = tuple(RADII)
COLOUR_TOLERANCE = 20.0  # RGB distance in grey levels at which a neighbour's warped picture counts e^-1/2


@dataclass(frozen=True)
class SmoothingSettings:
    """mode: 'robust', or 'paper' = eq. 6 as it stands. radius: frames looked at on either side; None = of the mode.

    alphas: weights of frames t-radius .. t+radius; None = equal. causal: look back only.
    chain: a flow over several frames is made of steps of one frame, so only neighbouring pairs are estimated: a third
    of the time at radius 3, and more exact with DIS, which finds small motion best.
    """

    mode: str = "robust"
    radius: int | None = None
    alphas: tuple[float, ...] | None = None
    causal: bool = False
    chain: bool = True

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"unknown smoothing mode {self.mode!r}: choose from {', '.join(MODES)}")
        if self.radius is None:
            object.__setattr__(self, "radius", RADII[self.mode])
        if self.radius < 0:
            raise ValueError(f"the smoothing radius must be 0 or more frames, got {self.radius}")
        if self.alphas is not None:
            if len(self.alphas) != 2 * self.radius + 1:
                raise ValueError(
                    f"radius {self.radius} needs {2 * self.radius + 1} alphas (of frames t-{self.radius} to t+{self.radius}),"
                    f" got {len(self.alphas)}"
                )
            if not all(0 <= alpha < float("inf") for alpha in self.alphas) or self.alphas[self.radius] <= 0:
                raise ValueError(f"alphas must be >= 0, and the frame's own above 0, got {self.alphas}")

    def alpha(self, offset: int) -> float:
        return 1 / (2 * self.radius + 1) if self.alphas is None else self.alphas[self.radius + offset]


@dataclass(frozen=True)
class _Entry:
    """One frame of the ring. position counts pushed frames; shot counts cuts. picture: [1, 3, rows, columns] float32 RGB."""

    position: int
    shot: int
    prediction: FramePrediction
    prepared: Any
    picture: Tensor


class _Path:
    """The flow from one frame of the ring to another (B = 1), ready for warping by it."""

    def __init__(self, flow: Flow):
        self.flow = flow
        self.sampler = Sampler(flow.t_to_s)

    def then(self, other: _Path) -> _Path:
        return _Path(chain(self.flow, other.flow, self.sampler))


class Smoother:
    """Push predictions in order with their frames; finished ones come back `radius` frames later, the rest on `flush`.

    Holds 2 * radius + 1 frames whatever the clip's length. The window ends at the clip's ends and at hard cuts, its
    weights scaled up for what is missing. Logits should come rounded to float16 and leave so. What a frame becomes depends
    on `warm_up` frames before it only: to resume at frame n, push from n - warm_up on and drop what comes out before n.
    """

    def __init__(self, settings: SmoothingSettings | None = None, estimator: FlowEstimator | None = None):
        self.settings = settings or SmoothingSettings()
        self._estimator = estimator or DISFlow()
        self._average = average_robust if self.settings.mode == "robust" else average_as_paper
        self._reset()

    @property
    def warm_up(self) -> int:
        return self.settings.radius + CutDetector.MEMORY

    @property
    def look_ahead(self) -> int:
        """How many later frames a frame waits for."""
        return 0 if self.settings.causal else self.settings.radius

    def _reset(self) -> None:
        self._ring: list[_Entry] = []
        self._paths: dict[tuple[int, int], _Path] = {}
        self._cuts = CutDetector()
        self._waiting = 0  # entries at the end of the ring that are not finished

    def push(self, prediction: FramePrediction, frame_rgb: np.ndarray) -> list[FramePrediction]:
        """frame_rgb: [H, W, 3] uint8, the frame that was predicted on."""
        if self.settings.radius == 0:
            return [prediction]
        if frame_rgb.shape != (*prediction.grid.frame_size, 3):
            raise ValueError(f"frame {frame_rgb.shape} is not the {prediction.grid.frame_size} that was predicted on")
        position, shot = 0, 0
        cut = self._cuts.is_cut(frame_rgb)
        if self._ring:
            last = self._ring[-1]
            position = last.position + 1
            shot = last.shot + (cut or prediction.grid != last.prediction.grid)
        picture = _on_grid(frame_rgb, prediction.grid)
        self._ring.append(_Entry(position, shot, prediction, self._estimator.prepare(frame_rgb), picture))
        self._waiting += 1
        self._find_flows()
        done = []
        if self._waiting > self.look_ahead:
            done.append(self._finish())
        return done

    def flush(self) -> list[FramePrediction]:
        """The frames still held; then the smoother is ready for another clip."""
        done = [self._finish() for _ in range(self._waiting)]
        self._reset()
        return done

    def _find_flows(self) -> None:
        """Both directions between the newest frame and those before it in its shot, each pair once."""
        *earlier, new = self._ring
        earlier = [entry for entry in earlier[-self.settings.radius :] if entry.shot == new.shot]
        direct = earlier[-1:] if self.settings.chain else earlier
        if not direct:
            return
        grid = new.prediction.grid
        older, newer = [entry.prepared for entry in direct], [new.prepared] * len(direct)
        found = self._estimator.pairs(newer + older, older + newer, grid)
        paths = [
            _Path(Flow(t_to_s[None], valid[None])) for t_to_s, valid in zip(found.t_to_s, found.valid, strict=True)
        ]
        t, middle = new.position, new.position - 1
        for entry, there, back in zip(direct, paths[: len(direct)], paths[len(direct) :], strict=True):
            self._paths[t, entry.position], self._paths[entry.position, t] = there, back
        if self.settings.chain:
            for s in (entry.position for entry in earlier[:-1]):
                self._paths[t, s] = self._paths[t, middle].then(self._paths[middle, s])
                self._paths[s, t] = self._paths[s, middle].then(self._paths[middle, t])

    def _finish(self) -> FramePrediction:
        """Smooth the oldest waiting frame, and drop what no later frame needs."""
        settings = self.settings
        entry = self._ring[-self._waiting]
        self._waiting -= 1
        window = [
            other
            for other in self._ring
            if other is not entry
            and other.shot == entry.shot
            and abs(other.position - entry.position) <= settings.radius
            and not (settings.causal and other.position > entry.position)
        ]
        result = entry.prediction
        if window:
            offsets = [other.position - entry.position for other in window]
            whole = sum(settings.alpha(offset) for offset in range(-settings.radius, settings.radius + 1))
            scale = whole / (settings.alpha(0) + sum(settings.alpha(offset) for offset in offsets))
            neighbours = [
                self._neighbour(entry, other, offset, scale * settings.alpha(offset))
                for other, offset in zip(window, offsets, strict=True)
            ]
            result = self._average(entry.prediction, scale * settings.alpha(0), neighbours)
        oldest = entry.position + 1 - settings.radius
        self._ring = [other for other in self._ring if other.position >= oldest]
        self._paths = {pair: path for pair, path in self._paths.items() if min(pair) >= oldest}
        return result

    def _neighbour(self, t: _Entry, s: _Entry, offset: int, alpha: float) -> Neighbour:
        """Trusted where the flow agrees with the one back, judged in px of the network's input (in cells, outlines
        suffered), and as far as it leads to the same colour."""
        path, back = self._paths[t.position, s.position], self._paths[s.position, t.position]
        agrees = consistent(path.flow.t_to_s, back.flow.t_to_s, pixel_size=STRIDE, sampler=path.sampler)
        trust = (path.flow.valid & agrees) * likeness(t.picture, s.picture, path.sampler, COLOUR_TOLERANCE)
        return Neighbour(s.prediction, offset, path.sampler, trust.flatten(), alpha)


def _on_grid(frame_rgb: np.ndarray, grid: Grid) -> Tensor:
    """[H, W, 3] uint8 -> [1, 3, rows, columns] float32, the mean colour of every cell."""
    cells = cv2.resize(frame_rgb, grid.size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(cells).permute(2, 0, 1)[None].float()

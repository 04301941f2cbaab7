"""Optical flow estimators behind one interface: prepare every frame once, then ask for any pairs.

Flow is estimated on reduced frames (RAFT's memory grows with the square of their area) and delivered on the stride-4 grid of the predictions, in cells of that grid.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.optical_flow import Raft_Large_Weights, Raft_Small_Weights

from ddp_video.errors import WeightsError
from ddp_video.hardware import DTYPES, choose_precision
from ddp_video.structures import STRIDE, Flow, Grid
from ddp_video.temporal.raft import MIN_SIDE, EncodedFrame, SharedRAFT
from ddp_video.temporal.warp import inside

RAFT_SHORT_SIDE = 360  # px
DIS_SHORT_SIDE = 240  # px; finer steps on this size beat coarser ones on 360 px, at no more time
DIS_MIN_SIDE = 16  # px
DIS_MAX_ASPECT = 2.5  # beyond, OpenCV's coarsest level may be thinner than a patch, and reads outside
FLOW_NAMES = ("auto", "dis", "raft")

_log = logging.getLogger(__name__)


class FlowEstimator(Protocol):
    """What the smoother and the tracker need of an estimator. name: 'dis' or 'raft'."""

    name: str

    def describe(self) -> str:
        """One line for a person, and for run.json."""

    def prepare(self, frame_rgb: np.ndarray) -> Any:
        """Everything that is computed once a frame ([H, W, 3] uint8)."""

    def flow(self, t: Sequence[Any], s: Sequence[Any]) -> Tensor:
        """[B, 2, h, w] float32 displacement t[i] -> s[i], in px of the reduced frame, h x w."""

    def pairs(self, t: Sequence[Any], s: Sequence[Any], grid: Grid) -> Flow:
        """The same on the grid of the predictions, in cells of that grid."""


class _OnGrid:
    def pairs(self, t: Sequence[Any], s: Sequence[Any], grid: Grid) -> Flow:
        t_to_s = to_grid(self.flow(t, s), grid)
        return Flow(t_to_s, inside(t_to_s))


class DISFlow(_OnGrid):
    """OpenCV's Dense Inverse Search: fast, and needs no weights."""

    name = "dis"

    def __init__(self, short_side: int = DIS_SHORT_SIDE):
        self.short_side = short_side
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def describe(self) -> str:
        return f"DIS at {self.short_side} px"

    def prepare(self, frame_rgb: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(_reduce(frame_rgb, self.short_side), cv2.COLOR_RGB2GRAY)

    def flow(self, t: Sequence[np.ndarray], s: Sequence[np.ndarray]) -> Tensor:
        flows = [self._dis.calc(first, second, None) for first, second in zip(t, s, strict=True)]
        return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2)


class RAFTFlow(_OnGrid):
    """torchvision's RAFT, small or large by its weights, features and context computed once a frame.

    weights: a file with torchvision's key names; None takes torchvision's cache or downloads (small on the CPU, large
    elsewhere). tolerance: px of the reduced frame, see `SharedRAFT.match`. precision: 'fp32', 'bf16', 'fp16', or 'auto' as
    for the network.
    Raises: WeightsError.
    """

    name = "raft"

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        short_side: int = RAFT_SHORT_SIDE,
        tolerance: float = 0.1,
        precision: str = "auto",
    ):
        self.device = torch.device(device)
        self.short_side, self.tolerance = short_side, tolerance
        self.precision = choose_precision(self.device, precision)
        self._model = _load_raft(weights, self.device, DTYPES[self.precision])

    def describe(self) -> str:
        size = "small" if self._model.mask_predictor is None else "large"
        return f"RAFT {size} at {self.short_side} px on {self.device} in {self.precision}"

    def prepare(self, frame_rgb: np.ndarray) -> tuple[EncodedFrame, tuple[int, int]]:
        image = torch.from_numpy(_reduce(frame_rgb, self.short_side)).to(self.device).permute(2, 0, 1)[None]
        image = image.float() / 127.5 - 1
        height, width = image.shape[2:]
        pad = [max(-(-side // 8) * 8, MIN_SIDE) - side for side in (width, height)]
        image = F.pad(image, (0, pad[0], 0, pad[1]), mode="replicate")
        return self._model.encode(image)[0], (height, width)

    def flow(self, t: Sequence[tuple[EncodedFrame, Any]], s: Sequence[tuple[EncodedFrame, Any]]) -> Tensor:
        height, width = t[0][1]
        flow = self._model.match([frame for frame, _ in t], [frame for frame, _ in s], self.tolerance)
        return flow[:, :, :height, :width].cpu()


def load_flow(
    name: str = "auto",
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    precision: str = "auto",
) -> FlowEstimator:
    """The estimator called `name`: 'dis', 'raft', or 'auto' = RAFT where its weights are at hand (in torchvision's
    cache, or by a download that works), else DIS. device, precision: of RAFT.

    Raises: ValueError for an unknown name, WeightsError when RAFT was asked for and cannot be loaded.
    """
    if name not in FLOW_NAMES:
        raise ValueError(f"unknown optical flow {name!r}: choose from {', '.join(FLOW_NAMES)}")
    if name == "dis":
        return DISFlow()
    try:
        return RAFTFlow(weights, device, precision=precision)
    except WeightsError as error:
        if name == "raft" or weights is not None:
            raise
        _log.warning("optical flow: DIS, because %s", error)
        return DISFlow()


def to_grid(flow: Tensor, grid: Grid) -> Tensor:
    """Flow [B, 2, h, w] in px of a frame reduced to h x w -> [B, 2, rows, columns] in cells, read at the cells' centres."""
    rows, columns = grid.size
    height, width = grid.input_size
    # Of the network's input, which the grid may overhang by up to three px; 0..1 over the frame.
    x = (torch.arange(columns, device=flow.device) + 0.5) * STRIDE / width
    y = (torch.arange(rows, device=flow.device) + 0.5) * STRIDE / height
    at = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1) * 2 - 1
    read = F.grid_sample(flow, at[None].expand(len(flow), -1, -1, -1), padding_mode="border", align_corners=False)
    cells = torch.tensor([width / STRIDE / flow.shape[3], height / STRIDE / flow.shape[2]], device=flow.device)
    return read * cells[:, None, None]


def _reduce(frame_rgb: np.ndarray, short_side: int) -> np.ndarray:
    """Shrink to the short side. Only what DIS crashes on is enlarged: a few px, or very long and thin.

    The sides may scale differently, as `to_grid` does not mind.
    """
    height, width = frame_rgb.shape[:2]
    scale = min(short_side / min(height, width), 1)
    least = max(DIS_MIN_SIDE, round(max(height, width) * scale / DIS_MAX_ASPECT))
    size = max(round(width * scale), least), max(round(height * scale), least)
    if size == (width, height):
        return np.ascontiguousarray(frame_rgb)
    return cv2.resize(frame_rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _load_raft(weights: str | Path | None, device: torch.device, dtype: torch.dtype) -> SharedRAFT:
    try:
        if weights is not None:
            state = torch.load(weights, map_location="cpu", weights_only=True)
        else:
            small_first = device.type == "cpu"
            known = (Raft_Small_Weights if small_first else Raft_Large_Weights).DEFAULT
            state = known.get_state_dict(progress=False, check_hash=True)
    except FileNotFoundError as error:
        raise WeightsError(f"no RAFT weights at {weights}") from error
    except OSError as error:  # also what urllib raises
        what = weights or "torchvision's RAFT weights"
        raise WeightsError(
            f"cannot read {what} ({error}); give a file with --flow-weights, or take --flow dis"
        ) from error
    except Exception as error:  # a foreign or damaged file can break the reader in any way
        raise WeightsError(f"{weights} is not a PyTorch weights file, or a damaged one") from error
    try:
        return SharedRAFT.from_state_dict(state, dtype).to(device)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise WeightsError(f"{weights} does not hold torchvision's raft_small or raft_large") from error

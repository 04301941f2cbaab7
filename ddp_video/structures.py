"""What flows between rooms: frozen dataclasses that check their shapes at birth.

Pixel convention everywhere: pixel (x, y) covers [x, x+1) x [y, y+1), its centre is at +0.5 (align_corners=False).
Zero people is an ordinary value.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ddp_video.charts import IUV_CHANNELS, NUM_CHARTS

STRIDE = 4  # of the grid that masks and IUV live on, in px of the network's input
UNTRACKED = -1


def _need(condition: bool, owner: object, message: str) -> None:
    if not condition:
        raise ValueError(f"{type(owner).__name__}: {message}")


class _Tensors:
    """Moving and printing, shared by the dataclasses below."""

    def to(self, device: torch.device | str):
        moved = {
            f.name: v.to(device) for f in fields(self) if isinstance(v := getattr(self, f.name), (Tensor, _Tensors))
        }
        return replace(self, **moved)

    def __repr__(self) -> str:
        def show(value):
            return f"{str(value.dtype)[6:]}{list(value.shape)}" if isinstance(value, Tensor) else repr(value)

        return f"{type(self).__name__}({', '.join(f'{f.name}={show(getattr(self, f.name))}' for f in fields(self))})"


@dataclass(frozen=True, repr=False)
class FrameBatch(_Tensors):
    """Consecutive decoded frames.

    data: [T, 3, H, W] uint8 RGB. pts: [T] int64, presentation times in units of the stream's time base.
    pts_seconds: [T] float64. first_index: position of data[0] among the frames that the reader gives.
    """

    data: Tensor
    pts: Tensor
    pts_seconds: Tensor
    first_index: int = 0

    def __post_init__(self):
        _need(
            self.data.dtype == torch.uint8 and self.data.ndim == 4 and self.data.shape[1] == 3,
            self,
            f"data must be uint8 [T,3,H,W], got {self.data.dtype} {list(self.data.shape)}",
        )
        _need(self.pts.shape == self.pts_seconds.shape == self.data.shape[:1], self, "one pts and pts_seconds a frame")

    def __len__(self) -> int:
        return self.data.shape[0]

    @classmethod
    def of_picture(cls, rgb: np.ndarray, index: int = 0) -> FrameBatch:
        """A batch of one picture [H, W, 3] uint8 RGB, at time `index`."""
        pts = torch.tensor([index])
        return cls(torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None], pts, pts.double(), index)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.data.shape[2], self.data.shape[3]

    def singles(self) -> list[FrameBatch]:
        """Its frames, each a batch of one."""
        return [
            FrameBatch(*(values[i : i + 1] for values in (self.data, self.pts, self.pts_seconds)), self.first_index + i)
            for i in range(len(self))
        ]


@dataclass(frozen=True)
class Grid:
    """How a frame, the network's input and the stride-4 grid lie on each other.

    frame_size: (H, W) px of the video. input_size: (h, w) px that the frame was resized to, before padding at the
    right and bottom. The grid covers the resized frame only: its size is ceil(input / 4).
    """

    frame_size: tuple[int, int]
    input_size: tuple[int, int]

    def __post_init__(self):
        _need(
            min(*self.frame_size, *self.input_size) >= 1,
            self,
            f"sizes must be positive, got {self.frame_size}, {self.input_size}",
        )

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the grid."""
        return -(-self.input_size[0] // STRIDE), -(-self.input_size[1] // STRIDE)

    @property
    def pixels_per_cell(self) -> tuple[float, float]:
        """Frame pixels per grid cell, (vertical, horizontal)."""
        (frame_h, frame_w), (input_h, input_w) = self.frame_size, self.input_size
        return STRIDE * frame_h / input_h, STRIDE * frame_w / input_w


@dataclass(frozen=True, repr=False)
class Instances(_Tensors):
    """The people of one frame, best score first.

    boxes_xyxy: [N, 4] float32, px of the frame. scores: [N] float32 in 0..1. mask_logits, dense_mask_logits:
    [N, rows, columns] on the stride-4 grid, the whole person (M_ins) and the part that dense pose covers (M_dp).
    track_id: [N] int64, UNTRACKED (-1) where no identity is known.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    mask_logits: Tensor
    dense_mask_logits: Tensor
    track_id: Tensor

    def __post_init__(self):
        count = len(self.scores)
        _need(
            self.boxes_xyxy.shape == (count, 4),
            self,
            f"boxes_xyxy must be [{count},4], got {list(self.boxes_xyxy.shape)}",
        )
        _need(
            self.mask_logits.ndim == 3 and len(self.mask_logits) == count,
            self,
            f"mask_logits must be [{count},h,w], got {list(self.mask_logits.shape)}",
        )
        _need(self.dense_mask_logits.shape == self.mask_logits.shape, self, "both masks need one shape")
        _need(self.track_id.shape == (count,), self, f"track_id must be [{count}], got {list(self.track_id.shape)}")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls, grid: Grid) -> Instances:
        masks = torch.zeros(0, *grid.size)
        return cls(torch.zeros(0, 4), torch.zeros(0), masks, masks, torch.zeros(0, dtype=torch.int64))


@dataclass(frozen=True, repr=False)
class SparseIUV(_Tensors):
    """The global IUV map on its active sites (paper section 3.4).

    sites: [M, 3] int32 (frame, y, x) on the stride-4 grid, sorted. logits: [M, 75] = I 25 | U 25 | V 25.
    owner: [M] int64, row of `Instances` of that frame that the site belongs to.
    """

    sites: Tensor
    logits: Tensor
    owner: Tensor

    def __post_init__(self):
        count = len(self.sites)
        _need(self.sites.shape == (count, 3), self, f"sites must be [M,3], got {list(self.sites.shape)}")
        _need(
            self.logits.shape == (count, IUV_CHANNELS),
            self,
            f"logits must be [{count},{IUV_CHANNELS}], got {list(self.logits.shape)}",
        )
        _need(self.owner.shape == (count,), self, f"owner must be [{count}], got {list(self.owner.shape)}")

    def __len__(self) -> int:
        return len(self.sites)

    @classmethod
    def empty(cls) -> SparseIUV:
        return cls(
            torch.zeros(0, 3, dtype=torch.int32), torch.zeros(0, IUV_CHANNELS), torch.zeros(0, dtype=torch.int64)
        )

    def cells(self, columns: int) -> Tensor:
        """[M] int64: the number of every site's cell in its frame, counted row by row on a grid of so many columns."""
        return self.sites[:, 1].long() * columns + self.sites[:, 2].long()

    def dense(self, size: tuple[int, int]) -> Tensor:
        """[75, rows, columns] of a single frame, zero off the active sites."""
        rows, columns = size
        out = self.logits.new_zeros(rows * columns, IUV_CHANNELS)
        out[self.cells(columns)] = self.logits
        return out.view(rows, columns, IUV_CHANNELS).permute(2, 0, 1)


@dataclass(frozen=True, repr=False)
class FramePrediction(_Tensors):
    """Everything that is predicted for one frame, on its grid; `decode` turns it into a full-size `DensePose`."""

    index: int
    pts: int
    pts_seconds: float
    grid: Grid
    instances: Instances
    iuv: SparseIUV

    def __post_init__(self):
        _need(
            tuple(self.instances.mask_logits.shape[1:]) == self.grid.size,
            self,
            f"masks {list(self.instances.mask_logits.shape)} do not lie on the grid {self.grid.size}",
        )


@dataclass(frozen=True, repr=False)
class Flow(_Tensors):
    """Optical flow of B frame pairs, from frame t to frame s.

    t_to_s: [B, 2, H, W] displacement (dx, dy) in px of its own grid: the point at p in frame t lies at p + t_to_s(p) in
    frame s, so warping frame s by it gives values on frame t. valid: [B, H, W] bool, where it may be trusted.
    """

    t_to_s: Tensor
    valid: Tensor

    def __post_init__(self):
        shape = self.t_to_s.shape
        _need(len(shape) == 4 and shape[1] == 2, self, f"t_to_s must be [B,2,H,W], got {list(shape)}")
        _need(self.valid.shape == (shape[0], *shape[2:]), self, f"valid must be [B,H,W], got {list(self.valid.shape)}")


@dataclass(frozen=True, repr=False)
class DensePose(_Tensors):
    """Dense pose of one frame at full size.

    part: [H, W] uint8 chart 0..24. uv: [2, H, W] float32 in 0..1. instance: [H, W] int32, 0 = nobody, else 1 + row of
    `Instances`; people whose mask covers a pixel that dense pose does not (hair, bags) own it with part 0.
    """

    part: Tensor
    uv: Tensor
    instance: Tensor

    def __post_init__(self):
        size = self.part.shape
        _need(
            self.part.dtype == torch.uint8 and len(size) == 2,
            self,
            f"part must be uint8 [H,W], got {self.part.dtype} {list(size)}",
        )
        _need(self.uv.shape == (2, *size), self, f"uv must be [2,H,W], got {list(self.uv.shape)}")
        _need(self.instance.shape == size, self, f"instance must be [H,W], got {list(self.instance.shape)}")
        assert size.numel() == 0 or int(self.part.max()) <= NUM_CHARTS

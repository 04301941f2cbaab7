"""RAFT for many pairs of the same frames: torchvision's model, with everything that can be shared computed once.

A frame takes part in 2r pairs each way, and torchvision's call redoes its feature and context maps for every pair. Here
`encode` makes them once a frame and `match` does the rest a pair, giving what torchvision gives (within 1e-4 px). Three
more savings change nothing but rounding: the context's share of the recurrent unit's convolutions is computed with the
frame, not at every update; the correlation is looked up as one integer patch with shared fractions instead of one bilinear
sample a neighbour; the flow is brought to full size once, at the end.

In bf16 (`dtype`) the correlation and the convolutions of the updates take .6 of the time; hidden states and flows are still
summed in float32, and on a clip of fast legs the flow ends .006 px from that of float32 in the mean, .05 px at the 99th
percentile.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.optical_flow import RAFT, raft_large, raft_small

NUM_UPDATES = 12  # torchvision's default
MIN_SIDE = 128  # px; the coarsest of four correlation levels would have a single row, and NaN come out


@dataclass(frozen=True)
class EncodedFrame:
    """All of a frame that does not depend on its partner. Maps are [C, h, w] at 1/8 of the frame."""

    features: Tensor
    hidden: Tensor
    context_terms: tuple[Tensor, ...]


class _SplitGRU(nn.Module):
    """A torchvision ConvGRU whose convolutions are split by what they read: hidden state, context, motion.

    Those of the hidden state and of motion, which every update needs, compute in `dtype`; their results are float32.
    """

    def __init__(self, gru: nn.Module, hidden: int, context: int, dtype: torch.dtype):
        super().__init__()
        gates = gru.convz, gru.convr, gru.convq
        weight = torch.cat([conv.weight for conv in gates]).to(memory_format=torch.channels_last)
        self.hidden, self.padding = hidden, gru.convz.padding
        self.register_buffer("bias", torch.cat([conv.bias for conv in gates]))
        self._keep("context_weight", weight[:, hidden : hidden + context])
        self._keep("motion_weight", weight[:, hidden + context :].to(dtype))
        self._keep("gate_weight", weight[: 2 * hidden, :hidden].to(dtype))
        self._keep("candidate_weight", weight[2 * hidden :, :hidden].to(dtype))

    def _keep(self, name: str, weight: Tensor) -> None:
        self.register_buffer(name, weight.contiguous(memory_format=torch.channels_last))

    def _convolve(self, values: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(values.to(weight.dtype), weight, padding=self.padding).float()

    def context_terms(self, context: Tensor) -> Tensor:
        return F.conv2d(context, self.context_weight, self.bias, padding=self.padding)

    def forward(self, hidden: Tensor, context_terms: Tensor, motion: Tensor) -> Tensor:
        terms = self._convolve(motion, self.motion_weight).add_(context_terms)
        gates = self._convolve(hidden, self.gate_weight).add_(terms[:, : 2 * self.hidden])
        update, reset = gates.sigmoid_().chunk(2, dim=1)
        candidate = self._convolve(reset * hidden, self.candidate_weight)
        return torch.lerp(hidden, candidate.add_(terms[:, 2 * self.hidden :]).tanh_(), update)


class SharedRAFT(nn.Module):
    """torchvision's RAFT, cut between what belongs to a frame and what belongs to a pair. Inference only.

    dtype: of the correlation and the updates; frames are encoded in float32.
    """

    def __init__(self, model: RAFT, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.dtype = dtype
        self.feature_encoder, self.context_encoder = model.feature_encoder, model.context_encoder
        self.motion_encoder = model.update_block.motion_encoder.to(dtype)
        self.flow_head = model.update_block.flow_head.to(dtype)
        self.mask_predictor = model.mask_predictor
        self.num_levels, self.radius = model.corr_block.num_levels, model.corr_block.radius
        self.hidden = model.update_block.hidden_state_size
        context = self.context_encoder.output_dim - self.hidden
        recurrent = model.update_block.recurrent_block
        grus = [recurrent.convgru1] + [recurrent.convgru2] * isinstance(recurrent.convgru2, nn.Module)
        self.grus = nn.ModuleList(_SplitGRU(gru, self.hidden, context, dtype) for gru in grus)
        self.eval().requires_grad_(False)

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> SharedRAFT:
        """Small or large by the keys; only the large model upsamples with a mask."""
        model = (raft_large if any(key.startswith("mask_predictor.") for key in state) else raft_small)(weights=None)
        model.load_state_dict(state)
        return cls(model.eval(), dtype)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> list[EncodedFrame]:
        """images: [T, 3, H, W] in [-1, 1], sides multiples of 8 and at least 128."""
        height, width = images.shape[2:]
        if height % 8 or width % 8 or min(height, width) < MIN_SIDE:
            raise ValueError(f"RAFT needs sides that are multiples of 8 and at least {MIN_SIDE}, got {height}x{width}")
        features = self.feature_encoder(images)
        hidden, context = self.context_encoder(images).split(
            [self.hidden, self.context_encoder.output_dim - self.hidden], dim=1
        )
        context = context.relu()
        terms = zip(*(gru.context_terms(context) for gru in self.grus), strict=True)
        return [EncodedFrame(*maps) for maps in zip(features, hidden.tanh(), terms, strict=True)]

    @torch.inference_mode()
    def match(self, first: list[EncodedFrame], second: list[EncodedFrame], tolerance: float = 0.0) -> Tensor:
        """Flow of every pair first[i] -> second[i].

        tolerance: px; a pair is done when its last update was not longer than this in the mean (0 = always 12 updates).
            The mean difference to 12 updates is then below it as well; single pixels, which RAFT never stops moving to
            and fro, may differ by more.
        Returns: [B, 2, H, W] px of the images.
        """
        pyramid = self._correlate(first, second)
        hidden = torch.stack([frame.hidden for frame in first])
        terms = [torch.stack(maps) for maps in zip(*(frame.context_terms for frame in first), strict=True)]
        flow = hidden.new_zeros(len(first), 2, *hidden.shape[2:])
        done = [None] * len(first)
        open_pairs = list(range(len(first)))
        for update in range(NUM_UPDATES):
            motion = self.motion_encoder(flow.to(self.dtype), self._look_up(pyramid, flow).to(self.dtype))
            for gru, context_terms in zip(self.grus, terms, strict=True):
                hidden = gru(hidden, context_terms, motion)
            delta = self.flow_head(hidden.to(self.dtype)).float()
            flow = flow + delta
            length = 8 * delta.square().sum(1).sqrt().mean((1, 2))
            keep = (length > tolerance).tolist() if update + 1 < NUM_UPDATES else [False] * len(open_pairs)
            if all(keep):
                continue
            for row, pair in enumerate(open_pairs):
                if not keep[row]:
                    done[pair] = self._upsample(flow[row : row + 1], hidden[row : row + 1])
            open_pairs = [pair for pair, kept in zip(open_pairs, keep, strict=True) if kept]
            if not open_pairs:
                break
            rows = torch.tensor(keep, device=flow.device)
            hidden, flow, terms = hidden[rows], flow[rows], [maps[rows] for maps in terms]
            pyramid = [level[rows] for level in pyramid]
        return torch.cat(done)

    def _correlate(self, first: list[EncodedFrame], second: list[EncodedFrame]) -> list[Tensor]:
        """Per level [B, h*w, h_l + 2, w_l + 2], with a rim of zeros for look-ups outside the frame.

        Pooling and padding commute with the product, so they are done on the features and not on the volume.
        """
        a = torch.stack([frame.features for frame in first])
        b = torch.stack([frame.features for frame in second])
        a = (a.flatten(2).transpose(1, 2) / a.shape[1] ** 0.5).to(self.dtype)
        pyramid = []
        for level in range(self.num_levels):
            if level:
                b = F.avg_pool2d(b, 2)
            padded = F.pad(b, (1, 1, 1, 1))
            volume = torch.matmul(a, padded.flatten(2).to(self.dtype)).float()
            pyramid.append(volume.unflatten(2, padded.shape[2:]))
        return pyramid

    def _look_up(self, pyramid: list[Tensor], flow: Tensor) -> Tensor:
        """Correlation around where each cell's flow points: [B, levels * (2r+1)^2, h, w], x offset major."""
        batch, _, height, width = flow.shape
        side = 2 * self.radius + 1
        x = flow[:, 0].flatten(1) + torch.arange(width, device=flow.device).repeat(height)
        y = flow[:, 1].flatten(1) + torch.arange(height, device=flow.device).repeat_interleave(width)
        offsets = torch.arange(side + 1, device=flow.device)
        found = []
        for level, volume in enumerate(pyramid):
            rows, columns = volume.shape[2:]
            # Patches of side+1 cells; what lies outside the frame is read in the rim of zeros.
            left = (x / 2**level).clamp(-side, columns + side)
            top = (y / 2**level).clamp(-side, rows + side)
            corner_x, corner_y = left.floor(), top.floor()
            right_part, low_part = (left - corner_x)[..., None, None], (top - corner_y)[..., None, None]
            first_x, first_y = (corner.long()[..., None, None] - self.radius + 1 for corner in (corner_x, corner_y))
            index_x = (first_x + offsets).clamp(0, columns - 1)
            index_y = (first_y + offsets[:, None]).clamp(0, rows - 1)
            patch = volume.flatten(2).gather(2, (index_y * columns + index_x).flatten(2))
            patch = patch.view(batch, height * width, side + 1, side + 1)
            patch = torch.lerp(patch[..., :-1], patch[..., 1:], right_part)
            patch = torch.lerp(patch[..., :-1, :], patch[..., 1:, :], low_part)
            found.append(patch.transpose(2, 3).flatten(2))
        return torch.cat(found, dim=2).transpose(1, 2).reshape(batch, -1, height, width)

    def _upsample(self, flow: Tensor, hidden: Tensor) -> Tensor:
        """Flow at 1/8, in its own px -> full size, full px; the large model by its learnt convex mask."""
        batch, _, height, width = flow.shape
        if self.mask_predictor is None:
            return 8 * F.interpolate(flow, size=(8 * height, 8 * width), mode="bilinear", align_corners=True)
        mask = self.mask_predictor(hidden).view(batch, 1, 9, 8, 8, height, width).softmax(dim=2)
        neighbours = F.unfold(8 * flow, kernel_size=3, padding=1).view(batch, 2, 9, 1, 1, height, width)
        return (mask * neighbours).sum(2).permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, 8 * height, 8 * width)

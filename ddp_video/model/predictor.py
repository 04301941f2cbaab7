"""Frames in, predictions out: sizes, precision and batches around the network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from ddp_video.hardware import DTYPES, autocast, choose_device, choose_precision, halving, is_out_of_memory
from ddp_video.model.ddp import DDP, SIZE_MULTIPLE
from ddp_video.model.looks import Look, join_looks
from ddp_video.model.scale import heights_in_input, sizes_for_people
from ddp_video.sparse import BACKENDS
from ddp_video.streaming import sent_ahead
from ddp_video.structures import FrameBatch, FramePrediction, Grid

SCORE_THRESHOLD = 0.5
PERHAPS = 0.4  # score of people whose height counts: small ones, who are to be seen better, score low
MAX_ENLARGEMENT = 4.0  # of frames
MOST_STRETCHED = 4.0  # long side of an enlarged frame, in sizes: a strip is not enlarged until it fills the memory


class DDPPredictor:
    """Runs a DDP on batches of frames.

    Args:
        model: left as it is; the predictor works on a copy of its own.
        device: 'cpu', 'cuda', 'cuda:1' ..., or 'auto'.
        precision: 'fp32', 'bf16', 'fp16', or 'auto': bf16 where the hardware multiplies it natively.
        size: px, that the frames' short side is made, at most four times what it is, and less where the long side would
            become more than four times `size`; by default the model's, unless `for_clip` chooses others.
        score_threshold: least score of a person, 0..1.
        sparse_backend: 'torch', or 'spconv' on CUDA.
    """

    def __init__(
        self,
        model: DDP,
        device: torch.device | str = "auto",
        precision: str = "auto",
        size: int | None = None,
        score_threshold: float = SCORE_THRESHOLD,
        sparse_backend: str = "torch",
    ):
        if size is not None and size < SIZE_MULTIPLE:
            raise ValueError(f"size must be at least {SIZE_MULTIPLE} px, got {size}")
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score threshold must be in 0..1, got {score_threshold}")
        if sparse_backend not in BACKENDS:
            raise ValueError(f"unknown sparse backend {sparse_backend!r}, needed one of {', '.join(BACKENDS)}")
        self.device = choose_device(device)
        self.precision = choose_precision(self.device, precision)
        self.sizes = (size or model.config.short_side,)
        self.size_by = "user" if size else "model"  # or "people", by `for_clip`
        self.score_threshold = score_threshold
        self.weights = getattr(model, "weights", None)
        self.model = copy.deepcopy(model).eval().to(self.device)
        self.model.backbone.fold_batchnorm()
        if model.config.sparse:
            self.model.iuv_branch.backend = sparse_backend
        for parameter in self.model.parameters():
            if parameter.ndim == 4:  # kernels; autocast would convert them again for every batch
                parameter.data = parameter.data.to(DTYPES[self.precision])

    @property
    def charts(self) -> str:
        """Whose U, V the predictions speak: 'ddp-video' or 'densepose'."""
        return self.model.config.charts

    def describe(self) -> dict:
        """What run.json records."""
        return {
            "model": self.model.config.to_dict(),
            "weights": self.weights and self.weights.name,
            "weights_sha256": self.weights and self.weights.sha256,
            "device": str(self.device),
            "precision": self.precision,
            "sizes": list(self.sizes),
            "size_by": self.size_by,
            "score_threshold": self.score_threshold,
            "sparse_backend": self.model.iuv_branch.backend,
        }

    def predict(self, frames: FrameBatch) -> list[FramePrediction]:
        """One prediction a frame, on the CPU; the same whether frames come alone or in a batch.

        When memory runs out the batch is halved, down to single frames.
        """
        if len(frames) == 0:
            return []
        grids = [Grid(frames.frame_size, self.input_size(frames.frame_size, size)) for size in self.sizes]
        found = halving(lambda data: self._run_once(data, grids), frames.data)
        return [
            FramePrediction(frames.first_index + i, int(frames.pts[i]), float(frames.pts_seconds[i]), *look)
            for i, look in enumerate(found)
        ]

    def predict_all(self, batches: Iterator[FrameBatch]) -> Iterator[tuple[FrameBatch, list[FramePrediction]]]:
        """Every batch with its predictions, in order.

        On the CPU the frames of two batches go through the network side by side, each on one thread of its own: threads that
        share a frame wait for each other after every layer.
        """
        threads = torch.get_num_threads()
        if self.device.type != "cpu" or threads == 1:
            yield from sent_ahead(batches, self.predict, 0)
            return
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            sent = sent_ahead(batches, lambda batch: [pool.submit(self.predict, one) for one in batch.singles()], 1)
            for batch, frames in sent:
                yield batch, self._collected(batch, frames)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # what one thread sets holds for all that begin later

    def _collected(self, batch: FrameBatch, frames: list[Future]) -> list[FramePrediction]:
        try:
            found = [frame.result() for frame in frames]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            found = [self.predict(frame) for frame in batch.singles()]  # one after the other they need less
        return [prediction for predictions in found for prediction in predictions]

    def for_clip(self, sample: Callable[[], FrameBatch]) -> DDPPredictor:
        """This predictor; or, where no size was asked for and small people are seen in a clip, one with the same model that
        looks at its frames in the sizes that all of them need (`scale.sizes_for_people`). sample: gives some frames of the clip;
        not called where nothing depends on them."""
        if self.size_by != "model":
            return self
        frames, (usual,) = sample(), self.sizes
        careful = copy.copy(self)
        careful.score_threshold = PERHAPS
        heights = [heights_in_input(p.instances.boxes_xyxy, p.grid) for p in careful.predict(frames)]
        sizes = sizes_for_people(torch.cat(heights), usual)
        inputs = {self.input_size(frames.frame_size, size) for size in (usual, *sizes)}
        return self.at_sizes(sizes) if len(inputs) > 1 else self  # tiny frames are not enlarged further

    def at_sizes(self, sizes: tuple[int, ...]) -> DDPPredictor:
        """One with the same model that makes the frames' short side so many px, for their people's sake: a look for each, the
        usual one first."""
        other = copy.copy(self)
        other.sizes, other.size_by = sizes, "people"
        return other

    def input_size(self, frame_size: tuple[int, int], size: int | None = None) -> tuple[int, int]:
        """(h, w) px that a frame (H, W) is resized to for a look in this size, by default the one that predictions lie on."""
        size = size or self.sizes[0]
        scale = min(MAX_ENLARGEMENT, size / min(frame_size))
        if scale > 1:
            scale = max(1.0, min(scale, MOST_STRETCHED * size / max(frame_size)))
        height, width = (max(1, round(n * scale)) for n in frame_size)
        return height, width

    @torch.inference_mode()
    def _run_once(self, data: Tensor, grids: list[Grid]) -> list[Look]:
        data = data.pin_memory() if self.device.type == "cuda" else data  # the copy then need not wait
        data = data.to(self.device, non_blocking=True)
        looks = zip(*(self._look(data, grid) for grid in grids), strict=True)
        return [reduce(join_looks, of_frame).to("cpu") for of_frame in looks]

    def _look(self, data: Tensor, grid: Grid) -> list[Look]:
        """Every frame in one size."""
        images = self._prepare(data, grid.input_size)
        with autocast(self.device, DTYPES[self.precision]):
            found = self.model(images, grid.input_size, self.score_threshold)
        (frame_h, frame_w), (input_h, input_w) = grid.frame_size, grid.input_size
        scale = images.new_tensor([frame_w / input_w, frame_h / input_h] * 2, dtype=torch.float32)
        return [Look(grid, replace(people, boxes_xyxy=people.boxes_xyxy * scale), iuv) for people, iuv in found]

    def _prepare(self, data: Tensor, size: tuple[int, int]) -> Tensor:
        """uint8 [T, 3, H, W] -> resized, and padded at the right and bottom with the mean colour."""
        if data.shape[2:] != size:
            resize = partial(F.interpolate, size=size, mode="bilinear", antialias=True)
            # CUDA resizes no uint8; rounded it gives what the CPU gives.
            data = resize(data) if data.device.type == "cpu" else resize(data.float()).round_()
        height, width = (math.ceil(n / SIZE_MULTIPLE) * SIZE_MULTIPLE for n in size)
        mean = self.model.image_mean.to(data.dtype)  # zero once normalised
        padded = mean.expand(len(data), 3, height, width).contiguous(memory_format=torch.channels_last)
        padded[:, :, : size[0], : size[1]] = data
        return padded

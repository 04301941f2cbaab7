"""Training crops from several sources: crop number n is a function of (seed, n) alone, so a run can go on anywhere."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ddp_video.data.sample import Batch, Crop, Sample, collate
from ddp_video.data.transforms import Augmentation, draw_count, plain_crop, train_crop
from ddp_video.errors import DataError


class Source(Protocol):
    """A dataset of labelled pictures. charts: whose U, V its labels speak, None where it has no people."""

    charts: str | None

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class Mixture(Dataset):
    """An endless list of random crops; each picture is drawn from a source with probability proportional to its weight."""

    def __init__(
        self, sources: Sequence[Source], weights: Sequence[float], size: int, augmentation: Augmentation, seed: int
    ):
        self.sources = sources
        self.shares = np.asarray(weights, float) / np.sum(weights)
        self.size, self.augmentation, self.seed = size, augmentation, seed

    def __getitem__(self, n: int) -> Crop:
        rng = np.random.default_rng([self.seed, n])
        count = draw_count(self.size, self.augmentation, rng)
        return train_crop([self._draw(rng) for _ in range(count)], self.size, self.augmentation, rng)

    def _draw(self, rng: np.random.Generator) -> Sample:
        source = self.sources[rng.choice(len(self.shares), p=self.shares)]
        return source[int(rng.integers(len(source)))]


class PlainCrops(Dataset):
    """The first `count` pictures of a source as they are, for validation."""

    def __init__(self, source: Source, size: int, count: int):
        self.source, self.size, self.count = source, size, min(count, len(source))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Crop:
        return plain_crop(self.source[index], self.size)


class Numbers(Sampler):
    """The crop numbers of steps first..last-1 of one process among `world`: together they take every number once."""

    def __init__(self, first: int, last: int, batch_size: int, rank: int = 0, world: int = 1):
        self.first, self.last, self.batch_size, self.rank, self.world = first, last, batch_size, rank, world

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            start = (step * self.world + self.rank) * self.batch_size
            yield list(range(start, start + self.batch_size))


def batches(mixture: Mixture, numbers: Numbers, workers: int, pin_memory: bool) -> Iterator[Batch]:
    """Decode and augment in `workers` processes of one thread each (0: in this one).

    Raises DataError, as the sources do, and ends the processes then: until its end this one would wait for them.
    """
    loader = DataLoader(
        mixture,
        batch_sampler=numbers,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_begin_worker,
    )
    stream = iter(loader)
    try:
        yield from stream
    except DataError as error:  # a worker's comes with the traceback that it had there
        raise DataError(re.sub(r"^[\w.]+Error: ", "", str(error).strip().splitlines()[-1])) from None
    finally:
        if workers:
            stream._shutdown_workers()


def _begin_worker(worker: int) -> None:
    # Ctrl-C reaches every process of the command, SIGTERM from a scheduler every process of the job: whom the batches are for
    # decides when it is over, and its end is theirs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)

"""Pictures that processes of their own make all the time, kept in shared memory and shown several times over.

A GPU learns from pictures several times faster than a machine's cores make them, while cutting a training crop out of one
costs a core next to nothing.
"""

from __future__ import annotations

import itertools
import mmap
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import wait

import cv2
import numpy as np

from ddp_video.data.mixture import Source
from ddp_video.data.sample import Sample
from ddp_video.errors import DataError

ENOUGH = 256  # pictures before the first is shown
_PLANES = 7  # of a picture: RGB, person, chart, u, v
_POLITE = 5  # nice value: the process that feeds the GPU comes first


class Pool:
    """The last `capacity` pictures of an endless source of square pictures with exact labels.

    Which pictures are there depends on time, so unlike with other sources a crop does not follow from its number alone.
    Memory is taken as it fills. The processes are forked, so make it before anything starts threads or uses a GPU.

    Args:
        source: gives pictures of size x size px.
        processes: that make them.
        first: number of the first picture; a resumed run goes on behind those that it has seen.
        rank, world: of `world` pools this is number `rank`, and they share the source's pictures out among them.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        processes: int,
        first: int = 0,
        capacity: int = 8192,
        rank: int = 0,
        world: int = 1,
    ):
        capacity -= capacity % processes  # each process writes to slots of its own
        self.charts, self._source, self._first, self._capacity = source.charts, source, first, capacity
        self._rank, self._world = rank, world
        pictures = np.frombuffer(mmap.mmap(-1, capacity * size * size * _PLANES), np.uint8)
        self._pictures = pictures.reshape(capacity, size, size, _PLANES)
        # How often a slot was begun and finished: odd while somebody writes there, 0 before anybody did.
        self._stamps = np.frombuffer(mmap.mmap(-1, 8 * capacity), np.int64)
        context = multiprocessing.get_context("fork")
        self._made = context.Value("q", 0)
        self._processes = [
            context.Process(target=self._make, args=(process, processes), daemon=True) for process in range(processes)
        ]
        for process in self._processes:
            process.start()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        """Some picture that is there; waits for the first ones; raises DataError when one cannot be made."""
        while self._made.value < min(ENOUGH, self._capacity) and not self._has_ended():
            time.sleep(0.05)
        while not self._has_ended():
            slot = index % min(self._made.value, self._capacity)
            before = self._stamps[slot]
            if before and before % 2 == 0:
                picture = self._pictures[slot].copy()
                if self._stamps[slot] == before:  # nobody wrote meanwhile
                    return _sample(picture)
            index += 1
        raise DataError(
            "a process that makes pictures has failed: what it said is above, or it was killed (out of memory?)"
        )

    def _has_ended(self) -> bool:
        """Whether any of the processes, which never do by themselves, has; asked by any process that was forked later."""
        return bool(wait([process.sentinel for process in self._processes], timeout=0))

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
            process.join()

    def _make(self, process: int, processes: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # `close` ends it
        os.nice(_POLITE)
        cv2.setNumThreads(0)
        for number in itertools.count(process, processes):
            if not multiprocessing.parent_process().is_alive():  # killed, so that nobody calls `close`
                return
            sample = self._source[self._first + number * self._world + self._rank]
            slot = number % self._capacity
            picture = self._pictures[slot]
            self._stamps[slot] += 1
            picture[..., :3], picture[..., 3], picture[..., 4] = sample.image, sample.instance, sample.part
            picture[..., 5:] = sample.uv
            self._stamps[slot] += 1
            with self._made.get_lock():
                self._made.value += 1


def _sample(picture: np.ndarray) -> Sample:
    image, instance, part, uv = (
        np.ascontiguousarray(plane) for plane in (picture[..., :3], picture[..., 3], picture[..., 4], picture[..., 5:])
    )
    return Sample(image, instance, part > 0, np.ones(instance.max(), bool), part, uv)

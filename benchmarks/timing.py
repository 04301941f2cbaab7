"""Wall and CPU time of repeated calls: medians, without the first call, and compared round by round."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import wraps
from statistics import median
from unittest.mock import patch

import torch

LEAST_ROUNDS = 2  # of what is slow; see `compare`


@dataclass(frozen=True)
class Timing:
    """Medians, in seconds. cpu counts all threads of this process; on a machine that others use it is the one to trust."""

    wall: float
    cpu: float


def compare(calls: dict[str, Callable], rounds: int, seconds: float = 60) -> dict[str, Timing]:
    """Time calls against each other: every round runs each of them once, so that what slows the machine slows all.

    The first round warms up and is not counted. When `seconds` have passed no further round begins, after the second.
    """
    found = defaultdict(list)
    began = time.perf_counter()
    for number in range(rounds + 1):
        if number > LEAST_ROUNDS and time.perf_counter() - began > seconds:
            break
        for name, call in calls.items():
            _wait()
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            _wait()
            if number:
                found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: Timing(*map(median, zip(*of_call, strict=True))) for name, of_call in found.items()}


def _wait() -> None:
    """Until the GPU, if there is one, has done all that it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class Stopwatch:
    """Adds up what named stages of a longer job take. Stages may lie within one another: the inner one's time is its own."""

    def __init__(self):
        self.total: dict[str, Timing] = defaultdict(lambda: Timing(0, 0))
        self._open: list[list[float]] = []  # of each stage under way: what its inner stages took

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._open.append([0.0, 0.0])
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            _wait()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            inner = self._open.pop()
            if self._open:
                self._open[-1][0] += wall
                self._open[-1][1] += cpu
            before = self.total[name]
            self.total[name] = Timing(before.wall + wall - inner[0], before.cpu + cpu - inner[1])

    def calls(self, owner: object, method: str, name: str) -> AbstractContextManager:
        """While it lasts, every call of a method, of one object or of a class, counts as a stage."""
        call = getattr(owner, method)

        @wraps(call)
        def timed(*args, **kwargs):
            with self.stage(name):
                return call(*args, **kwargs)

        return patch.object(owner, method, timed)

    def items(self, source: Iterable, name: str) -> Iterator:
        """The items of `source`; the waiting for them counts as a stage."""
        iterator, end = iter(source), object()
        while True:
            with self.stage(name):
                item = next(iterator, end)
            if item is end:
                return
            yield item

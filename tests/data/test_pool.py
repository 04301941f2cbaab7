"""Pictures made by processes of their own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddp_video.data.pool import Pool
from ddp_video.data.sample import Sample
from ddp_video.errors import DataError

SIZE = 64


class Counting:
    """Every plane of picture n tells n."""

    charts = "ddp-video"

    def __len__(self):
        return 2**31

    def __getitem__(self, index):
        plane = np.full((SIZE, SIZE), index % 200 + 1, np.uint8)
        uv = np.stack([plane, plane + 1], -1)
        return Sample(
            np.stack([plane, plane + 2, plane + 3], -1), plane, plane > 0, np.ones(plane.max(), bool), plane, uv
        )


class Failing(Counting):
    def __getitem__(self, index):
        raise ValueError("no such picture")


@pytest.fixture
def pool():
    pools = []

    def make(*args, **kwargs):
        pools.append(Pool(*args, **kwargs))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def test_pictures_come_whole_while_others_are_written(pool):
    shown = pool(Counting(), SIZE, processes=2, capacity=4)
    seen = set()
    for index in range(3000):
        sample = shown[index]
        number = int(sample.image[0, 0, 0])
        expected = Counting()[number - 1]
        for name in ("image", "instance", "part", "uv", "dense", "has_dense"):
            assert np.array_equal(getattr(sample, name), getattr(expected, name))
        seen.add(number)
    assert len(seen) > 4  # old pictures have gone, new ones have come


def test_a_resumed_run_sees_other_pictures(pool):
    class Later(Counting):
        def __getitem__(self, index):
            if index < 100:
                raise ValueError("seen before")
            return super().__getitem__(index)

    assert pool(Later(), SIZE, processes=2, first=100, capacity=8)[0] is not None
    shown = pool(Later(), SIZE, processes=2, first=99, capacity=8)
    shown._processes[0].join()  # its first picture is one of those
    with pytest.raises(DataError):
        shown[0]


def test_pools_of_a_run_share_the_pictures_out(pool):
    for rank in range(2):
        shown = pool(Counting(), SIZE, processes=2, capacity=4, rank=rank, world=2)
        assert {(int(shown[index].image[0, 0, 0]) - 1) % 2 for index in range(200)} == {rank}


def test_a_failure_is_not_waited_for(pool):
    with pytest.raises(DataError, match="has failed"):
        pool(Failing(), SIZE, processes=1)[0]


def test_a_killed_process_is_not_waited_for_either(pool):
    shown = pool(Counting(), SIZE, processes=2)
    shown._processes[1].kill()
    shown._processes[1].join()
    with pytest.raises(DataError, match="was killed"):
        shown[0]


def test_the_processes_end(pool):
    shown = pool(Counting(), SIZE, processes=2, capacity=4)
    assert shown[0] is not None
    shown.close()
    assert not any(process.is_alive() for process in shown._processes)


def test_a_killed_run_leaves_no_process_behind():
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_pool import Counting, Pool, SIZE
print(Pool(Counting(), SIZE, processes=2, capacity=4)[0].image.shape, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    # Its processes hold the pipe too: it ends when they have ended.
    done = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], stdout=subprocess.PIPE, timeout=120)
    assert done.returncode == -9 and done.stdout

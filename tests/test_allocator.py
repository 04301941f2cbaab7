"""Memory that one frame freed is there for the next, on whichever thread of the pipeline; and how much there was."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from ddp_video.allocator import peak_memory_mib

# Fills 40 MB and frees it, three times, on a thread; prints the page faults of the third time.
PROGRAM = """
import resource, threading
import numpy as np
from ddp_video.allocator import keep_freed_memory

def fill():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(40_000_000, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
faults = []
thread = threading.Thread(target=lambda: faults.extend(fill() for _ in range(3)))
thread.start()
thread.join()
print(faults[-1])
"""

# Convolves maps of so many widths that the first is forgotten, then the first again and the last again.
KERNELS_PROGRAM = """
import torch
from ddp_video.allocator import KERNELS, keep_few_kernels

keep_few_kernels()
conv = torch.nn.Conv2d(8, 8, 5, bias=False)
with torch.inference_mode():
    for width in [*range(16, 16 + KERNELS + 1), 16, 16 + KERNELS]:
        print("WIDTH", flush=True)
        conv(torch.zeros(2, 8, 16, width))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_kept():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 100


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
def test_kernels_of_sizes_long_past_are_forgotten():
    environment = os.environ | {"ONEDNN_VERBOSE": "2"}
    result = subprocess.run(
        [sys.executable, "-c", KERNELS_PROGRAM], capture_output=True, text=True, check=True, env=environment
    )
    first, *_, again, last_again = (
        "create:cache_miss,cpu,convolution" in part for part in result.stdout.split("WIDTH")[1:]
    )
    assert (first, again, last_again) == (True, True, False)


def test_peak_memory_is_that_of_the_process_itself():
    held = np.ones(400 << 17)  # 400 MiB, which the processes started below have nothing to do with
    own, grown = (_peak(f"a = bytearray({size}); a[::4096] = bytes(len(a[::4096]))") for size in (0, 200 << 20))
    assert own < 200 < grown < 400 <= peak_memory_mib()
    assert held.all()


def _peak(work: str) -> int:
    script = f"{work}\nfrom ddp_video.allocator import peak_memory_mib\nprint(peak_memory_mib())"
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)

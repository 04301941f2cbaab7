"""Memory that one frame freed is there for the next, on whichever thread of the pipeline; and how much there was."""

import platform
import subprocess
import sys

import numpy as np
import pytest

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_kept():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 100


def test_peak_memory_is_that_of_the_process_itself():
    held = np.ones(400 << 17)  # 400 MiB, which the processes started below have nothing to do with
    own, grown = (_peak(f"a = bytearray({size}); a[::4096] = bytes(len(a[::4096]))") for size in (0, 200 << 20))
    assert own < 200 < grown < 400 <= peak_memory_mib()
    assert held.all()


def _peak(work: str) -> int:
    script = f"{work}\nfrom ddp_video.allocator import peak_memory_mib\nprint(peak_memory_mib())"
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)

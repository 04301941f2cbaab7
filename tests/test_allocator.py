"""Memory that one frame freed is there for the next, on whichever thread of the pipeline."""

import platform
import subprocess
import sys

import pytest

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

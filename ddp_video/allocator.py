"""How libraries below Python keep memory for later, and how much a process has had."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

# Of glibc's mallopt.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
KERNELS = 192  # a frame needs a hundred, RAFT seventy more; one or two fit this frame alone


def keep_freed_memory() -> None:
    """Keep freed memory for the next frame, picture or step instead of giving it back to the kernel.

    A network's maps, and the planes of a drawn picture, are large blocks, and glibc gives such blocks back as soon as they are
    freed. The next frame asks for the same ones, which then come page by page, and zeroed: an eighth to a quarter of all time
    on CPU. One arena for all threads, so that what one stage of the pipeline frees serves the others. Where there is
    no glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(M_ARENA_MAX, 1)


def keep_few_kernels() -> None:
    """Let oneDNN keep the kernels that frames share, not those of a thousand frames: at up to .4 MB each, a long clip would
    need more memory than a short one. To be called before the first network runs; not for training, whose steps need more.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS))


def peak_memory_mib() -> int:
    """The most that this process has had in memory at once, MiB.

    Linux says it in /proc; what `getrusage` says begins with the peak of the process that started this one.
    """
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found:
        return int(found[1]) // 1024
    import resource  # not everywhere, and this module is loaded by every command

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 1024)

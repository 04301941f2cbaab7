"""One setting of the C library that makes allocating many large arrays cheap."""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD, _TOP_PAD, _TRIM_THRESHOLD = -3, -2, -1  # parameters of glibc's mallopt


def keep_freed_memory() -> None:
    """Let freed megabytes be used again instead of being given back to the kernel, which hands out pages slowly.

    A picture allocates and frees about 60 MB; without this a quarter of the time goes into page faults. Does nothing
    where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_THRESHOLD, 1 << 25)  # the largest that it takes
    mallopt(_TOP_PAD, 1 << 26)
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)

"""One process for each folder of a run, or of a training run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddp_video.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no such lock: there the user has to take care
    fcntl = None


@contextmanager
def run_lock(folder: str | Path) -> Iterator[None]:
    """Hold a run folder, which must exist; OutputError where another process holds it.

    The lock is the kernel's (flock on the folder): it leaves no file behind and ends with the process, however it ends.
    """
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"cannot open the run folder {folder}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(
                f"{folder} is being written by another ddp-video process; wait for it, or give another output folder"
            ) from None
        yield
    finally:
        os.close(descriptor)

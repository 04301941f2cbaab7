"""How a failure looks at the command line: one line on standard error, and an exit code."""

from __future__ import annotations

import os
import traceback

import click

from ddp_video.errors import DDPVideoError

SHOW_TRACEBACK = "DDP_VIDEO_TRACEBACK"


def fail(message: str, code: int = 1) -> int:
    """Print one line to standard error and return the exit code."""
    click.echo("error: " + " ".join(str(message).split()), err=True)
    return code


def explain(error: Exception) -> str:
    """One line for a person. With DDP_VIDEO_TRACEBACK in the environment the traceback is printed before it."""
    if os.environ.get(SHOW_TRACEBACK):
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, DDPVideoError | ValueError | OSError | MemoryError | ImportError):
        return str(error) or f"out of luck: {type(error).__name__}"
    return f"{type(error).__name__}: {error} (not foreseen; {SHOW_TRACEBACK}=1 shows where, please report it)"

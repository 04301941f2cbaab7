"""Opening media files with FFmpeg, alike in all versions of PyAV."""

from __future__ import annotations

import av
from av.container import InputContainer

# Up to 18, PyAV refuses a file whose title is not UTF-8 unless it is told otherwise; from 19 on it takes it as it is.
_LENIENT = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def open_input(path: str) -> InputContainer:
    """A file to read; raises av.FFmpegError, OSError or ValueError."""
    return av.open(f"file:{path}", **_LENIENT)  # "file:" keeps FFmpeg from taking "a:b.mp4" for a protocol

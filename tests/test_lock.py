"""One process a folder."""

import subprocess
import sys

import pytest

from ddp_video.errors import OutputError
from ddp_video.lock import run_lock


def test_one_process_a_run_folder(tmp_path):
    pytest.importorskip("fcntl")
    ask = (
        "import fcntl, os, sys\n"
        "try: fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB); print('free')\n"
        "except OSError: print('taken')"
    )

    def other_process() -> str:
        return subprocess.run([sys.executable, "-c", ask, str(tmp_path)], capture_output=True, text=True).stdout

    with run_lock(tmp_path):
        assert other_process() == "taken\n"
        with pytest.raises(OutputError, match="is being written by another"), run_lock(tmp_path):
            pass
    assert other_process() == "free\n"
    assert not any(tmp_path.iterdir())
    with pytest.raises(OutputError, match="cannot open the run folder"), run_lock(tmp_path / "missing"):
        pass

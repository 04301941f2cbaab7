"""The command as a user calls it, within this process, and weights for it."""

import sys

import pytest
import torch

from ddp_video.cli.main import main
from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.weights import save_model


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A model that has learnt nothing: it finds nobody."""
    torch.manual_seed(0)
    return str(save_model(DDP(CONFIGS["ddp_lite"]), tmp_path_factory.mktemp("weights")))


@pytest.fixture
def command(monkeypatch, capsys):
    """command(*arguments) -> (exit code, standard output, standard error)."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ddp-video", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run

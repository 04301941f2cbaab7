"""The package as it is installed: every room listed, weights carried along, the command answering."""

import configparser
from pathlib import Path

import pytest
from click.testing import CliRunner

from ddp_video.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]


def test_setup_lists_every_package_on_disk():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    on_disk = {".".join(f.parent.relative_to(ROOT).parts) for f in (ROOT / "ddp_video").rglob("*.py")}
    assert listed - {"ddp_video.shipped_weights"} == on_disk


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_unknown_command_is_a_usage_error():
    assert CliRunner().invoke(cli, ["no-such-command"]).exit_code == 2

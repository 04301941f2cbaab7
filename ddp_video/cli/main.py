"""The `ddp-video` command: a table of sub-commands, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys

import click

from ddp_video.cli.failures import explain, fail

COMMANDS = {
    "infer": "Dense pose of videos: run folders with predictions and pictures.",
    "smooth": "Steady the predictions of run folders along the optical flow.",
    "evaluate-stability": "ITF, ISI, E_warp and more, of videos or run folders side by side.",
    "render": "Draw the videos of a run folder again, in other styles.",
    "export": "Write a run folder in the formats of other tools.",
    "evaluate": "Accuracy: GPS and mask AP/AR against labels.",
    "train": "Train a model on synthetic people or DensePose-COCO.",
    "synthesize": "Make labelled pictures and videos of synthetic people.",
    "label": "Make label maps for real frames from what published body models agree on.",
    "weights": "List, describe, verify and convert model weights.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when it is called, so that `ddp-video --help` does not wait for torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = name.replace("-", "_")
        return getattr(importlib.import_module(f"ddp_video.cli.{module}"), module)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="ddp-video")
def cli() -> None:
    """Dense pose of people in any video, steady over time."""


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        code = cli(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        fail("interrupted" + ("; what was finished is kept (--resume goes on from there)" if _resumes() else ""))
        # A batch that is on its way through the network cannot be stopped, and nobody waits for it.
        os._exit(130)
    except click.UsageError as error:
        hint = f" (try '{error.ctx.command_path} --help')" if error.ctx else ""
        code = fail(error.format_message() + hint, 2)
    except click.ClickException as error:
        code = fail(error.format_message(), error.exit_code)
    except BrokenPipeError:  # `ddp-video weights list | head -1` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        code = fail(explain(error))
    sys.exit(code if isinstance(code, int) else 0)


def _resumes() -> bool:
    """Whether the command that was called has --resume."""
    command = cli.get_command(None, sys.argv[1]) if len(sys.argv) > 1 else None
    return command is not None and any(parameter.name == "resume" for parameter in command.params)


if __name__ == "__main__":
    main()

"""`ddp-video train`."""

from __future__ import annotations

from pathlib import Path

import click

from ddp_video.allocator import keep_freed_memory
from ddp_video.cli.options import quiet_option
from ddp_video.train.config import PRESETS, TrainConfig


@click.command()
@click.option(
    "--data",
    "data",
    multiple=True,
    required=True,
    metavar="KIND:PATH[@WEIGHT]",
    help="A source of pictures: maps:FOLDER (pictures with dense label maps, as `synthesize images` writes them), synthetic:PACK (made on the fly from what `synthesize assets` wrote), coco:ANNOTATIONS.json,IMAGES (DensePose-COCO) or photos:FOLDER (photographs without people). Give it several times to mix them.",
)
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for checkpoints, losses and pictures."
)
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="TOML or JSON file with training settings."
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Settings to start from instead of a file.  [lite]")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change one setting, for example lr=5e-4.")
@click.option(
    "--init",
    default="imagenet",
    show_default=True,
    help="'imagenet' (the backbone), 'scratch', or model weights to start from.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Let the schedule last so long instead of a number of steps.",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in OUT.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(min=0), help="Processes that decode and augment."
)
@click.option(
    "--generators",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Processes that make synthetic pictures all the time, to be shown several times each, for a GPU that learns faster than they are made. 0: the workers make one for every crop.",
)
@click.option("--tensorboard", is_flag=True, help="Also write losses and pictures for TensorBoard.")
@quiet_option
def train(
    data, out, config_file, preset, changes, init, minutes, resume, device, workers, generators, tensorboard, quiet
):
    """Train a model; the averaged weights are exported to OUT/<model>-<hash>.safetensors.

    With several GPUs (or processes): torchrun --nproc-per-node N -m ddp_video.cli.main train ...
    """
    from ddp_video.train.run import process_rank, start

    if config_file and preset:
        raise click.UsageError("give --config or --preset, not both")
    keep_freed_memory()
    config = TrainConfig.read(config_file) if config_file else PRESETS[preset or "lite"]
    weights = start(
        config.changed(changes),
        data,
        out,
        init=init,
        minutes=minutes,
        resume=resume,
        device=device,
        workers=workers,
        generators=generators,
        tensorboard=tensorboard,
        quiet=quiet,
    )
    rank, _ = process_rank()
    if rank == 0:  # of torchrun's processes one speaks
        click.echo(f"weights in {weights}")

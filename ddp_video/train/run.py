"""Puts a training run together: device and processes, data, model, trainer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from ddp_video.data.generated import Generated
from ddp_video.data.mixture import Mixture, PlainCrops, Source
from ddp_video.data.pool import Pool
from ddp_video.data.sample import Batch, collate
from ddp_video.data.sources import SourceSpec, held_out, open_source, parse_source
from ddp_video.data.transforms import Augmentation
from ddp_video.errors import DataError, TrainingError
from ddp_video.hardware import choose_device
from ddp_video.lock import run_lock
from ddp_video.model.config import ModelConfig
from ddp_video.model.ddp import DDP
from ddp_video.model.pretrained import load_pretrained_backbone
from ddp_video.model.weights import load_model
from ddp_video.train.config import WITHOUT, TrainConfig
from ddp_video.train.loop import CHECKPOINT, Trainer, read_checkpoint


def start(
    config: TrainConfig,
    data: Sequence[str],
    out: Path,
    init: str,
    resume: bool,
    device: str = "auto",
    generators: int = 0,
    **options,
) -> Path:
    """Train as `config` says; returns the path of the exported weights.

    Args:
        data: sources, see `parse_source`.
        init: 'imagenet', 'scratch', or the weights of a model to start from.
        generators: processes that keep a pool of synthetic pictures fresh; 0 makes one for each crop.
        options: further arguments of `Trainer`.
    Raises:
        OutputError: another process trains in the folder. TrainingError: it holds a run, and `resume` is not asked for, or
        that run cannot be resumed. DataError: no fit data.
    """
    if (out / CHECKPOINT).exists() and not resume:
        raise TrainingError(f"{out} holds a training run; go on with --resume, or give another output folder")
    specs = [parse_source(text) for text in data]
    sources = [open_source(spec, config.size) for spec in specs]
    charts = _charts(sources)
    state = read_checkpoint(out) if resume else None
    with ExitStack() as held:
        if generators:
            rank, world = process_rank()  # asked before the processes join: forking comes first
            seen = state["step"] * config.batch_size * world if state else 0

            def pool(source: Generated) -> Pool:
                return held.enter_context(closing(Pool(source, config.size, generators, seen, rank=rank, world=world)))

            sources = [pool(source) if isinstance(source, Generated) else source for source in sources]
        device = _join_processes(device)
        torch.manual_seed(config.seed)
        model = _model(config, init, charts) if state is None else DDP(ModelConfig.from_dict(state["model_config"]))
        if model.config.charts != charts:
            raise DataError(
                f"{out if resume else init} speaks the charts of {model.config.charts}, the data those of {charts}"
            )
        augmentation = replace(Augmentation(), mosaic=config.mosaic, paste=config.paste)
        mixture = Mixture(sources, [spec.weight for spec in specs], config.size, augmentation, config.seed)
        validation = [crops for spec in specs for crops in _validation(spec, config)]
        trainer = Trainer(model, mixture, validation, config, out, device, **options)
        if trainer.rank == 0:
            held.enter_context(run_lock(out))
        if state is not None:
            trainer.resume(state)
        weights = trainer.run()
    if dist.is_initialized():
        dist.destroy_process_group()
    return weights


def process_rank() -> tuple[int, int]:
    """Which of how many processes this one is, as torchrun says."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def _model(config: TrainConfig, init: str, charts: str) -> DDP:
    if init not in ("imagenet", "scratch"):
        model = load_model(init)
        if model.config.name != config.model or (config.without and getattr(model.config, WITHOUT[config.without])):
            wanted = " without ".join(filter(None, (config.model, config.without)))
            raise TrainingError(
                f"{init} is a {model.config.name}, the settings say {wanted}; add --set model={model.config.name}, or begin with --init imagenet"
            )
        return model
    model = DDP(replace(config.model_config(), charts=charts))
    if init == "imagenet":
        load_pretrained_backbone(model)
    return model


def _charts(sources: Sequence[Source]) -> str:
    """Whose U, V the data speaks."""
    spoken = sorted({source.charts for source in sources} - {None})
    if len(spoken) != 1:
        found = "no people in the data" if not spoken else f"the U, V of {' and of '.join(spoken)} are not the same"
        raise DataError(f"{found}: train on labelled people of one kind of charts")
    return spoken[0]


def _validation(spec: SourceSpec, config: TrainConfig) -> list[Batch]:
    source = held_out(spec, config.size)
    if source is None:
        return []
    crops = PlainCrops(source, config.size, config.validation_pictures)
    size = config.batch_size
    return [
        collate([crops[i] for i in range(first, min(first + size, len(crops)))]) for first in range(0, len(crops), size)
    ]


def _join_processes(device: str) -> torch.device:
    """Under torchrun: join the others, one GPU each."""
    chosen = choose_device(device)
    if "LOCAL_RANK" in os.environ and not dist.is_initialized():
        if chosen.type == "cuda" and chosen.index is None:
            chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(chosen)
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return chosen

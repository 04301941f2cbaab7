"""The training loop: optimiser, schedule, averaged weights, checkpoints, and several processes under torchrun."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import cv2
import torch
import torch.distributed as dist
from timm.optim import Muon
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from ddp_video.data.mixture import Mixture, Numbers, batches
from ddp_video.data.sample import Batch
from ddp_video.errors import OutputError, TrainingError
from ddp_video.hardware import DTYPES, autocast, choose_precision
from ddp_video.model.ddp import DDP
from ddp_video.model.weights import save_model
from ddp_video.train.config import TrainConfig
from ddp_video.train.criterion import Criterion
from ddp_video.train.interruption import noted_interrupts
from ddp_video.train.validation import picture_sheet, validate

LOG_EVERY = 10  # steps
LEAST_WIDTH = 16  # of a matrix that Muon takes: depthwise convolutions and heads of few outputs are narrower
CHECKPOINT = "checkpoint.pt"


class Trainer:
    """Trains a model on a mixture of data and leaves everything in one folder.

    The folder holds log.jsonl (losses and validation figures), checkpoint.pt (all that a run needs to go on), pictures/ and
    <model>-<hash>.safetensors (the averaged weights, exported). Under torchrun every process makes one Trainer; the first writes.

    Args:
        model: the network, initialised.
        mixture: endless random crops.
        validation: batches of held-out crops; may be empty.
        config: see TrainConfig.
        out: the folder.
        minutes: when given, the schedule runs over so much time instead of config.steps.
        workers: processes that decode and augment.
        tensorboard: also write scalars and pictures for TensorBoard.
    """

    def __init__(
        self,
        model: DDP,
        mixture: Mixture,
        validation: Sequence[Batch],
        config: TrainConfig,
        out: Path,
        device: torch.device | str = "cpu",
        minutes: float | None = None,
        workers: int = 1,
        checkpoint_minutes: float = 5.0,
        tensorboard: bool = False,
        quiet: bool = False,
    ):
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.config, self.mixture, self.out, self.device = config, mixture, Path(out), torch.device(device)
        self.minutes, self.workers, self.checkpoint_minutes, self.quiet = minutes, workers, checkpoint_minutes, quiet
        self.model = model.to(self.device).train()
        model.freeze_backbone(config.frozen_stages)
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self.validation = [batch.to(self.device) for batch in validation]
        self.optimizer = make_optimizer(model, config)
        self.dtype = DTYPES[choose_precision(self.device, config.precision)]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.step, self.seconds = 0, 0.0
        self.exported: str | None = None  # name of this run's weights in `out`, where there may be others
        self.out.mkdir(parents=True, exist_ok=True)
        self.board = _tensorboard(self.out) if tensorboard and self.rank == 0 else None

    def run(self) -> Path:
        """Train from the present step to the end of the schedule; returns the exported weights' path.

        Raises TrainingError when a loss or gradient is not finite, after saving its batch; KeyboardInterrupt after Ctrl-C or
        SIGTERM, once the step is done and saved.
        """
        criterion: nn.Module = Criterion(self.model)
        if self.world > 1:
            criterion = DistributedDataParallel(criterion, gradient_as_bucket_view=True)
        last = self.config.steps if self.minutes is None else self.step + 10**9
        numbers = Numbers(self.step, last, self.config.batch_size, self.rank, self.world)
        stream = batches(self.mixture, numbers, self.workers, pin_memory=self.device.type == "cuda")
        bar = tqdm(total=100, disable=self.quiet or self.rank > 0 or None, unit="%", bar_format=_BAR)
        began, saved, progress = time.monotonic() - self.seconds, time.monotonic(), self._progress()
        history: list[dict[str, Tensor]] = []
        with noted_interrupts() as interrupted:
            while progress < 1:
                set_learning_rate(self.optimizer, self.config, self.step, progress)
                history.append(self._update(criterion, next(stream).to(self.device)))
                self.step += 1
                self.seconds = time.monotonic() - began
                progress = self._progress()
                if self.step % LOG_EVERY == 0 or progress >= 1:
                    terms = self._log(history)
                    bar.set_postfix_str(f"step {self.step} loss {terms['loss']:.3f}", refresh=False)
                    bar.update(100 * progress - bar.n)
                    history = []
                if self.rank == 0:
                    if self.step % self.config.validate_every == 0 or progress >= 1:
                        self._validate()
                    if time.monotonic() - saved > 60 * self.checkpoint_minutes or progress >= 1 or interrupted():
                        self.save()
                        saved = time.monotonic()
                if interrupted():
                    raise KeyboardInterrupt
        bar.close()
        name = [self.exported]
        if self.world > 1:
            dist.broadcast_object_list(name, 0)
        return self.out / name[0]

    def _update(self, criterion: nn.Module, batch: Batch) -> dict[str, Tensor]:
        torch.manual_seed(self.config.seed + self.step * self.world + self.rank)  # nothing random outlives a step
        with autocast(self.device, self.dtype):
            terms = criterion(batch)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            self._stop(batch, f"the loss is not finite ({', '.join(f'{k} {v.item():.3g}' for k, v in terms.items())})")
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if not torch.isfinite(norm) and not self.scaler.is_enabled():  # the scaler skips such a step by itself
            self._stop(batch, "a gradient is not finite")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.rank == 0:
            decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
        return {name: term.detach() for name, term in terms.items()} | {"loss": loss.detach(), "gradient_norm": norm}

    def _progress(self) -> float:
        """Share of the schedule that is done; the same in every process."""
        if self.minutes is None:
            return self.step / self.config.steps
        seconds = torch.tensor(self.seconds)
        if self.world > 1:
            seconds = seconds.to(self.device)
            dist.broadcast(seconds, 0)
        return float(seconds) / (60 * self.minutes)

    def _log(self, history: list[dict[str, Tensor]]) -> dict[str, float]:
        terms = {name: torch.stack([h[name] for h in history]).mean().item() for name in history[0]}
        self._write(terms | {"lr": self.optimizer.param_groups[-1]["lr"]})
        return terms

    def _validate(self) -> None:
        if not self.validation:
            return
        self._write({f"validation/{name}": value for name, value in validate(self.ema, self.validation).items()})
        sheet = picture_sheet(self.ema, self.validation[0])
        (self.out / "pictures").mkdir(exist_ok=True)
        cv2.imwrite(str(self.out / "pictures" / f"{self.step:07d}.jpg"), sheet[..., ::-1])
        if self.board:
            self.board.add_image("charts", sheet, self.step, dataformats="HWC")

    def _write(self, values: dict[str, float]) -> None:
        if self.rank:
            return
        line = {"step": self.step, "seconds": round(self.seconds, 1)} | {k: round(v, 6) for k, v in values.items()}
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, self.step)

    def _stop(self, batch: Batch, why: str) -> None:
        path = self.out / f"bad_batch_{self.step}_{self.rank}.pt"
        torch.save(vars(batch.to("cpu")), path)
        raise TrainingError(f"step {self.step}: {why}; its batch is in {path}; try a lower lr, or go on with --resume")

    def save(self) -> Path:
        """Write the exported weights and the checkpoint, each at one stroke; returns the weights' path.

        Raises OutputError where that fails; what was saved before stays.
        """
        weights = self.export()
        state = {
            "config": self.config.to_dict(),
            "model_config": self.model.config.to_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "exported": self.exported,
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        part = self.out / f"{CHECKPOINT}.part"
        try:
            torch.save(state, part)
        except (OSError, RuntimeError) as error:  # the latter is PyTorch's for a disk that is full
            part.unlink(missing_ok=True)
            why = str(error).partition("\n")[0]
            raise OutputError(f"cannot write {part} ({why}); make room, then go on with --resume") from error
        part.replace(self.out / CHECKPOINT)
        return weights

    def export(self) -> Path:
        """Write the averaged weights as a model file in place of this run's last one; returns its path."""
        path = save_model(self.ema, self.out, {"training": self.config.to_dict(), "step": self.step})
        if self.exported not in (None, path.name):
            (self.out / self.exported).unlink(missing_ok=True)
        self.exported = path.name
        return path

    def resume(self, state: dict) -> None:
        """Go on from what `read_checkpoint` gave; raises TrainingError when it is of another run."""
        try:
            same = (
                TrainConfig(**state["config"]) == self.config and state["model_config"] == self.model.config.to_dict()
            )
        except TypeError:  # a setting that this version does not know
            same = False
        if not same:
            raise TrainingError(
                f"{self.out / CHECKPOINT} is of a run with other settings; use its own, or another output folder"
            )
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds, self.exported = state["step"], state["seconds"], state.get("exported")


def read_checkpoint(folder: Path) -> dict:
    """What `Trainer.save` wrote there, the network's configuration included, which may be that of weights that the run began
    with; raises TrainingError when there is none."""
    path = folder / CHECKPOINT
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise TrainingError(f"cannot resume from {path}: {why}; start without --resume") from error
    if not isinstance(state, dict) or not {"config", "model_config", "step", "ema"} <= state.keys():
        raise TrainingError(f"cannot resume from {path}: it is no checkpoint of a training run; start without --resume")
    return state


def make_optimizer(model: DDP, config: TrainConfig) -> torch.optim.Optimizer:
    """Weight decay on matrices only, not on biases and normalisation; Muon too is for matrices, the rest get its AdamW."""
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            orthogonal = config.optimizer == "muon" and _is_wide(parameter)
            kind = (name.startswith("backbone."), parameter.ndim > 1, orthogonal)
            groups.setdefault(kind, []).append(parameter)
    described = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay * decays,
            "factor": config.backbone_lr if pretrained else 1.0,
            "use_muon": orthogonal,
        }
        for (pretrained, decays, orthogonal), parameters in groups.items()
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(described, lr=config.lr, momentum=0.9)
    if config.optimizer == "muon":
        return Muon(described, lr=config.lr, nesterov=True, betas=(0.9, 0.999))
    return torch.optim.AdamW(described, lr=config.lr)


def _is_wide(parameter: nn.Parameter) -> bool:
    """Whether a weight, as a matrix of outputs x inputs, has directions enough to be worth making orthogonal."""
    return parameter.ndim > 1 and min(len(parameter), parameter[0].numel()) >= LEAST_WIDTH


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int, progress: float) -> None:
    """Linear warm-up, then the schedule; `progress` in 0..1 is how far the run is."""
    if config.schedule == "cosine":
        rate = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress)).item())
    else:
        rate = 0.1 ** sum(step >= milestone for milestone in config.milestones)
    rate *= min(1.0, (step + 1) / max(config.warmup, 1))
    for group in optimizer.param_groups:
        group["lr"] = config.lr * group["factor"] * rate


_BAR = "training {percentage:3.0f}% |{bar}| {elapsed}<{remaining} {postfix}"


def _tensorboard(out: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainingError("--tensorboard needs the package tensorboard: pip install 'ddp-video[train]'") from error
    return SummaryWriter(out / "tensorboard")

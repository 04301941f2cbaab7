"""What a training run is: a frozen dataclass, its presets, and how it is read from a file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ddp_video.errors import DataError
from ddp_video.hardware import DTYPES
from ddp_video.model.config import CONFIGS, ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """The schedule and the optimiser. The data, the device and the output folder are given apart."""

    model: str = "ddp_lite"
    without: str = ""  # a part to leave out, for the paper's table 2 and beyond: one of WITHOUT
    size: int = 320  # px, side of the training crops; a multiple of 64
    batch_size: int = 8  # crops a step, in each process
    steps: int = 20_000
    optimizer: str = "adamw"  # 'adamw', 'muon' (for matrices, AdamW for the rest) or 'sgd' (momentum 0.9)
    lr: float = 1e-3
    backbone_lr: float = 0.3  # of lr: what comes pretrained moves more carefully than what starts from noise
    weight_decay: float = 1e-2
    schedule: str = "cosine"  # down to zero, or 'steps': a tenth at each of `milestones`
    milestones: tuple[int, ...] = ()
    warmup: int = 200  # steps of linear warm-up
    clip_norm: float = 10.0  # of the gradient
    ema: float = 0.999  # decay a step of the averaged weights, which are the ones exported
    precision: str = "auto"  # what the device multiplies natively, or 'fp32', 'bf16', 'fp16' (with loss scaling)
    frozen_stages: int = 2  # of the backbone: the stem, and all up to stride 4
    seed: int = 0
    mosaic: float = 0.3  # share of crops put together from four or nine pictures
    paste: float = 0.35  # share of the other crops with people of a second picture before the first
    validate_every: int = 250  # steps
    validation_pictures: int = 48

    def __post_init__(self):
        for field in fields(self):
            kinds = {float: (int, float)}.get(type(field.default), type(field.default))
            value = getattr(self, field.name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"{field.name} must be like {field.default!r}, got {value!r}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {getattr(self, name)!r}")
        if self.size < 64 or self.size % 64:
            raise ValueError(f"size must be a multiple of 64, got {self.size}")
        for name in ("batch_size", "steps", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def model_config(self) -> ModelConfig:
        config = CONFIGS[self.model]
        return replace(config, **{WITHOUT[self.without]: False}) if self.without else config

    def changed(self, changes: Sequence[str]) -> TrainConfig:
        """With settings replaced by 'NAME=VALUE' texts; raises ValueError."""
        values = {}
        for text in changes:
            name, separator, value = text.partition("=")
            if not separator or name not in {f.name for f in fields(self)}:
                raise ValueError(f"cannot set {text!r}: needed NAME=VALUE with NAME a training setting")
            try:
                kind = type(getattr(self, name))
                values[name] = tuple(json.loads(value)) if kind is tuple else kind(value)
            except (ValueError, TypeError) as error:
                raise ValueError(f"cannot set {text!r}: {error}") from error
        return replace(self, **values)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> TrainConfig:
        """A preset (under the key `preset`) with some fields changed; raises ValueError on what is no such thing."""
        if not isinstance(values, dict):
            raise ValueError(f"training settings must be names and values, got {str(values)[:40]}")
        values = dict(values)
        preset = values.pop("preset", "lite")
        if preset not in PRESETS:
            raise ValueError(f"unknown preset {preset!r}, needed one of {', '.join(PRESETS)}")
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown training settings: {', '.join(sorted(unknown))}")
        return replace(PRESETS[preset], **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    @classmethod
    def read(cls, path: str | Path) -> TrainConfig:
        """From a .toml or .json file."""
        path = Path(path)
        try:
            text = path.read_text()
            values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read the training configuration {path}: {error}") from error
        return cls.from_dict(values)


# What `without` may name, and the switch of ModelConfig that it turns off.
WITHOUT = {
    "smoothing": "smoothness_loss",
    "ian": "instance_aware_norm",
    "sparsity": "sparse",
    "body-context": "body_context",
}

_CHOICES = {
    "model": tuple(CONFIGS),
    "without": ("", *WITHOUT),
    "optimizer": ("adamw", "muon", "sgd"),
    "schedule": ("cosine", "steps"),
    "precision": ("auto", *DTYPES),
}

PRESETS = {
    "lite": TrainConfig(),
    # The paper's schedule (section 6), for DensePose-COCO.
    "paper": TrainConfig(
        model="ddp_r50",
        size=640,
        steps=130_000,
        optimizer="sgd",
        lr=0.01,
        backbone_lr=1.0,
        weight_decay=1e-4,
        schedule="steps",
        milestones=(100_000, 120_000),
        warmup=1000,
        mosaic=0.0,
        paste=0.0,
    ),
}

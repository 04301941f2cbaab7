"""Weights files: safetensors that carry their own configuration and, in their name, their own hash.

A file is called <name>-<hash8>.safetensors, hash8 being the first 8 hex digits of the SHA-256 of its bytes. Those that
come with the package are found by <name> alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ddp_video.errors import WeightsError
from ddp_video.model.config import ModelConfig
from ddp_video.model.ddp import DDP

FORMAT = 1
METADATA_KEY = "ddp_video"
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})\.safetensors$")


@dataclass(frozen=True)
class WeightsInfo:
    """What a weights file says about itself. metadata: whatever its training wrote down (recipe, scores)."""

    path: Path
    sha256: str
    config: ModelConfig
    metadata: dict

    @property
    def name(self) -> str:
        return self.path.name


def shipped_weights() -> list[Path]:
    """The files that come with the package: inside the wheel, or in the checkout's top-level weights/."""
    package = Path(__file__).parents[1]
    installed, checkout = package / "shipped_weights", package.parent / "weights"
    return sorted((installed if installed.is_dir() else checkout).glob("*.safetensors"))


def find_weights(name_or_path: str | Path) -> Path:
    """A path, or the shipped file of that name ('ddp_lite')."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_weights()
    for candidate in shipped:
        if str(name_or_path) in (candidate.name, HASH_IN_NAME.sub("", candidate.name)):
            return candidate
    names = ", ".join(HASH_IN_NAME.sub("", p.name) for p in shipped) or "none"
    raise WeightsError(
        f"no weights {str(name_or_path)!r}: needed the path of a .safetensors file or a shipped name ({names})"
    )


def read_info(name_or_path: str | Path) -> WeightsInfo:
    """Check a file's hash and read what it says about itself, without building the model."""
    path = find_weights(name_or_path)
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    expected = HASH_IN_NAME.search(path.name)
    if expected and not sha256.startswith(expected[1]):
        raise WeightsError(
            f"{path} is damaged: its name promises SHA-256 {expected[1]}..., it has {sha256[:8]}...; fetch it again"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(METADATA_KEY)
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}); fetch it again") from error
    if header is None:
        raise WeightsError(f"{path} holds no ddp-video model; files of this package are made by ddp-video train")
    try:
        header = json.loads(header)
        version, config, metadata = header["format"], header["config"], header["metadata"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: its description is damaged ({error!r}); fetch it again") from error
    if version != FORMAT:
        raise WeightsError(f"{path} has format {version}, this version reads {FORMAT}; update ddp-video")
    try:
        return WeightsInfo(path, sha256, ModelConfig.from_dict(config), metadata)
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path}: {error}") from error


def load_model(name_or_path: str | Path, device: torch.device | str = "cpu") -> DDP:
    """Build the model that a weights file describes, in float32 and eval mode.

    Args:
        name_or_path: a shipped name such as 'ddp_lite', or the path of a .safetensors file.
    Raises:
        WeightsError: the file is missing, damaged, of another program, or does not fit its own configuration.
    """
    info = read_info(name_or_path)
    with safe_open(info.path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    try:
        with torch.device("meta"):  # shapes only: what a damaged description asks for is not made
            expected = DDP(info.config).state_dict()
    except Exception as error:  # whatever layers make of a width of -1 or a backbone that nobody knows
        raise WeightsError(f"{info.path}: its description fits no model ({' '.join(str(error).split())})") from error
    misfits = sorted(expected.keys() ^ state.keys()) or [k for k in expected if expected[k].shape != state[k].shape]
    if misfits:
        raise WeightsError(
            f"{info.path} does not fit {info.config.name}: {len(misfits)} tensors differ, first {misfits[0]}"
        )
    model = DDP(info.config)
    model.load_state_dict({key: value.to(expected[key].dtype) for key, value in state.items()})
    model.weights = info
    return model.to(device).eval()


def save_model(model: DDP, folder: str | Path, metadata: dict | None = None, half: bool = True) -> Path:
    """Write <folder>/<name>-<hash8>.safetensors and give its path.

    Args:
        metadata: anything JSON knows that should travel with the weights: recipe, data, scores.
        half: store matrices and kernels as float16 (half the size); vectors stay float32, since BatchNorm variances
            can leave float16's range.
    """
    state = {
        key: value.detach().cpu().to(torch.float16 if half and value.ndim > 1 else value.dtype).contiguous()
        for key, value in model.state_dict().items()
    }
    header = {"format": FORMAT, "config": model.config.to_dict(), "metadata": metadata or {}}
    data = save(state, {METADATA_KEY: json.dumps(header)})
    path = Path(folder) / f"{model.config.name}-{hashlib.sha256(data).hexdigest()[:8]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    partial.replace(path)
    return path


def mean_weights(names_or_paths: Sequence[str | Path], folder: str | Path) -> Path:
    """Write the mean of the weights of several files, as `save_model` does; a file that is given twice counts twice.

    Of runs that began with the same weights it is often better than each of them (Wortsman et al., "Model soups", ICML 2022).
    Raises:
        WeightsError: as `load_model`; or the files are of different models.
    """
    first, *others = models = [load_model(name_or_path) for name_or_path in names_or_paths]
    for other in others:
        if other.config != first.config:
            raise WeightsError(
                f"{other.weights.path} is of another model than {first.weights.path}; a mean needs weights of one model"
            )
    states = [model.state_dict() for model in models]
    first.load_state_dict({key: torch.stack([s[key].double() for s in states]).mean(0) for key in states[0]})
    return save_model(first, folder, {"mean_of": [model.weights.name for model in models]})

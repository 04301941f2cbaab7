"""DensePose R-CNN checkpoints: detectron2's .pkl and .pth, and our .safetensors.

A pickle can run any code while it is read. `_ArrayUnpickler` therefore knows only what numpy arrays are made of, and
refuses everything else; torch's files are read with `weights_only=True`.
"""

from __future__ import annotations

import hashlib
import mmap
import pickle
from collections import OrderedDict
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ddp_video.errors import OutputError, WeightsError
from ddp_video.model.densepose_rcnn.config import MODEL_NAME, PREDICTOR, RCNNConfig, recognise
from ddp_video.model.densepose_rcnn.network import DensePoseRCNN

# Tensors that change no output: uncertainty of U and V, and what old versions of detectron2 stored.
UNUSED = (
    *(f"{PREDICTOR}.{layer}_lowres." for layer in ("sigma_2", "kappa_u", "kappa_v")),
    "proposal_generator.anchor_generator.",
    "pixel_mean",
    "pixel_std",
)


def load(path: str | Path, device: torch.device | str = "cpu") -> DensePoseRCNN:
    """The network of a checkpoint, in evaluation mode.

    Raises:
        WeightsError: no such file, damaged, unsafe, of another kind, or with tensors missing or unknown.
    """
    path = Path(path)
    tensors = read_tensors(path)
    try:
        config = recognise({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        with torch.device("meta"):
            model = DensePoseRCNN(config)
        _check_fit(tensors, model)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    model.load_state_dict(tensors, assign=True)
    with path.open("rb") as file:
        model.source = {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    return model.requires_grad_(False).eval().to(device)


def convert(path: str | Path, out: str | Path) -> RCNNConfig:
    """Writes the tensors of a checkpoint that matter as .safetensors, which any program can read safely.

    Returns:
        What the checkpoint was recognised as.
    Raises:
        WeightsError: as `load`. OutputError: `out` could not be written.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ValueError(f"converted weights need a name that ends in .safetensors, got {out.name!r}")
    model = load(path)
    tensors = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    part = out.with_name(out.name + ".part")
    try:
        save_file(tensors, part, {"model": MODEL_NAME, "name": model.config.name, "source": Path(path).name})
        part.replace(out)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write {out}: {error}") from error
    return model.config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The float32 tensors of a checkpoint that may matter to the network, by name."""
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        elif path.suffix in (".pth", ".pt") or is_zipfile(path):
            content = _torch_content(path)
        else:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                content = _ArrayUnpickler(data).load()
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except Exception as error:  # a damaged file makes the readers raise almost anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} cannot be read ({reason}): damaged, incomplete, or no checkpoint") from error
    return _tensors(path, content)


def _torch_content(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # its own text advises to read unsafely
        raise WeightsError(
            "cannot be read: damaged, or unsafe since it holds more than tensors; "
            "if you trust its source, save its 'model' entry alone there"
        ) from None


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    if isinstance(content, dict) and "blobs" in content:
        raise WeightsError(f"{path} is of Detectron (Caffe2); needed a checkpoint of detectron2's DensePose")
    weights = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise WeightsError(f"{path} holds no weights by name, but {type(content).__name__}")
    tensors = {}
    for name, value in weights.items():
        if not isinstance(name, str) or name.startswith(UNUSED) or name.endswith("num_batches_tracked"):
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            value = torch.from_numpy(np.ascontiguousarray(value))
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise WeightsError(f"{path}: {name!r} is no array of numbers")
        tensors[name] = value.float()
    return tensors


def _check_fit(tensors: dict[str, Tensor], model: DensePoseRCNN) -> None:
    expected = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    faults = {
        "missing": [name for name in expected if name not in tensors],
        "unknown": [name for name in tensors if name not in expected],
        "of another shape": [n for n, t in tensors.items() if n in expected and t.shape != expected[n].shape],
    }
    found = [
        f"{len(names)} tensors {fault} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for fault, names in faults.items()
        if names
    ]
    if found:
        raise WeightsError(f"looks like {model.config.name}, but has {'; '.join(found)}")


def _encode(text: str, encoding: str) -> bytes:
    """How pickles written by Python 2's protocols spell bytes."""
    return text.encode(encoding if encoding == "latin1" else "ascii")


def _empty_array(kind: object, shape: tuple[int, ...], dtype: object) -> np.ndarray:
    """What pickles begin each array with; they tell its content afterwards, which numpy checks."""
    if kind is not _ARRAY or shape != (0,):
        raise WeightsError("unsafe pickle: asks for an array without content")
    return np.empty(0, np.int8)


_ARRAY = object()  # stands for the class itself, which could make arrays of any size


class _ArrayUnpickler(pickle._Unpickler):
    """Reads dictionaries, lists, strings and numbers, and numpy arrays; nothing else can be made or called.

    The one in C makes a table as long as a damaged file says; this one, in Python, reads no less fast what is nearly all
    arrays. The file must give no more than it has, whatever it is asked for, as a memory map does.
    """

    # A byte array would be made before it is known whether there is so much to read; no array needs one.
    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}  # noqa: RUF012

    def __init__(self, file):
        super().__init__(file, encoding="latin1")
        scalar = np.float64().__reduce__()[0]
        self._known = {
            ("numpy", "ndarray"): _ARRAY,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encode,
            ("collections", "OrderedDict"): OrderedDict,
        }
        for core in ("numpy.core.multiarray", "numpy._core.multiarray"):  # before and since numpy 2
            self._known[core, "_reconstruct"] = _empty_array
            self._known[core, "scalar"] = scalar

    def find_class(self, module: str, name: str):
        try:
            return self._known[module, name]
        except KeyError:
            raise WeightsError(
                f"unsafe pickle: asks for {module}.{name}, and only numpy arrays are read; "
                "if you trust its source, save its arrays as .safetensors there"
            ) from None

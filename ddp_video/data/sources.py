"""Opening training data by name: 'maps:FOLDER@2', 'photos:FOLDER', 'coco:ANNOTATIONS.json,IMAGES' ..."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ddp_video.data.densepose_coco import DensePoseCoco
from ddp_video.data.folder import DenseFolder, Photographs
from ddp_video.data.generated import Generated
from ddp_video.data.mixture import Source
from ddp_video.errors import DataError, NoPicturesError

KINDS = ("maps", "synthetic", "coco", "photos")
# Rows of synthetic pictures to train and to validate on; tests and benchmarks draw from others.
TRAINING_SEED, VALIDATION_SEED = 1_000_001, 1_000_002


@dataclass(frozen=True)
class SourceSpec:
    """A source as it is written on the command line."""

    kind: str
    path: str
    weight: float


def parse_source(text: str) -> SourceSpec:
    """'KIND:PATH[@WEIGHT]' -> SourceSpec; raises ValueError."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS or not rest:
        raise ValueError(f"data source {text!r} must read KIND:PATH[@WEIGHT] with KIND one of {', '.join(KINDS)}")
    path, at, weight = rest.rpartition("@")
    if not at:
        return SourceSpec(kind, rest, 1.0)
    try:
        value = float(weight)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ValueError(f"data source {text!r}: the weight after @ must be a positive number, got {weight!r}")
    return SourceSpec(kind, path, value)


def open_source(spec: SourceSpec, size: int) -> Source:
    """The pictures to train on. size: px, side of those that are made on the fly."""
    return Photographs(spec.path) if spec.kind == "photos" else _labelled(spec, size, held_out=False)


def held_out(spec: SourceSpec, size: int) -> Source | None:
    """The pictures of the source that are kept from training, None where it has no labelled people, or so few that none is kept."""
    if spec.kind == "photos":
        return None
    try:
        return _labelled(spec, size, held_out=True)
    except NoPicturesError:
        return None


def _labelled(spec: SourceSpec, size: int, held_out: bool) -> Source:
    if spec.kind == "maps":
        return DenseFolder(spec.path, held_out)
    if spec.kind == "synthetic":
        if not Path(spec.path).is_file():
            raise DataError(f"no asset pack at {spec.path}: build it with 'ddp-video synthesize assets'")
        return Generated(spec.path, VALIDATION_SEED if held_out else TRAINING_SEED, size)
    annotations, comma, images = spec.path.partition(",")
    if not comma:
        raise ValueError(f"data source 'coco:{spec.path}' must read coco:ANNOTATIONS.json,IMAGES")
    return DensePoseCoco(annotations, images, held_out)

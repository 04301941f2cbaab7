"""Opening training data by name: 'maps:FOLDER@2', 'photos:FOLDER', 'coco:ANNOTATIONS.json,IMAGES' ..."""

from __future__ import annotations

from dataclasses import dataclass

from ddp_video.data.folder import DenseFolder, Photographs
from ddp_video.data.mixture import Source

KINDS = ("maps", "photos")


@dataclass(frozen=True)
class SourceSpec:
    """A source as it is written on the command line."""

    kind: str
    path: str
    weight: float


def parse_source(text: str) -> SourceSpec:
    """'KIND:PATH[@WEIGHT]' -> SourceSpec; raises ValueError."""
    kind, separator, rest = text.partition(":")
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


def open_source(spec: SourceSpec) -> Source:
    """The pictures to train on."""
    if spec.kind == "maps":
        return DenseFolder(spec.path)
    return Photographs(spec.path)


def held_out(spec: SourceSpec) -> Source | None:
    """The pictures of the source that are kept from training, None where it has no labelled people."""
    if spec.kind == "maps":
        return DenseFolder(spec.path, held_out=True)
    return None

"""The root of a store: what it says about itself, and whether it is finished."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ddp_video.errors import PredictionsError
from ddp_video.predictions.schema import BLOCK_FRAMES, NAME, VERSION

STORE = "predictions.zarr"
BLOCKS = "blocks"
_METADATA = "zarr.json"
_PARTIAL = _METADATA + ".part"
OWN_FILES = {BLOCKS, _METADATA, _PARTIAL}


@dataclass(frozen=True)
class Root:
    """header: what the run says about itself (JSON). num_frames: of a finished run, else None."""

    header: dict = field(default_factory=dict)
    num_frames: int | None = None
    schema: str = NAME
    schema_version: int = VERSION
    block_frames: int = BLOCK_FRAMES

    def save(self, path: Path) -> None:
        """Write the metadata of the store at `path`, or replace it at one stroke. Raises OSError."""
        attributes = asdict(self)
        _save_group(path, {**attributes, "crc32": _checksum(attributes)})
        _save_group(path / BLOCKS, {})

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a store was begun at `path`."""
        return (path / _METADATA).exists()

    @classmethod
    def load(cls, path: Path) -> Root:
        """PredictionsError where there is no store, a damaged one, or one of another version."""
        try:
            attributes = json.loads((path / _METADATA).read_bytes())["attributes"]
            name, version = attributes["schema"], attributes["schema_version"]
            crc = attributes.pop("crc32")
        except (FileNotFoundError, NotADirectoryError):
            raise PredictionsError(
                f"{path}: no predictions here; give a run folder that `ddp-video infer` made"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(path, error) from error
        if (name, version) != (NAME, VERSION):
            raise PredictionsError(
                f"{path}: holds {str(name)[:60]!r} of version {str(version)[:20]}, this version reads {NAME!r} of "
                f"version {VERSION}; run `ddp-video infer` again"
            )
        if crc != _checksum(attributes):
            raise _damaged(path, "checksum differs")
        try:
            root = cls(**attributes)
        except TypeError as error:
            raise _damaged(path, error) from error
        if not (
            isinstance(root.header, dict)
            and isinstance(root.num_frames, int | None)
            and root.block_frames == BLOCK_FRAMES
        ):
            raise _damaged(path, f"num_frames {root.num_frames}, block_frames {root.block_frames}")
        return root


def _save_group(folder: Path, attributes: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=1)
    partial = folder / _PARTIAL
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / _METADATA)


def _checksum(attributes: dict) -> int:
    return zlib.crc32(json.dumps(attributes, sort_keys=True).encode())


def _damaged(path: Path, reason: object) -> PredictionsError:
    return PredictionsError(
        f"{path}: {_METADATA} is damaged ({' '.join(str(reason).split())[:120]}); run `ddp-video infer` again"
    )

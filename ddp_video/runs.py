"""A run folder: what one video became, and enough facts to go on with it, smooth it or draw it again.

run.json           settings, model and weights' hash, versions, facts of the source video, state, statistics
predictions.zarr   the predictions, frame by frame (`ddp_video.open_predictions`)
isocontour.mp4, iuv.mkv, parts.mp4, ...   the pictures
"""

from __future__ import annotations

import glob
import importlib.metadata
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddp_video.errors import OutputError, PredictionsError
from ddp_video.predictions import Predictions, open_predictions, run_lock
from ddp_video.video import VideoReader

SCHEMA = 1
RUN_FILE = "run.json"
STORE = "predictions.zarr"


class RunFolder:
    """One run folder on disk. `facts` is the content of run.json."""

    def __init__(self, path: Path, facts: dict):
        self.path = Path(path)
        self.facts = facts

    @property
    def store(self) -> Path:
        return self.path / STORE

    @property
    def finished(self) -> bool:
        return self.facts.get("state") == "finished"

    @property
    def predictions(self) -> Predictions:
        return open_predictions(self.store)

    @property
    def source(self) -> str:
        """Path, folder or glob of the video that was read."""
        return self.facts["source"]["path"]

    def save(self) -> None:
        """Write run.json, whole or not at all."""
        temporary = self.path / (RUN_FILE + ".part")
        try:
            temporary.write_text(json.dumps(self.facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            temporary.replace(self.path / RUN_FILE)
        except OSError as error:
            raise OutputError(f"cannot write {self.path / RUN_FILE}: {error.strerror or error}") from error

    @staticmethod
    def locate(path: str | Path) -> Path:
        """The run folder of a path that may also be its run.json or its store."""
        path = Path(path)
        return path.parent if path.name in (RUN_FILE, STORE) else path

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run folder (or its run.json, or its store)."""
        path = cls.locate(path)
        file = path / RUN_FILE
        if not file.is_file():
            raise PredictionsError(
                f"{path} is not a run folder (no {RUN_FILE}); give a folder that `ddp-video infer` made"
            )
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PredictionsError(f"{file} is damaged ({error}); run `ddp-video infer` again") from error
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA or not isinstance(facts.get("source"), dict):
            raise PredictionsError(
                f"{file} is not of schema {SCHEMA}, which this version reads; run `ddp-video infer` again"
            )
        return cls(path, facts)

    @classmethod
    @contextmanager
    def begin(cls, path: str | Path, facts: dict, *, resume: bool, overwrite: bool) -> Iterator[RunFolder]:
        """Make the folder, or go on with one whose settings are the same; while the context lasts it is locked.

        `facts` needs "source" and whatever decides the result ("model", "smoothing", ...); on resume these must equal
        what the folder was begun with, or a PredictionsError names the first that differs. A second process is refused.
        """
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder {path}: {error.strerror}; give a writable one with -o"
            ) from error
        with run_lock(path):
            if not (path / RUN_FILE).is_file() or overwrite:
                run = cls(path, {"schema": SCHEMA, "state": "running", **_as_json(facts)})
                run.save()
            elif not resume:
                raise OutputError(
                    f"{path} already holds a run; --resume goes on with it, --overwrite replaces it, -o names another folder"
                )
            else:
                run = cls.open(path)
                for key, value in _as_json(facts).items():
                    if run.facts.get(key) != value:
                        raise PredictionsError(
                            f"{path} was begun with another {key} ({_difference(run.facts.get(key), value)}); "
                            "resume with the same settings and video, or use --overwrite"
                        )
            yield run

    def reader(self, video: str | Path | None = None) -> VideoReader:
        """The frames that were predicted on, of the source video or of `video`, where it is now."""
        source = self.facts["source"]
        reader = VideoReader(video or source["path"], **source["clip"])
        if reader.fingerprint() != source["fingerprint"]:
            raise PredictionsError(
                f"{reader.info.path} is not the video that {self.path} was made from (it was changed or replaced); "
                "name the right one with --video, or run `ddp-video infer` again"
            )
        return reader


def run_name(source: str | Path) -> str:
    """The name of an input's run folder: a file's stem, a folder's name, of a glob the folder that it looks into."""
    source, path = str(source), Path(source)
    if glob.has_magic(source) and not path.exists():
        path = path.parent
        while glob.has_magic(str(path)):
            path = path.parent
    return (path.resolve().name if path.is_dir() else path.stem) or "run"


def _as_json(facts: dict) -> dict:
    return json.loads(json.dumps(facts))


def _difference(old: object, new: object) -> str:
    """The first entry in which two settings differ, as text."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                return f"{key}: {_difference(old.get(key), new.get(key))}"
    return f"then {old!r}, now {new!r}"


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    names = ("ddp-video", "torch", "torchvision", "timm", "av", "opencv-python-headless", "numpy", "zarr")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

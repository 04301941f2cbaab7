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
from types import NoneType

from ddp_video.errors import OutputError, PredictionsError
from ddp_video.lock import run_lock
from ddp_video.predictions import Predictions, open_predictions, remove_store
from ddp_video.video import VideoInfo, VideoReader

SCHEMA = 1
RUN_FILE = "run.json"
STORE = "predictions.zarr"
# Entries of run.json that decide the predictions.
SETTINGS = {
    "source": dict,
    "model": dict,
    "charts": str,
    "smoothing": (dict, NoneType),
    "batch_size": int,
}
CLIP = {
    "start": (int, float, NoneType),
    "end": (int, float, NoneType),
    "max_frames": (int, NoneType),
    "stride": (int,),
}  # of the source: which of its frames


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

    def need_finished(self) -> None:
        """Raises PredictionsError where frames are still missing."""
        if not self.finished:
            raise PredictionsError(f"{self.path} is not finished; run `ddp-video infer` with --resume first")

    @property
    def predictions(self) -> Predictions:
        return open_predictions(self.store)

    @property
    def source(self) -> str:
        """Path, folder or glob of the video that was read."""
        return self.facts["source"]["path"]

    @property
    def source_info(self) -> VideoInfo:
        """The facts of that video."""
        return VideoInfo.parse(self.facts["source"])

    @property
    def settings(self) -> dict:
        """What decides the predictions, wherever the video lies."""
        return {name: self.facts[name] for name in SETTINGS} | {"source": _without_path(self.facts["source"])}

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

    @staticmethod
    def is_one(path: str | Path) -> bool:
        """Whether this folder is a run folder, finished or not."""
        return (Path(path) / RUN_FILE).is_file()

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run folder (or its run.json, or its store)."""
        path = cls.locate(path)
        file = path / RUN_FILE
        if not cls.is_one(path):
            raise PredictionsError(
                f"{path} is not a run folder (no {RUN_FILE}); give a folder that `ddp-video infer` made"
            )
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise PredictionsError(f"{file} is damaged ({error}); run `ddp-video infer` again") from error
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            raise PredictionsError(
                f"{file} is not of schema {SCHEMA}, which this version reads; run `ddp-video infer` again"
            )
        try:
            _check(facts)
        except ValueError as error:
            raise PredictionsError(f"{file} is damaged ({error}); run `ddp-video infer` again") from error
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
            run = cls(path, {"schema": SCHEMA, "state": "running", **_as_json(facts)})
            if cls.is_one(path) and not overwrite:
                if not resume:
                    raise OutputError(
                        f"{path} already holds a run; --resume goes on with it, --overwrite replaces it, "
                        "-o names another folder"
                    )
                run = cls.open(path)
                run._go_on_with(_as_json(facts))
            else:
                if overwrite:  # before run.json tells of the new run: a kill in between leaves no mixture of the two
                    run._remove_store()
                run.save()
            yield run

    def _go_on_with(self, facts: dict) -> None:
        """Refuse to go on with other settings, or another video; one that has only moved is the same."""
        then, now = self.facts["source"], facts["source"]
        if then["fingerprint"] != now["fingerprint"]:
            raise PredictionsError(
                f"{now['path']} is not the video that {self.path} was begun with (it was changed, cut short or replaced: "
                f"then {_length(then)}, now {_length(now)}); resume with that one, or use --overwrite"
            )
        for key, value in facts.items():
            old = self.facts.get(key)
            if key == "source":
                old, value = _without_path(old), _without_path(value)
            if old != value:
                raise PredictionsError(
                    f"{self.path} was begun with another {key} ({_difference(old, value)}); "
                    "resume with the same settings, or use --overwrite"
                )
        then["path"] = now["path"]

    def _remove_store(self) -> None:
        try:
            remove_store(self.store)
        except OSError as error:
            raise OutputError(f"cannot replace {self.store}: {error.strerror or error}") from error

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


def _check(facts: dict) -> None:
    """ValueError, naming the first thing in which the content of a run.json differs from what `infer` writes."""
    for name, types in {**SETTINGS, "state": str}.items():
        if not isinstance(facts.get(name), types):
            raise ValueError(f"{name} is {str(facts.get(name))[:40]!r}")
    source = facts["source"]
    VideoInfo.parse(source)
    if not isinstance(source.get("fingerprint"), str):
        raise ValueError("the source has no fingerprint")
    clip = source.get("clip")
    if not isinstance(clip, dict) or clip.keys() != CLIP.keys() or not all(type(clip[k]) in CLIP[k] for k in CLIP):
        raise ValueError(f"clip is {str(clip)[:80]!r}")


def _without_path(source: dict) -> dict:
    return {key: value for key, value in source.items() if key != "path"}


def _length(source: dict) -> str:
    frames, seconds = source["frame_count"], source["duration_seconds"]
    return ", ".join(
        [f"{frames} frames" if frames else "of unknown length", *([f"{seconds:.2f} s"] if seconds else [])]
    )


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

"""Labelling frames: asking the teachers, and folders of pictures to folders of label maps (`data/folder.py`)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from ddp_video.boxes import iou
from ddp_video.data.choices import is_chart
from ddp_video.data.folder import read_image
from ddp_video.data.sample import IGNORE, named
from ddp_video.errors import DataError, OutputError
from ddp_video.model.predictor import DDPPredictor
from ddp_video.structures import STRIDE
from ddp_video.teachers.annotated import AnnotatedPerson, correct, heed, on_cells
from ddp_video.teachers.blazepose import BlazePose
from ddp_video.teachers.bodypix import BodyPix
from ddp_video.teachers.fusion import LabelMaps, Rules, Sighting, fuse
from ddp_video.teachers.marks import charts_at_marks
from ddp_video.teachers.opinions import OwnOpinion, ask_bodypix, ask_own_model, cells_of
from ddp_video.teachers.witness import look_twice

SUFFIXES = (".jpg", ".jpeg", ".png")
POSE_SCORE = 0.7  # BlazePose's least, that there is a person
POSE_HEIGHT_PX = 100  # of smaller people BlazePose mixes up left and right
MOST_POSES = 8  # the tallest people of a frame, at whom BlazePose looks
SAME_BOX = 0.5  # IoU of an annotated person's box and of one that our model found
PATCH_CELLS = 60  # least size of what BodyPix alone takes for a person
# Frames are written where so much of them is a person with known charts, and no more than so much is in doubt.
LEAST_LABELLED, MOST_IGNORED = 0.001, 0.6


@dataclass(frozen=True)
class Tally:
    """What became of a folder of pictures."""

    written: int
    skipped: int  # nobody labelled in them, or too much in doubt
    people: int


class Labeller:
    """Asks the teachers about a frame.

    Args: predictor: our model, with a low score threshold (about 0.3). bodypix, blazepose: the teachers.
    """

    def __init__(self, predictor: DDPPredictor, bodypix: BodyPix, blazepose: BlazePose, rules: Rules | None = None):
        self.predictor, self.bodypix, self.blazepose, self.rules = predictor, bodypix, blazepose, rules

    def __call__(self, image: np.ndarray, people: Sequence[AnnotatedPerson] | None = None) -> LabelMaps:
        """Label image [H, W, 3] uint8 RGB. people: all who are in it, where they were annotated by hand."""
        if people is None:
            return fuse(image.shape[:2], *self.ask(image), self.rules)
        return heed(fuse(image.shape[:2], *self.ask_about(image, people), self.rules), people)

    def ask(self, image: np.ndarray) -> tuple[OwnOpinion, np.ndarray, list[Sighting]]:
        """What `fuse` needs to know about an image."""
        own, bodypix = ask_own_model(self.predictor, image), ask_bodypix(self.bodypix, image)
        boxes = np.concatenate([own.boxes, _missed_by_own_model(own, bodypix)])
        heights = boxes[:, 3] - boxes[:, 1]
        tallest = [row for row in np.argsort(-heights)[:MOST_POSES] if heights[row] >= POSE_HEIGHT_PX]
        return (
            own,
            bodypix,
            [
                Sighting(
                    box,
                    row in tallest,
                    look_twice(self.blazepose, image, box, POSE_SCORE) if row in tallest else None,
                    row if row < len(own.boxes) else None,
                )
                for row, box in enumerate(boxes)
            ],
        )

    def ask_about(
        self, image: np.ndarray, people: Sequence[AnnotatedPerson]
    ) -> tuple[OwnOpinion, np.ndarray, list[Sighting]]:
        """The same about an image with its people."""
        own, bodypix = ask_own_model(self.predictor, image), ask_bodypix(self.bodypix, image)
        single = [person for person in people if not person.crowd]
        rows = _matched(own.boxes, np.stack([p.box for p in single])) if single else []
        sightings = []
        for person, row in zip(single, rows, strict=True):
            witness = correct(self.blazepose(image, person.box), person.points) if person.is_posed else None
            outline = person.outline(image.shape[:2])
            cells = None if outline is None else on_cells(outline.astype(np.float32)) > 0.5
            marked = charts_at_marks(person.points, float(person.box[3] - person.box[1]), cells_of(image))
            sightings.append(Sighting(person.box, person.is_posed, witness, row, cells, marked))
        return own, bodypix, sorted(sightings, key=lambda s: s.witness is None)


def label_folder(
    frames: Path,
    maps: Path,
    labeller: Labeller,
    progress: Callable[[int, int], None] = lambda done, of: None,
    annotated: Mapping[str, Sequence[AnnotatedPerson]] | None = None,
) -> Tally:
    """Label the pictures of a folder; those that have maps already stay as they are.

    Args:
        annotated: all people of a picture by its file name, where they were annotated by hand (`read_annotated`).
    Raises:
        DataError: no pictures. OutputError: the maps cannot be written.
    """
    if not frames.is_dir():
        raise DataError(f"no such folder of pictures: {frames}")
    pictures = sorted(f for f in frames.iterdir() if f.suffix.lower() in SUFFIXES)
    if not pictures:
        raise DataError(f"no pictures (jpg, png) in {frames}")
    maps.mkdir(parents=True, exist_ok=True)
    written = skipped = people = 0
    for done, picture in enumerate(pictures, 1):
        if not (maps / f"{picture.stem}_inst.png").exists():
            labels = labeller(read_image(picture), (annotated or {}).get(picture.name))
            if _is_worth_it(labels):
                write_maps(picture, maps, labels)
                written += 1
                people += int(named(labels.instance).max())
            else:
                skipped += 1
        progress(done, len(pictures))
    return Tally(written, skipped, people)


def write_maps(picture: Path, maps: Path, labels: LabelMaps) -> None:
    """The picture and its maps into a folder; NAME_inst.png, which makes them count, comes last."""
    suffix = ".png" if picture.suffix.lower() == ".png" else ".jpg"
    shutil.copyfile(picture, maps / (picture.stem + suffix))
    for name, plane in (("iuv", np.dstack([labels.part, labels.uv])), ("inst", labels.instance)):
        path = maps / f"{picture.stem}_{name}.png"
        partial = path.with_suffix(".partial.png")
        if not cv2.imwrite(str(partial), plane):
            raise OutputError(f"cannot write {path}: is the disk full?")
        partial.replace(path)


def _matched(own: np.ndarray, people: np.ndarray) -> list[int | None]:
    """Which of our model's people ([K, 4] boxes) each of N others is."""
    rows: list[int | None] = [None] * len(people)
    overlap = iou(people, own)
    for person, row in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
        if overlap[person, row] >= SAME_BOX:
            rows[person] = int(row)
    return rows


def _missed_by_own_model(own: OwnOpinion, bodypix: np.ndarray) -> np.ndarray:
    """[N, 4] xyxy px: boxes of patches that BodyPix alone takes for people."""
    person = (bodypix[..., 0] < 0.5) & ~(own.person > 0.5).any(0)
    person = cv2.morphologyEx(person.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(person)
    boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area >= PATCH_CELLS]
    return STRIDE * np.array(boxes, np.float32).reshape(-1, 4)


def _is_worth_it(labels: LabelMaps) -> bool:
    labelled = is_chart(labels.part).mean()
    return labelled >= LEAST_LABELLED and (labels.instance == IGNORE).mean() <= MOST_IGNORED

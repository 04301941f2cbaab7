"""What strangers' charts are worth: looked up at joints that people marked by hand.

    python -m benchmarks.keypoints ANNOTATIONS.json IMAGES [-n 500] [--model ddp_lite]     from a checkout; prints Markdown

ANNOTATIONS is a COCO keypoints file (person_keypoints_val2017.json), IMAGES the folder with its pictures, of which those are
taken that are there and not in weights/coco.tsv, what the weights learnt from. About a visible wrist, elbow, knee or ankle lie
the two parts that meet there: right, where most of the charts are theirs; swapped, where most are the other side's. Joints
that lie close to their twin (a tenth of the person's height) were often marked through the limb before them; the last row is
without them.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path

import click
import numpy as np

from benchmarks.report import Table
from ddp_video.charts import PART_NAMES, PART_OF_CHART, SIDES
from ddp_video.data.choices import JOINTS
from ddp_video.data.folder import read_image
from ddp_video.decode import decode
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model
from ddp_video.structures import FrameBatch
from ddp_video.teachers.annotated import AnnotatedPerson, read_annotated
from ddp_video.teachers.marks import FIRST_OF, VISIBLE

APART = "not close to its twin"
LEARNT_FROM = Path(__file__).parents[1] / "weights/coco.tsv"
LEAST_MARKS, LEAST_HEIGHT = 5, 32  # of a person who counts; px
NEIGHBOURHOOD = 1 / 60  # of the person's height, half the side of the square that is looked at
CLOSE = 1 / 10  # of it, to the same joint of the other side


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("annotations", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-n", "count", type=click.IntRange(1), default=500, show_default=True, help="Pictures, by name.")
@click.option("--model", default="ddp_lite", show_default=True, help="Name or weights file.")
def main(annotations, images, count, model):
    with LEARNT_FROM.open(newline="") as file:
        learnt_from = {row["file"] for row in csv.DictReader(file, delimiter="\t")}
    people = {name: [p for p in persons if counts(p)] for name, persons in read_annotated(annotations).items()}
    names = sorted(n for n, persons in people.items() if persons and n not in learnt_from and (images / n).exists())
    if not names:
        raise click.UsageError(f"no pictures of {annotations} with people, and not learnt from, in {images}")
    predictor, tally = DDPPredictor(load_model(model)), Counter()
    for name in names[:count]:
        part = parts_of(predictor, read_image(images / name))
        for person in people[name]:
            tally += look(part, person)
    click.echo(table(tally, len(names[:count])).markdown())


def counts(person: AnnotatedPerson) -> bool:
    height = person.box[3] - person.box[1]
    return not person.crowd and height >= LEAST_HEIGHT and int((person.points[:, 2] > 0).sum()) >= LEAST_MARKS


def parts_of(predictor: DDPPredictor, image: np.ndarray) -> np.ndarray:
    """[H, W] the part (of `charts.PART_NAMES`) of every pixel of a picture, looked at in the size that `infer` would choose."""
    batch = FrameBatch.of_picture(image)
    prediction = predictor.for_clip(lambda: batch).predict(batch)[0]
    return np.array(PART_OF_CHART)[decode(prediction).part.numpy()]


def look(part: np.ndarray, person: AnnotatedPerson) -> Counter:
    """How many visible joints there are, by kind ((kind, "joints")), and of these are found, right and swapped; and of all
    that are not close to their twin ((APART, "joints"))."""
    tally: Counter = Counter()
    height = float(person.box[3] - person.box[1])
    reach = max(1, round(NEIGHBOURHOOD * height))
    for kind, meeting in JOINTS.items():
        for number, (side, other) in enumerate((SIDES, SIDES[::-1])):
            x, y, visible = person.points[FIRST_OF[kind] + number]
            twin = person.points[FIRST_OF[kind] + 1 - number]
            if visible != VISIBLE:
                continue
            column, row = int(x), int(y)
            seen = part[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
            seen = seen[seen > 0]
            own, others = (
                int(np.isin(seen, [PART_NAMES.index(f"{s} {name}") for name in meeting]).sum()) for s in (side, other)
            )
            close = twin[2] > 0 and math.hypot(twin[0] - x, twin[1] - y) < CLOSE * height
            for group in (kind,) if close else (kind, APART):
                tally[group, "joints"] += 1
                tally[group, "found"] += seen.size > 0
                tally[group, "right"] += own > others and 2 * own >= seen.size
                tally[group, "swapped"] += others > own and 2 * others >= seen.size
    return tally


def table(tally: Counter, pictures: int) -> Table:
    rows = []
    for kinds in (*((kind,) for kind in JOINTS), tuple(JOINTS), (APART,)):
        joints, *shares = (sum(tally[kind, what] for kind in kinds) for what in ("joints", "found", "right", "swapped"))
        name = kinds[0] if len(kinds) == 1 else "all"
        rows.append((name, joints, *(f"{100 * share / max(joints, 1):.1f} %" for share in shares)))
    return Table(f"Joints of people in {pictures} pictures", ("", "visible", "found", "right", "swapped"), rows)


if __name__ == "__main__":
    main()

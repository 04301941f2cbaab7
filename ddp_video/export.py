"""Run folders in the formats of other tools.

densepose   What `apply_net.py dump` of detectron2's DensePose writes, without its classes: a file of `torch.save`, which
            `torch.load(file, weights_only=True, mmap=True)` reads without running code and without detectron2. A list
            with one dictionary a frame:
                file_name         str, of the video            | as in the dump
                scores            float32 [N]                  | as in the dump
                pred_boxes_XYXY   float32 [N, 4] px            | as in the dump
                pred_densepose    list of N dictionaries       | in the dump objects: `p["uv"]` instead of `p.uv`
                    labels        uint8 [h, w], chart 0..24    | int64 in the dump
                    uv            float16 [2, h, w], in 0..1   | float32 in the dump
                frame_index, pts_seconds, track_ids (int64 [N], -1 unknown)   | not in the dump
                qualities         float32 [N]                  | not in the dump
coco        COCO's JSON: images, categories, and annotations with bbox, area, segmentation (compressed RLE of the whole
            person), score, quality and track_id; the annotations alone are what `COCO.loadRes` takes. `densepose` of
            each is labels and 255 * uv in the box as detectron2's `DensePoseChartResultCompressed` holds them: a PNG in
            base64 with R = label, G = U, B = V.

The score says how surely somebody is there, the quality (0..1) how well he is expected to be outlined and charted: their
product is what `ddp-video evaluate` ranks people by.

As in detectron2, labels and uv of the box (x0, y0, x1, y1) begin at pixel (int(x0), int(y0)) and are int(y1 - y0) by
int(x1 - x0), at least 1. Two things differ: each pixel belongs to one person, and a box is grown where its person
reaches past it. U and V are those of the run's charts (`charts` in run.json): only `densepose` are the official ones.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import torch

from ddp_video import rle
from ddp_video.decode import decode
from ddp_video.errors import OutputError
from ddp_video.quality import expected_quality
from ddp_video.runs import RunFolder
from ddp_video.structures import FramePrediction

Progress = Callable[[int, int], None]  # frames done, frames in all


def export(run: RunFolder | str | Path, out: str | Path, to: str, progress: Progress | None = None) -> None:
    """Write a run folder's predictions to the file `out` in the format `to` ('densepose' or 'coco').

    Memory does not grow with the clip. The file appears whole or not at all, in the place of one that is there.

    Raises:
        PredictionsError: no run folder, or a damaged one. OutputError: the file could not be written.
    """
    if to not in WRITERS:
        raise ValueError(f"unknown format {to!r}, needed {' or '.join(WRITERS)}")
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    run.need_finished()
    out = Path(out)
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as file:
            WRITERS[to](run, file, progress or (lambda done, count: None))
        part.replace(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class Person:
    """One person at full size: box_xyxy px, labels uint8 [h, w] and uv float32 [2, h, w] inside it."""

    box_xyxy: np.ndarray
    labels: np.ndarray
    uv: np.ndarray


def people(prediction: FramePrediction) -> list[Person]:
    """The people of a frame in their boxes, best score first."""
    dense_pose = decode(prediction)
    part, uv, instance = dense_pose.part.numpy(), dense_pose.uv.numpy(), dense_pose.instance.numpy()
    found = []
    for number, box in enumerate(prediction.instances.boxes_xyxy.numpy(), start=1):
        own = (instance == number) & (part > 0)
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        if len(rows):
            reach = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
            low = np.floor(np.minimum(box[:2], reach[:2]))  # or the last row and column were cut off with the fraction
            box = np.concatenate([low, np.maximum(box[2:], reach[2:])])
        inside = _pixels(box)
        found.append(Person(box, part[inside] * own[inside], uv[:, *inside] * own[inside]))
    return found


def _pixels(box: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a box, cut to whole pixels as detectron2 does."""
    left, top = (int(low) for low in box[:2])
    width, height = (max(int(extent), 1) for extent in box[2:] - box[:2])
    return slice(top, top + height), slice(left, left + width)


def _write_densepose(run: RunFolder, file: BinaryIO, progress: Progress) -> None:
    predictions = run.predictions
    folder = Path(file.name).parent
    # All labels, and all uv, are slices of one storage each, which grows on disk and is mapped when all is known.
    with tempfile.TemporaryFile(dir=folder) as label_file, tempfile.TemporaryFile(dir=folder) as uv_file:
        frames, sizes = [], []
        for done, prediction in enumerate(predictions, start=1):
            persons = people(prediction)
            for person in persons:
                label_file.write(person.labels.tobytes())
                uv_file.write(person.uv.astype(np.float16).tobytes())
            sizes.append([person.labels.shape for person in persons])
            boxes = np.stack([person.box_xyxy for person in persons]) if persons else np.zeros((0, 4), np.float32)
            frames.append(
                {
                    "file_name": run.source,
                    "frame_index": prediction.index,
                    "pts_seconds": prediction.pts_seconds,
                    "scores": prediction.instances.scores,
                    "qualities": expected_quality(prediction),
                    "pred_boxes_XYXY": torch.from_numpy(boxes),
                    "track_ids": prediction.instances.track_id,
                }
            )
            progress(done, len(predictions))
        labels, uv = _mapped(label_file, np.uint8), _mapped(uv_file, np.float16)
        start = 0
        for frame, frame_sizes in zip(frames, sizes, strict=True):
            frame["pred_densepose"] = []
            for height, width in frame_sizes:
                stop = start + height * width
                frame["pred_densepose"].append(
                    {
                        "labels": labels[start:stop].view(height, width),
                        "uv": uv[2 * start : 2 * stop].view(2, height, width),
                    }
                )
                start = stop
        torch.save(frames, file)


def _mapped(file: BinaryIO, dtype: type) -> torch.Tensor:
    """What was written to a file, as one flat tensor that is read from there as needed."""
    file.flush()
    if file.tell() == 0:
        return torch.from_numpy(np.zeros(0, dtype))
    return torch.from_numpy(np.memmap(file, dtype, mode="r+"))


def _write_coco(run: RunFolder, file: BinaryIO, progress: Progress) -> None:
    predictions = run.predictions
    info = {"description": f"ddp-video export of {run.source}", "charts": run.facts["charts"]}
    categories = [{"id": 1, "name": "person", "supercategory": "person"}]
    images = []
    file.write(f'{{"info": {json.dumps(info)}, "categories": {json.dumps(categories)}, "annotations": ['.encode())
    number = 0
    for done, prediction in enumerate(predictions, start=1):
        height, width = prediction.grid.frame_size
        images.append(
            {
                "id": prediction.index,
                "file_name": run.source,
                "height": height,
                "width": width,
                "pts_seconds": prediction.pts_seconds,
            }
        )
        for annotation in _annotations(prediction, predictions.person_masks(prediction.index)):
            number += 1
            file.write((",\n" if number > 1 else "\n").encode() + json.dumps({"id": number, **annotation}).encode())
        progress(done, len(predictions))
    file.write(f'\n], "images": {json.dumps(images)}}}\n'.encode())


def _annotations(prediction: FramePrediction, masks: list[np.ndarray]) -> Iterator[dict]:
    instances, qualities = prediction.instances, expected_quality(prediction).tolist()
    for row, (person, counts) in enumerate(zip(people(prediction), masks, strict=True)):
        left, top, right, bottom = person.box_xyxy.tolist()
        yield {
            "image_id": prediction.index,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [left, top, right - left, bottom - top],
            "area": int(counts[1::2].sum()),
            "segmentation": {"size": list(prediction.grid.frame_size), "counts": rle.compress(counts)},
            "score": float(instances.scores[row]),
            "quality": qualities[row],
            "track_id": int(instances.track_id[row]),
            "densepose": {"shape_chw": [3, *person.labels.shape], "labels_uv_str": _png(person)},
        }


def _png(person: Person) -> str:
    quantised = (255 * person.uv).astype(np.uint8)
    bgr = np.stack([quantised[1], quantised[0], person.labels], axis=-1)
    return base64.b64encode(cv2.imencode(".png", bgr)[1]).decode()


WRITERS = {"densepose": _write_densepose, "coco": _write_coco}

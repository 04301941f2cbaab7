"""Annotation files in COCO's JSON, with dense pose or without: read, and checked before anybody relies on them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ddp_video.charts import NUM_CHARTS
from ddp_video.errors import DataError

MOST_PIXELS = 1 << 27  # of a picture or a mask; a damaged size asks for more
KEYPOINTS = 17  # of a person
OFFICIAL, OWN = "densepose", "ddp-video"  # whose U, V
POINTS = ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V")


class CocoFile(NamedTuple):
    """images, annotations: of persons. charts: whose U, V the annotations speak, "densepose" unless the file says otherwise."""

    images: list[dict]
    annotations: list[dict]
    charts: str


def read_coco(path: str | Path) -> CocoFile:
    """A file's images, and the annotations of persons in it.

    What is checked is whatever the annotations are used for here: boxes, areas, outlines, points and masks are of sizes
    that can be. (Whether run lengths add up to their mask is found when it is decoded.)

    Raises:
        DataError: no such file, no COCO JSON, or an entry that cannot be; it is named.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        persons = {category["id"] for category in content["categories"] if category["name"] == "person"}
        annotations = [a for a in content["annotations"] if a["category_id"] in persons]
        images = list(content["images"])
        charts = (content.get("info") or {}).get("charts", OFFICIAL)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is not a COCO JSON with images, annotations and categories ({error!r})") from error
    sizes = {}
    for what, entries, check in (("image", images, _check_image), ("annotation", annotations, _check_annotation)):
        for number, entry in enumerate(entries):
            try:
                check(entry, sizes)
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                name = entry.get("id", f"number {number}") if isinstance(entry, dict) else f"number {number}"
                raise DataError(f"{path}: {what} {str(name)[:40]} is damaged ({_short(error)})") from error
    if charts not in (OFFICIAL, OWN):
        raise DataError(f"{path} is of charts that are not known here: {str(charts)[:40]!r}")
    return CocoFile(images, annotations, charts)


def by_image(annotations: list[dict]) -> dict[int | str, list[dict]]:
    """The annotations of every image, by its id; an empty list where there are none."""
    found = defaultdict(list)
    for annotation in annotations:
        found[annotation["image_id"]].append(annotation)
    return found


def _check_image(image: dict, sizes: dict) -> None:
    if not isinstance(image["file_name"], str) or isinstance(image["id"], float):
        raise ValueError("its name or id")
    sizes[image["id"]] = None
    if "height" in image or "width" in image:
        sizes[image["id"]] = _size((image["height"], image["width"]))


def _check_annotation(annotation: dict, sizes: dict) -> None:
    size = sizes.get(annotation["image_id"])
    _, _, width, height = box = _numbers(annotation["bbox"])
    if len(box) != 4 or (box[2:] < 0).any() or width * height > MOST_PIXELS:
        raise ValueError(f"bbox {annotation['bbox']}")
    if size is not None and (height > 2 * size[0] or width > 2 * size[1]):
        raise ValueError(f"bbox {annotation['bbox']} of a picture of {size[1]} x {size[0]}")
    if not isinstance(annotation["area"], int | float) or not math.isfinite(annotation["area"]):
        raise ValueError(f"area {annotation['area']}")
    segmentation = annotation.get("segmentation") or []
    if isinstance(segmentation, dict):
        _check_runs(segmentation)
    elif any(len(_numbers(polygon)) % 2 for polygon in segmentation):
        raise ValueError("a polygon with half a point")
    if annotation.get("keypoints") and len(_numbers(annotation["keypoints"])) != 3 * KEYPOINTS:
        raise ValueError(f"keypoints that are not {KEYPOINTS} x 3 numbers")
    if annotation.get("dp_x"):
        points = [_numbers(annotation[name]) for name in POINTS]
        if len({len(values) for values in points}) != 1:
            raise ValueError("dp_x, dp_y, dp_I, dp_U and dp_V of different lengths")
        if ((points[2] < 1) | (points[2] > NUM_CHARTS)).any():
            raise ValueError("dp_I beyond 1 to 24")
    for mask in annotation.get("dp_masks") or []:
        if mask:
            _check_runs(mask)


def _check_runs(mask: dict) -> None:
    _size(mask["size"])
    counts = mask["counts"]
    if not isinstance(counts, str):
        _numbers(counts)


def _size(values: object) -> tuple[int, int]:
    height, width = values
    if type(height) is not int or type(width) is not int or not 0 < height * width <= MOST_PIXELS or height < 0:
        raise ValueError(f"size {height} x {width}")
    return height, width


def _numbers(values: list) -> np.ndarray:
    """[n] finite numbers, none of which leaves what a picture can hold."""
    numbers = np.asarray(values, float)
    if numbers.ndim != 1 or not (np.abs(numbers) <= MOST_PIXELS).all():
        raise ValueError("a list of numbers that is none")
    return numbers


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())[:100]
    return f"{text} is missing" if isinstance(error, KeyError) else text

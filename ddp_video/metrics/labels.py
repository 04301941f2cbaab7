"""Ground truth for the accuracy figures: labelled people of synthetic pictures, and of DensePose-COCO."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from scipy.ndimage import zoom

from ddp_video import rle
from ddp_video.data.choices import is_chart
from ddp_video.data.coco_file import by_image, read_coco
from ddp_video.data.densepose_coco import segmentation_mask
from ddp_video.data.folder import DenseFolder, is_held_out, read_image
from ddp_video.data.sample import IGNORE, knows_uv, named
from ddp_video.errors import DataError
from ddp_video.metrics.gps import LabelledPerson
from ddp_video.ordering import natural_key
from ddp_video.structures import DensePose

POINTS_PER_PERSON = 100  # DensePose-COCO's annotators placed about as many
SEED = 0  # of the points that are drawn; picture i uses [SEED, i]
SMALLEST_PERSON = 32**2  # px^2; smaller people are ignore regions, as the sizes of the paper's table start here


class LabelledImages(Protocol):
    """Pictures in the order of their names, and the people in them."""

    charts: str  # whose charts the labels speak, "ddp-video" or "densepose"

    def __len__(self) -> int: ...

    def image(self, index: int) -> np.ndarray:
        """[H, W, 3] uint8 RGB."""

    def people(self, index: int) -> list[LabelledPerson]: ...


class DenseLabels:
    """A folder of pictures with dense label maps (NAME.jpg, NAME_iuv.png, NAME_inst.png).

    Args:
        folder: what `ddp-video synthesize` wrote.
        held_out: only the pictures that `ddp-video train` keeps from training.
    """

    charts = "ddp-video"

    def __init__(self, folder: str | Path, held_out: bool = False):
        self._pictures = DenseFolder(folder, held_out=True if held_out else None)

    def __len__(self) -> int:
        return len(self._pictures)

    def image(self, index: int) -> np.ndarray:
        return self._pictures[index].image

    def instance(self, index: int) -> np.ndarray:
        """[H, W] number of the person at every pixel, 0 = nobody."""
        return named(self._pictures[index].instance)

    def pose(self, index: int) -> DensePose:
        """The picture's labels as the dense pose that they are: nobody and no chart where nothing certain is known."""
        sample = self._pictures[index]
        part = np.where(is_chart(sample.part), sample.part, 0)
        instance = named(sample.instance).astype(np.int32)
        uv = torch.from_numpy(sample.uv.transpose(2, 0, 1) / np.float32(255))
        return DensePose(torch.from_numpy(part), uv, torch.from_numpy(instance))

    def people(self, index: int) -> list[LabelledPerson]:
        sample = self._pictures[index]
        rng = np.random.default_rng([SEED, index])
        return people_of_maps(sample.instance, sample.part, sample.uv / np.float32(255), rng)


def people_of_maps(
    instance: np.ndarray,
    part: np.ndarray,
    uv: np.ndarray,
    rng: np.random.Generator,
    points_per_person: int = POINTS_PER_PERSON,
    smallest: int = SMALLEST_PERSON,
) -> list[LabelledPerson]:
    """People of dense label maps, each with points drawn at random from its labelled pixels.

    Args:
        instance: [H, W] 0 nobody, 1..n person, IGNORE a crowd. part: [H, W] as in a `Sample`. uv: [H, W, 2] in 0..1,
            or UNKNOWN_UV. smallest: people of fewer visible pixels, or without one whose chart and coordinates are known,
            get no points and are ignore regions.
    """
    people = []
    known = is_chart(part) & knows_uv(uv)
    for number in np.unique(instance[instance > 0]):
        own = instance == number
        y, x = np.nonzero(own)
        box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float)
        mask, charted = own & (part > 0), own & known
        if number == IGNORE or len(x) < smallest or not charted.any():
            people.append(LabelledPerson(box, len(x), mask, crowd=bool(number == IGNORE)))
            continue
        y, x = np.nonzero(charted)
        chosen = rng.permutation(len(x))[:points_per_person]
        y, x = y[chosen], x[chosen]
        points = np.stack([x, y], axis=1) + 0.5
        people.append(LabelledPerson(box, own.sum(), mask, points, part[y, x].astype(np.int64), uv[y, x]))
    return people


class CocoLabels:
    """DensePose-COCO annotations, placed as the published evaluator places them.

    Args:
        file: densepose_coco_2014_minival.json, or one like it.
        images: folder of its pictures; not needed when predictions of them are at hand.
        held_out: only what `DensePoseCoco` keeps from training.
    Raises:
        DataError: the file is not COCO JSON, or nobody in it has dense pose.
    """

    def __init__(self, file: str | Path, images: str | Path | None = None, held_out: bool = False):
        pictures, annotations, self.charts = read_coco(file)
        if any("height" not in image for image in pictures):
            raise DataError(f"{file}: images without height and width")
        kept = [image for image in pictures if not held_out or is_held_out(image["file_name"])]
        self._images = sorted(kept, key=lambda image: natural_key(image["file_name"]))
        if not any(a.get("dp_x") for a in annotations):
            raise DataError(f"nobody in {file} has dense pose (dp_x): give a densepose_coco_*.json")
        self._folder = images and Path(images)
        self._annotations = by_image(annotations)

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> np.ndarray:
        return read_image(self._folder / self._images[index]["file_name"])

    def people(self, index: int) -> list[LabelledPerson]:
        image = self._images[index]
        size = image["height"], image["width"]
        return [coco_person(annotation, size) for annotation in self._annotations[image["id"]]]


def coco_person(annotation: dict, image_size: tuple[int, int]) -> LabelledPerson:
    """One annotation as a person.

    Points lie at x + dp_x * w / 255, as the published evaluator has it (training divides by 256). The mask is the union of
    `dp_masks`, stretched over the box corner to corner, else the segmentation.
    """
    x, y, w, h = annotation["bbox"]
    crowd = bool(annotation.get("iscrowd", 0))
    box = np.array([x, y, x + w, y + h], float)
    if not annotation.get("dp_x"):
        return LabelledPerson(box, annotation["area"], _segmentation(annotation, image_size), crowd=crowd)
    points = np.array([annotation["dp_x"], annotation["dp_y"]], float).T * [w, h] / 255 + [x, y]
    return LabelledPerson(
        box,
        annotation["area"],
        _dense_mask(annotation, image_size),
        points,
        np.array(annotation["dp_I"]).astype(np.int64),
        np.array([annotation["dp_U"], annotation["dp_V"]], float).T,
        crowd,
    )


def _dense_mask(annotation: dict, image_size: tuple[int, int]) -> np.ndarray:
    x, y, w, h = annotation["bbox"]
    parts = [rle.decode(part["counts"], part["size"]) for part in annotation.get("dp_masks") or [] if part]
    if not parts:
        return _segmentation(annotation, image_size)
    union = np.any(parts, axis=0).astype(float)
    union = zoom(union, (max(h, 1) / union.shape[0], max(w, 1) / union.shape[1]), order=1, prefilter=False) > 0.5
    mask = np.zeros(image_size, bool)
    left, top = int(x), int(y)
    bottom, right = min(int(y + h), top + union.shape[0]), min(int(x + w), left + union.shape[1])
    rows, columns = slice(max(top, 0), min(bottom, image_size[0])), slice(max(left, 0), min(right, image_size[1]))
    mask[rows, columns] = union[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return mask


def _segmentation(annotation: dict, image_size: tuple[int, int]) -> np.ndarray:
    return segmentation_mask(annotation.get("segmentation") or [], image_size)

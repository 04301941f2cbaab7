"""DensePose-COCO from its JSON: points with charts, coarse part masks, people without dense pose, and crowds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ddp_video import rle
from ddp_video.data.coco_file import by_image, read_coco
from ddp_video.data.folder import is_held_out, read_image
from ddp_video.data.sample import IGNORE, Sample
from ddp_video.errors import NoPicturesError

MASK_SIZE = 256  # side of a part mask, which is stretched over the person's box


class DensePoseCoco:
    """Annotations of people, some with dense pose.

    The charts' U, V are the official ones, for which there is no mirror table here, unless the file says that it holds ours;
    these pictures are never mirrored.

    Args:
        annotations: densepose_coco_2014_train.json or another of its kind.
        images: the folder with the pictures.
        held_out: as in DenseFolder.
    Raises:
        DataError: the file is not such a JSON.
    """

    def __init__(self, annotations: str | Path, images: str | Path, held_out: bool | None = False):
        pictures, people, self.charts = read_coco(annotations)
        self.people = by_image(people)
        pictures = [(image["file_name"], image["id"]) for image in pictures if image["id"] in self.people]
        self.images = Path(images)
        self.pictures = sorted(p for p in pictures if held_out is None or is_held_out(p[0]) == held_out)
        if not self.pictures:
            raise NoPicturesError(f"no pictures with people in {annotations}")

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        name, number = self.pictures[index]
        return coco_sample(read_image(self.images / name), self.people[number])


def coco_sample(image: np.ndarray, annotations: list[dict]) -> Sample:
    """One picture's people as instance map, dense-pose mask and points.

    Where people overlap the smaller one is in front. Crowds become IGNORE.
    """
    size = image.shape[:2]
    instance, dense = np.zeros(size, np.uint8), np.zeros(size, bool)
    has_dense, points = [], [np.zeros((0, 5), np.float32)]
    for annotation in sorted(annotations, key=lambda a: (not a.get("iscrowd"), -a["area"])):
        mask = segmentation_mask(annotation.get("segmentation") or [], size)
        if annotation.get("iscrowd") or len(has_dense) == IGNORE - 1:
            instance[mask] = IGNORE
            continue
        has_dense.append(bool(annotation.get("dp_masks")))
        instance[mask] = len(has_dense)
        dense[mask] = False
        if has_dense[-1]:
            dense |= mask & dense_pose_mask(annotation, size)
        if annotation.get("dp_x"):
            points.append(annotated_points(annotation))
    return Sample(image, instance, dense, np.array(has_dense, bool), points=np.concatenate(points))


def annotated_points(annotation: dict) -> np.ndarray:
    """[P, 5] float32 (x, y in px, I, U, V). Training places a point at x0 + dp_x * w / 256 (the evaluator: / 255)."""
    x0, y0, w, h = annotation["bbox"]
    x, y, i, u, v = (np.asarray(annotation[f"dp_{name}"], np.float32) for name in "xyIUV")
    return np.stack([x0 + x * w / 256, y0 + y * h / 256, i, u, v], 1)


def dense_pose_mask(annotation: dict, size: tuple[int, int]) -> np.ndarray:
    """[H, W] bool: the union of the 14 part masks, stretched over the box; an empty entry is a part that is not seen."""
    parts = [rle.decode(part["counts"], part["size"]) for part in annotation["dp_masks"] if part]
    union = np.any(parts, axis=0) if parts else np.zeros((MASK_SIZE, MASK_SIZE), bool)
    x0, y0, w, h = annotation["bbox"]
    # Sampled at pixel centres: pixel i of the picture lies at i + 0.5, cell j of the mask at x0 + (j + 0.5) w / 256.
    to_box = np.array(
        [[w / MASK_SIZE, 0, x0 + (w / MASK_SIZE - 1) / 2], [0, h / MASK_SIZE, y0 + (h / MASK_SIZE - 1) / 2]]
    )
    return cv2.warpAffine(union.astype(np.uint8), to_box, size[::-1], flags=cv2.INTER_NEAREST).astype(bool)


def segmentation_mask(segmentation: list | dict, size: tuple[int, int]) -> np.ndarray:
    """[H, W] bool of COCO polygons (one flat list of x, y each) or run lengths."""
    if isinstance(segmentation, dict):
        return rle.decode(segmentation["counts"], size)
    mask = np.zeros(size, np.uint8)
    for polygon in filter(len, segmentation):
        # OpenCV counts pixel centres as whole numbers and, with 4 fractional bits, rounds to a sixteenth.
        corners = np.rint((np.reshape(polygon, (-1, 2)) - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(mask, [corners], 1, shift=4)
    return mask.astype(bool)

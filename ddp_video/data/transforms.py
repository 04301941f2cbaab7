"""From a labelled picture to a training crop: scale, place, mirror, hide, and read the labels at the grid's cell centres."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from ddp_video.charts import MIRROR_FLIPS_U
from ddp_video.data.choices import MIRRORED
from ddp_video.data.composition import Layers, mosaic, pasted
from ddp_video.data.photometric import photometric
from ddp_video.data.sample import IGNORE, UNLABELLED, Crop, Sample, knows_uv, named
from ddp_video.structures import STRIDE

_LEAST_FIT = 0.75  # least scale of a crop around a person, of that at which the picture's short side fills the crop
_ENLARGED = 3.0  # and the largest: more would show nothing new


@dataclass(frozen=True)
class Augmentation:
    """How far training pictures are varied."""

    around: float = 0.75  # share of crops that are drawn around a person; the others anywhere
    person: tuple[float, float] = (0.16, 1.3)  # longer side of that person in sides of the crop, log-uniform
    zoom: tuple[float, float] = (0.75, 2.0)  # elsewhere: of the scale at which the picture's short side fills the crop
    stretch: float = 0.12  # standard deviation of the log aspect ratio
    rotation_degrees: float = 12.0  # standard deviation, of the third of the pictures that are turned a little
    any_angle: float = 0.08  # share of pictures turned by any angle: people lie, hang, and stand on their hands
    mosaic: float = 0.3  # share of crops made of four or nine, each at half or a third of the size: many small people
    paste: float = 0.35  # share of the others in which people of a second picture stand before those of the first
    mirror: float = 0.5
    blend: float = 0.12  # share of crops whose people take on the colours around them
    hide: float = 0.3  # share of crops with one to three opaque rectangles, which take the labels away too
    widen_sites: int = 2  # the IUV branch sees the true masks grown by 0 to so many cells, as predicted masks will be
    ragged: float = 0.4  # share of crops in which those masks also hold, or lack, some blobs, as predicted masks will


def draw_count(size: int, augmentation: Augmentation, rng: np.random.Generator) -> int:
    """How many samples a crop is made of: 1; 2, people of the second before the first; or a mosaic of 4, or of 9 where a
    third of its size is whole cells."""
    if rng.random() < augmentation.mosaic:
        return 9 if size % (3 * STRIDE) == 0 and rng.random() < 0.5 else 4
    return 2 if rng.random() < augmentation.paste else 1


def train_crop(samples: list[Sample], size: int, augmentation: Augmentation, rng: np.random.Generator) -> Crop:
    """A random crop of size x size px, of 1, 2, 4 or 9 samples (see `draw_count`).

    size is a multiple of 64. Everything drawn comes from `rng`.
    """
    side = size // math.isqrt(len(samples))
    warped = [_warp(sample, _random_matrix(sample, side, augmentation, rng), side) for sample in samples]
    if len(warped) == 1:
        (layers,) = warped
    else:
        layers = pasted(*warped, rng) if len(warped) == 2 else mosaic(warped)
    if rng.random() < augmentation.mirror and not any(s.points is not None for s in samples):
        layers = _mirrored(layers)
    if rng.random() < augmentation.blend:
        layers = replace(layers, image=_blended(layers.image, layers.instance > 0, rng.uniform(0.4, 1)))
    if rng.random() < augmentation.hide:
        layers = _hidden(layers, rng)
    layers = replace(layers, image=photometric(layers.image, rng))
    widen = int(rng.integers(augmentation.widen_sites + 1))
    return _finish(layers, widen, rng if rng.random() < augmentation.ragged else None)


def plain_crop(sample: Sample, size: int) -> Crop:
    """The middle of the picture, its short side filling the crop: for validation."""
    height, width = sample.image.shape[:2]
    return _finish(_warp(sample, _matrix(size / min(height, width), (width / 2, height / 2), size), size), 0)


def _matrix(scale, centre, size, stretch=1.0, radians=0.0) -> np.ndarray:
    """2x3 map from points of the picture (pixel centres at +0.5) to points of the crop, `centre` going to its middle."""
    cos, sin = scale * np.cos(radians), scale * np.sin(radians)
    linear = np.array([[cos * stretch, -sin / stretch], [sin * stretch, cos / stretch]])
    return np.concatenate([linear, size / 2 - linear @ np.reshape(centre, (2, 1))], axis=1)


def _random_matrix(sample: Sample, size: int, augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Around a random person more often than not, else anywhere; the crop leaves the picture as little as it can."""
    height, width = sample.image.shape[:2]
    fit = size / min(height, width)
    person = _random_person(sample, rng) if rng.random() < augmentation.around else None
    if person is None:
        scale = fit * np.exp(rng.uniform(*np.log(augmentation.zoom)))
        centre = rng.uniform(0, 1, 2) * (width, height)
    else:
        low, high = person
        wanted = size * np.exp(rng.uniform(*np.log(augmentation.person)))
        scale = np.clip(wanted / (high - low).max(), _LEAST_FIT * fit, max(_ENLARGED, _LEAST_FIT * fit))
        centre = (low + high) / 2 + rng.normal(0, 0.35 * size / scale / 2, 2)
    half = size / scale / 2
    low, high = np.full(2, half), np.array([width, height]) - half
    inside = np.clip(centre, np.minimum(low, high), np.maximum(low, high))
    stretch = np.exp(rng.normal(0, augmentation.stretch) / 2)
    return _matrix(scale, inside, size, stretch, _random_turn(augmentation, rng))


def _random_turn(augmentation: Augmentation, rng: np.random.Generator) -> float:
    """Radians."""
    if rng.random() < augmentation.any_angle:
        return rng.uniform(-np.pi, np.pi)
    return np.radians(rng.normal(0, augmentation.rotation_degrees)) if rng.random() < 1 / 3 else 0.0


def _random_person(sample: Sample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """Lowest and highest (x, y) px of somebody, None where nobody is labelled."""
    people = named(sample.instance)
    found = [box for box in ndimage.find_objects(people) if box]
    if not found:
        return None
    rows, columns = found[rng.integers(len(found))]
    return np.array([columns.start, rows.start], float), np.array([columns.stop, rows.stop], float)


def _sampling(matrix: np.ndarray, step: int) -> np.ndarray:
    """The 2x3 matrix that makes cv2.warpAffine sample at the centres of cells of `step` px, in OpenCV's convention
    (pixel centres at whole numbers)."""
    to_index = np.array([[1 / step, 0, -0.5], [0, 1 / step, -0.5], [0, 0, 1]])
    from_index = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    return (to_index @ np.vstack([matrix, [0, 0, 1]]) @ from_index)[:2]


def _warp(sample: Sample, matrix: np.ndarray, size: int) -> Layers:
    grid = size // STRIDE
    to_pixels, to_cells = _sampling(matrix, 1), _sampling(matrix, STRIDE)

    def nearest(labels, target, where, border=0):
        return cv2.warpAffine(labels, where, (target, target), flags=cv2.INTER_NEAREST, borderValue=border)

    image, scale = sample.image, np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.8:  # bilinear sampling would alias
        image = cv2.GaussianBlur(image, (0, 0), 0.5 * np.sqrt(scale**-2 - 1))
    border = [float(v) for v in image[::16, ::16].reshape(-1, 3).mean(0)]
    image = cv2.warpAffine(image, to_pixels, (size, size), flags=cv2.INTER_LINEAR, borderValue=border)
    if sample.points is None:
        part = nearest(sample.part, grid, to_cells)
        uv = nearest(sample.uv, grid, to_cells).astype(np.float32) / 255
    else:
        part, uv = _scatter(sample.points, matrix, grid)
    return Layers(
        image,
        nearest(sample.instance, size, to_pixels),
        nearest(sample.instance, grid, to_cells),
        nearest(sample.dense.view(np.uint8), grid, to_cells).view(bool),
        sample.has_dense,
        part,
        uv,
    )


def _scatter(points: np.ndarray, matrix: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Annotated points label the cell that they fall into."""
    part = np.full((grid, grid), UNLABELLED, np.uint8)
    uv = np.zeros((grid, grid, 2), np.float32)
    cells = np.floor((points[:, :2] @ matrix[:, :2].T + matrix[:, 2]) / STRIDE).astype(int)
    inside = ((cells >= 0) & (cells < grid)).all(1)
    x, y = cells[inside].T
    part[y, x] = points[inside, 2].astype(np.uint8)
    uv[y, x] = points[inside, 3:5]
    return part, uv


def _mirrored(layers: Layers) -> Layers:
    """Flip left to right: the charts change sides, and u runs the other way on the torso."""
    flipped = {
        name: np.ascontiguousarray(getattr(layers, name)[:, ::-1])
        for name in ("image", "instance", "cells", "dense", "part", "uv")
    }
    part, uv = MIRRORED[flipped["part"]], flipped["uv"]
    across = np.isin(part, MIRROR_FLIPS_U) & knows_uv(uv)
    uv[..., 0] = np.where(across, 1 - uv[..., 0], uv[..., 0])
    return replace(layers, **flipped | {"part": part, "uv": uv})


def _blended(image: np.ndarray, people: np.ndarray, strength: float) -> np.ndarray:
    """People moved towards the mean colour of what is around them, as camouflage, the shade and the night do: what is left
    to see is their texture and outline. strength: 0 as they are, 1 of the same mean colour."""
    height, width = image.shape[:2]
    inside = people.astype(np.float32)[..., None]
    weighed = np.concatenate([image * inside, inside, image * (1 - inside), 1 - inside], 2).astype(np.float32)
    small = cv2.resize(weighed, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    sums = cv2.resize(cv2.GaussianBlur(small, (0, 0), width / 64), (width, height))
    ours, theirs = (sums[..., n : n + 3] / np.maximum(sums[..., n + 3 : n + 4], 1e-3) for n in (0, 4))
    seen = np.minimum(4 * sums[..., 7:], 1)  # in a crowd there is little to blend with
    soft = strength * cv2.GaussianBlur(inside, (0, 0), 1.0)[..., None] * seen
    return (image + soft * (theirs - ours)).clip(0, 255).astype(np.uint8)


def _hidden(layers: Layers, rng: np.random.Generator) -> Layers:
    """Cover rectangles with something that is not a person."""
    size = layers.image.shape[0]
    image, instance, cells, part, dense = (
        getattr(layers, name).copy() for name in ("image", "instance", "cells", "part", "dense")
    )
    for _ in range(rng.integers(1, 4)):
        w, h = np.maximum(size * rng.uniform(0.05, 0.35, 2) / STRIDE, 1).astype(int)
        x, y = rng.integers(0, size // STRIDE, 2)
        at_cells = np.s_[y : y + h, x : x + w]
        at_pixels = np.s_[STRIDE * y : STRIDE * (y + h), STRIDE * x : STRIDE * (x + w)]
        target = image[at_pixels]
        texture = rng.integers(0, 256, (rng.integers(1, 9), rng.integers(1, 9), 3), np.uint8)
        if rng.random() < 0.8:
            texture = cv2.addWeighted(texture, 0.25, np.full_like(texture, rng.integers(0, 256, 3, np.uint8)), 0.75, 0)
        target[:] = cv2.resize(texture, target.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        instance[at_pixels], cells[at_cells], part[at_cells], dense[at_cells] = 0, 0, 0, False
    return replace(layers, image=image, instance=instance, cells=cells, part=part, dense=dense)


def _ragged(owner: np.ndarray, free: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Owners [h, w] with one to three blobs near people added where it is free, or taken away from their person."""
    people, cells = owner, np.argwhere(owner)
    if not len(cells):
        return owner
    for _ in range(rng.integers(1, 4)):
        cell = cells[rng.integers(len(cells))]
        person = people[tuple(cell)]
        size = np.sqrt((people == person).sum())
        centre, radii = cell + rng.normal(0, 0.6 * size, 2), size * rng.uniform(0.08, 0.3, 2) + 0.5
        y, x = ((np.arange(n) - c) / r for n, c, r in zip(owner.shape, centre, radii, strict=True))
        blob = y[:, None] ** 2 + x**2 < 1
        if rng.random() < 0.6:
            owner = np.where(blob & free & (owner == 0), person, owner)
        else:
            owner = np.where(blob & (people == person), np.uint8(0), owner)
    return owner


def _finish(layers: Layers, widen: int, rng: np.random.Generator | None = None, min_cells: int = 4) -> Crop:
    """Number the people that are left 1..n, box them, set slivers aside, and choose the IUV branch's sites.

    widen: cells by which the sites outgrow the masks. rng: draws how ragged they are; None: not at all.
    """
    count = len(layers.has_dense)
    people = named(layers.instance)
    found = ndimage.find_objects(people, max_label=count) if count else []
    cells = np.bincount(layers.cells.ravel(), minlength=256)[1 : count + 1]
    kept = np.array([s is not None and n >= min_cells for s, n in zip(found, cells, strict=True)], bool)
    number = np.zeros(256, np.uint8)
    number[1 : count + 1] = np.where(kept, np.cumsum(kept), IGNORE)
    number[IGNORE] = IGNORE
    instance = number[layers.cells]
    boxes = np.array(
        [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s, keep in zip(found, kept, strict=True) if keep],
        np.float32,
    ).reshape(-1, 4)

    owner = named(instance)
    part = np.where(instance == IGNORE, np.uint8(UNLABELLED), layers.part)
    for _ in range(widen):
        owner = np.where(owner > 0, owner, cv2.dilate(owner, np.ones((3, 3), np.uint8)))
    if rng is not None:
        owner = _ragged(owner, instance == 0, rng)
    owner = np.where(instance == IGNORE, 0, owner)
    part = np.where((owner > 0) & (instance == 0), 0, part).astype(np.uint8)
    return Crop(
        np.ascontiguousarray(layers.image),
        instance,
        owner,
        part,
        layers.uv,
        layers.dense,
        boxes,
        layers.has_dense[kept],
    )

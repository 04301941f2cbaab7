"""How well everybody known fits everybody found in a frame: by place and by colours at once.

Flow alone goes with whoever walks in front, and the mask that two people shared must not stay with the wrong one when they
part. Place is, of people seen in the last frame, how far their mask carried along the optical flow, or their box moved on,
overlaps; else how near somebody comes back to where he was, or to where his motion should have taken him.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddp_video import boxes
from ddp_video.structures import Flow
from ddp_video.temporal import appearance
from ddp_video.temporal.known import KnownPeople

MIN_OVERLAP = 0.1  # of masks or boxes, of people seen in the last frame
BOX_SHARE = 0.5  # of masks' overlap that boxes' counts: those of people who cross overlap, whoever they are
# Out of sight: how far from where it was expected a person may come back, in box sizes, at once and more per frame unseen.
REACH, REACH_PER_FRAME, MAX_REACH = 0.5, 0.08, 1.5
# What a return exactly where expected counts; a whole overlap of somebody in sight counts 1, as do colours.
NEARNESS = 0.5
# Of his size, who comes back: half hidden, or cut off by the border, or nearer to the camera, where colours leave less doubt.
MAX_GROWTH, GROWTH_BY_COLOURS, MAX_SHRINKING = 1.8, 2.0, 3.0
ALIKE = 0.6  # colours by which somebody is known where he was last seen: he may have turned round, or was mostly hidden


@dataclass(frozen=True)
class Comparison:
    """K people known beside N found in a frame.

    unseen: [K] frames since each was last seen, 1 = in sight until now. carried: [K, N] overlap of the masks found with those
    of the last frame, carried along the flow. colours: [K, N] how alike they are. score: [K, N] could this be he? 0 = no,
    else place (0..1) + colours (at most 1), and a little more than 0.
    """

    known: KnownPeople
    unseen: np.ndarray
    carried: np.ndarray
    colours: np.ndarray
    score: np.ndarray


def compare(known: KnownPeople, found: KnownPeople, flow: Flow, frame: int) -> Comparison:
    """The people found in frame number `frame` with those known. flow: from this frame to the last."""
    unseen = frame - known.seen
    carried = _mask_iou(_carry(known.mask, flow), found.mask) * (unseen == 1)[:, None]
    colours = appearance.likeness(known.looks, found.looks)
    return Comparison(known, unseen, carried, colours, _score(known, found, unseen[:, None], carried, colours))


def motion(found: KnownPeople, flow: Flow, cell_px: tuple[float, float]) -> np.ndarray:
    """[N, 2] mean motion (dx, dy) under the masks since the last frame, px. A half-hidden box would tell a wrong one."""
    since_last = -flow.t_to_s[0].flatten(1).numpy().T
    mean = found.mask.astype(np.float32) @ since_last / np.maximum(found.mask.sum(1), 1)[:, None]
    return mean * np.array(cell_px[::-1])


def _carry(mask: np.ndarray, flow: Flow) -> np.ndarray:
    """Masks [K, P] of the last frame on the grid of this one (nearest cell)."""
    _, rows, columns = flow.valid.shape
    to_last = flow.t_to_s[0].numpy()
    x = np.rint(to_last[0] + np.arange(columns)).clip(0, columns - 1).astype(np.int64)
    y = np.rint(to_last[1] + np.arange(rows)[:, None]).clip(0, rows - 1).astype(np.int64)
    return mask[:, (y * columns + x).ravel()] & flow.valid[0].numpy().ravel()


def _mask_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    both = a.astype(np.float32) @ b.astype(np.float32).T
    return both / np.maximum(a.sum(1)[:, None] + b.sum(1) - both, 1)


def _score(
    known: KnownPeople, found: KnownPeople, unseen: np.ndarray, carried: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """[K, N], see `Comparison`. unseen: [K, 1]."""
    in_sight = unseen == 1
    expected = known.box + np.tile(known.velocity, 2) * unseen
    overlap = np.maximum(carried, BOX_SHARE * boxes.iou(expected, found.box))

    size = known.size[:, None]
    alike = colours >= ALIKE
    distance = _distance(expected, found.box)
    distance = np.where(alike, np.minimum(distance, _distance(known.box, found.box)), distance)
    distance /= np.maximum(size, found.size)
    reach = np.minimum(REACH + REACH_PER_FRAME * (unseen - 1), MAX_REACH)

    growth = np.maximum(MAX_GROWTH, 1 + GROWTH_BY_COLOURS * colours)
    same_size = (found.size < growth * size) & (size < MAX_SHRINKING * found.size)
    follows = in_sight & (overlap >= MIN_OVERLAP)
    possible = follows | ((distance < reach) & same_size & np.where(in_sight, alike, colours > 0))
    place = np.where(follows, overlap, NEARNESS * (1 - distance / reach))
    return possible * np.maximum(place + colours, 1e-3)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[K, N] px from boxes to boxes: of either axis, from edge to edge or middle to middle, whichever lie nearest.

    Of somebody half hidden the middle is not where it was, but one of the edges is.
    """

    def places(box):
        return np.stack([box[:, :2], (box[:, :2] + box[:, 2:]) / 2, box[:, 2:]])

    return np.linalg.norm(np.abs(places(a)[:, :, None] - places(b)[:, None]).min(0), axis=2)

"""Identities through a clip: who is who from frame to frame, and after having been out of sight for a while."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ddp_video.charts import NUM_CLASSES
from ddp_video.structures import Flow, FramePrediction
from ddp_video.temporal.cuts import CutDetector
from ddp_video.temporal.flow import DISFlow

FLOW_SHORT_SIDE = 180  # px; enough to carry masks of stride 4 along
MAX_OCCLUSION = 30  # frames that an identity survives unseen

MIN_MASK_IOU = 0.25
# Out of sight: how far from where it was expected a person may come back, in box sizes, at once and more per frame unseen.
REACH, REACH_PER_FRAME, MAX_REACH = 0.5, 0.08, 1.5
MAX_SIZE_RATIO = 1.8
MAX_COLOUR_DISTANCE = 32.0  # in 8-bit Lab
VELOCITY_MEMORY, COLOUR_MEMORY = 0.7, 0.9  # of exponential means

# Clothes and skin by body region: the cue that tells people apart. 0 = none, 1 head, 2 torso, 3 arms and hands, 4 legs and feet.
_REGION_OF_CHART = np.array([0, 2, 2, 3, 3, *[4] * 10, *[3] * 8, 1, 1])
_NUM_REGIONS = 5
assert len(_REGION_OF_CHART) == NUM_CLASSES


@dataclass(frozen=True)
class _People:
    """What is known of K people, one row each. Arrays are replaced, never written into.

    box [K, 4] and velocity [K, 2]: px and px a frame. colour [K, regions, 3] mean Lab, coverage [K, regions] sites.
    mask [K, P] bool on the grid of the last frame; seen [K] number of the frame it was last seen in.
    """

    track_id: np.ndarray
    box: np.ndarray
    velocity: np.ndarray
    colour: np.ndarray
    coverage: np.ndarray
    mask: np.ndarray
    seen: np.ndarray

    def __getitem__(self, rows) -> _People:
        return _People(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.track_id)


class Tracker:
    """Gives every person a `track_id` (from 1) that stays his through the clip; ids are never shared or reused.

    First everybody seen in the last frame is carried along the optical flow and matched by mask overlap. Who is left over,
    or was lost up to 30 frames ago, is matched by where his motion should have taken him and by his colours. Both are optimal
    assignments, so the outcome does not depend on the order of people. A hard cut ends all tracks.

    `state()` after frame n, given to `restore()`, goes on with frame n+1 as if nothing had happened.
    """

    def __init__(self):
        self._estimator = DISFlow(FLOW_SHORT_SIDE)
        self._cuts = CutDetector()
        self._frame = -1
        self._next_id = 1
        self._people: _People | None = None
        self._last_image: np.ndarray | None = None
        self._grid_size: tuple[int, int] | None = None

    def update(self, prediction: FramePrediction, frame_rgb: np.ndarray) -> FramePrediction:
        """The next frame's prediction with its track ids. frame_rgb: [H, W, 3] uint8."""
        self._frame += 1
        image = self._estimator.prepare(frame_rgb)
        cut = self._cuts.is_cut(frame_rgb)
        found = _describe(prediction, frame_rgb, self._frame)
        if self._people is None or cut or self._grid_size != prediction.grid.size:
            known, flow = found[:0], None
        else:
            known, flow = self._people, self._estimator.pairs([image], [self._last_image], prediction.grid)
        found = self._identify(known, found, flow, prediction.grid.pixels_per_cell)
        kept = (self._frame - known.seen <= MAX_OCCLUSION) & ~np.isin(known.track_id, found.track_id)
        self._people = _join(found, known[kept])
        self._last_image, self._grid_size = image, prediction.grid.size
        return replace(
            prediction, instances=replace(prediction.instances, track_id=torch.from_numpy(found.track_id.copy()))
        )

    def _identify(self, known: _People, found: _People, flow: Flow | None, cell_px: tuple[float, float]) -> _People:
        match = np.full(len(found), -1)
        if len(known) and len(found):
            move = _motion(found.mask, flow, cell_px)
            found = replace(found, velocity=move)
            visible = np.flatnonzero(known.seen == self._frame - 1)
            overlap = _mask_iou(_carry(known.mask[visible], flow), found.mask)
            for row, column in _assign(overlap * (overlap >= MIN_MASK_IOU)):
                match[column] = visible[row]
            open_known = np.setdiff1d(np.arange(len(known)), match)
            open_found = np.flatnonzero(match < 0)
            likeness = _return_likeness(known[open_known], found[open_found], self._frame)
            for row, column in _assign(likeness):
                match[open_found[column]] = open_known[row]
        new = match < 0
        ids = np.zeros(len(found), np.int64)
        ids[~new] = known.track_id[match[~new]]
        ids[new] = self._next_id + np.arange(new.sum())
        self._next_id += int(new.sum())
        return _remember(replace(found, track_id=ids), known, match)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that later frames depend on, as arrays (for `numpy.savez`)."""
        state = {"counters": np.array([self._frame, self._next_id])}
        state |= {f"cuts.{name}": value for name, value in self._cuts.state().items()}
        if self._people is not None:
            state |= {f"people.{f.name}": getattr(self._people, f.name) for f in fields(_People)}
            state |= {"image": self._last_image, "grid_size": np.array(self._grid_size)}
        return state

    @classmethod
    def restore(cls, state: dict[str, np.ndarray]) -> Tracker:
        tracker = cls()
        tracker._frame, tracker._next_id = (int(value) for value in state["counters"])
        tracker._cuts = CutDetector.restore({k[5:]: state[k] for k in state if k.startswith("cuts.")})
        if "image" in state:
            tracker._people = _People(**{f.name: state[f"people.{f.name}"] for f in fields(_People)})
            tracker._last_image, tracker._grid_size = state["image"], tuple(int(n) for n in state["grid_size"])
        return tracker


def _describe(prediction: FramePrediction, frame_rgb: np.ndarray, frame: int) -> _People:
    """The people of one frame, not yet identified nor in motion."""
    instances, iuv, (rows, columns) = prediction.instances, prediction.iuv, prediction.grid.size
    count = len(instances)
    lab = cv2.cvtColor(cv2.resize(frame_rgb, (columns, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    sites = iuv.sites.cpu().numpy()
    region = _REGION_OF_CHART[iuv.logits[:, :NUM_CLASSES].argmax(1).cpu().numpy()]
    slot = iuv.owner.cpu().numpy() * _NUM_REGIONS + region
    pixels = lab[sites[:, 1], sites[:, 2]].astype(np.float64)
    coverage = np.bincount(slot, minlength=count * _NUM_REGIONS).astype(np.float64)
    sums = [np.bincount(slot, pixels[:, channel], count * _NUM_REGIONS) for channel in range(3)]
    colour = np.stack(sums, 1) / np.maximum(coverage, 1)[:, None]
    coverage = coverage.reshape(count, _NUM_REGIONS)
    coverage[:, 0] = 0
    return _People(
        track_id=np.zeros(count, np.int64),
        box=instances.boxes_xyxy.cpu().numpy().astype(np.float64),
        velocity=np.zeros((count, 2)),
        colour=colour.reshape(count, _NUM_REGIONS, 3),
        coverage=coverage,
        mask=(instances.mask_logits > 0).flatten(1).cpu().numpy(),
        seen=np.full(count, frame),
    )


def _remember(found: _People, known: _People, match: np.ndarray) -> _People:
    """Blend what was known of a person into what was found, so that one bad frame does not spoil it."""
    old = match >= 0
    if not old.any():
        return found
    past = known[match[old]]
    velocity, colour = found.velocity.copy(), found.colour.copy()
    velocity[old] = VELOCITY_MEMORY * past.velocity + (1 - VELOCITY_MEMORY) * found.velocity[old]
    now = found.coverage[old]
    memory = np.where(past.coverage == 0, 0.0, np.where(now == 0, 1.0, COLOUR_MEMORY))[..., None]
    colour[old] = memory * past.colour + (1 - memory) * found.colour[old]
    coverage = found.coverage.copy()
    coverage[old] = np.maximum(now, COLOUR_MEMORY * past.coverage)
    return replace(found, velocity=velocity, colour=colour, coverage=coverage)


def _join(a: _People, b: _People) -> _People:
    return _People(**{f.name: np.concatenate([getattr(a, f.name), getattr(b, f.name)]) for f in fields(_People)})


def _carry(mask: np.ndarray, flow: Flow) -> np.ndarray:
    """Masks [K, P] of the last frame on the grid of this one (nearest cell)."""
    _, rows, columns = flow.valid.shape
    to_last = flow.t_to_s[0].numpy()
    x = np.rint(to_last[0] + np.arange(columns)).clip(0, columns - 1).astype(np.int64)
    y = np.rint(to_last[1] + np.arange(rows)[:, None]).clip(0, rows - 1).astype(np.int64)
    return mask[:, (y * columns + x).ravel()] & flow.valid[0].numpy().ravel()


def _motion(mask: np.ndarray, flow: Flow, cell_px: tuple[float, float]) -> np.ndarray:
    """[N, 2] mean motion (dx, dy) under the masks since the last frame, px. A half-hidden box would tell a wrong one."""
    since_last = -flow.t_to_s[0].flatten(1).numpy().T
    mean = mask.astype(np.float32) @ since_last / np.maximum(mask.sum(1), 1)[:, None]
    return mean * np.array(cell_px[::-1])


def _mask_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    both = a.astype(np.float32) @ b.astype(np.float32).T
    return both / np.maximum(a.sum(1)[:, None] + b.sum(1) - both, 1)


def _return_likeness(known: _People, found: _People, frame: int) -> np.ndarray:
    """[K, N] 0..1: could a person not carried over be this one? 0 = too far, of another size or of other colours."""
    unseen = (frame - known.seen)[:, None]
    expected = _centre(known.box) + known.velocity * unseen
    known_size, found_size = _size(known.box)[:, None], _size(found.box)
    distance = np.linalg.norm(expected[:, None] - _centre(found.box), axis=2) / np.maximum(known_size, found_size)
    reach = np.minimum(REACH + REACH_PER_FRAME * (unseen - 1), MAX_REACH)
    ratio = np.maximum(known_size, found_size) / np.maximum(np.minimum(known_size, found_size), 1)
    shared = np.minimum(known.coverage[:, None], found.coverage)
    difference = np.linalg.norm(known.colour[:, None] - found.colour, axis=3)
    colour = (difference * shared).sum(2) / np.maximum(shared.sum(2), 1e-9)
    possible = (distance < reach) & (ratio < MAX_SIZE_RATIO) & (colour < MAX_COLOUR_DISTANCE)
    return possible * (1 - 0.5 * distance / reach - 0.5 * colour / MAX_COLOUR_DISTANCE)


def _assign(score: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of the best total score, without those of score 0."""
    return [(r, c) for r, c in zip(*linear_sum_assignment(score, maximize=True), strict=True) if score[r, c] > 0]


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:, :2] + box[:, 2:]) / 2


def _size(box: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(box[:, 2] - box[:, 0], 1) * np.maximum(box[:, 3] - box[:, 1], 1))

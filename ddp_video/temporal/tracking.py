"""Identities through a clip: who is who from frame to frame, and after having been out of sight for a while."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ddp_video import boxes
from ddp_video.errors import PredictionsError
from ddp_video.structures import Flow, FramePrediction
from ddp_video.temporal import appearance
from ddp_video.temporal.cuts import CutDetector
from ddp_video.temporal.flow import DISFlow
from ddp_video.temporal.hindsight import Exchange, Suspicions

FLOW_SHORT_SIDE = 180  # px; enough to carry masks of stride 4 along
MAX_OCCLUSION = 60  # frames that an identity survives unseen
CONFIRMED = 3  # frames that it must have been seen in for that: what was found once or twice was often nobody

MIN_OVERLAP = 0.1  # of masks or boxes, of people seen in the last frame
SETTLED = 0.5  # overlap of his mask and the one carried along, of somebody who surely is who he was in the last frame
BOX_SHARE = 0.5  # of masks' overlap that boxes' counts: those of people who cross overlap, whoever they are
# Out of sight: how far from where it was expected a person may come back, in box sizes, at once and more per frame unseen.
REACH, REACH_PER_FRAME, MAX_REACH = 0.5, 0.08, 1.5
# What a return exactly where expected counts; a whole overlap of somebody in sight counts 1, as do colours.
NEARNESS = 0.5
# Of his size, who comes back: half hidden, or cut off by the border, or nearer to the camera, where colours leave less doubt.
MAX_GROWTH, GROWTH_BY_COLOURS, MAX_SHRINKING = 1.8, 2.0, 3.0
ALIKE = 0.6  # colours by which somebody is known where he was last seen: he may have turned round, or was mostly hidden
PROVISIONAL = 10  # frames in which somebody new may turn out to be somebody lost before,
CLAIM = 1.0  # if place and colours together fit so well
# Share of a box that lies in another's: the mask may then hold some of both people, and colours are not learnt.
CROWDED = 0.3

VELOCITY_MEMORY, APPEARANCE_MEMORY = 0.7, 0.97  # of exponential means


@dataclass(frozen=True)
class _People:
    """What is known of K people, one row each. Arrays are replaced, never written into.

    box [K, 4] and velocity [K, 2]: px and px a frame. looks [K, appearance.COLUMNS] and size [K], px: as they mostly were.
    mask [K, P] bool on the grid of the last frame; seen [K] number of the frame it was last seen in; age [K] frames it was
    seen in.
    """

    track_id: np.ndarray
    box: np.ndarray
    velocity: np.ndarray
    looks: np.ndarray
    size: np.ndarray
    mask: np.ndarray
    seen: np.ndarray
    age: np.ndarray

    def __getitem__(self, rows) -> _People:
        return _People(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.track_id)


class Tracker:
    """Gives every person a `track_id` (from 1) that stays his through the clip; ids are never shared or reused.

    Everybody known, also who was lost up to 60 frames ago, is compared with everybody found: by place and by colours at
    once, for flow alone goes with whoever walks in front, and the mask that two people shared must not stay with the wrong
    one when they part. Place is, of people seen in the last frame, how far their mask carried along the optical flow, or
    their box moved on, overlaps; else how near somebody comes back to where he was, or to where his motion should have
    taken him. One optimal assignment, so the outcome does not depend on the order of people. Who is new is provisional for
    some frames: he may turn out to be somebody lost. A hard cut ends all tracks.

    `state()` after frame n, given to `restore()`, goes on with frame n+1 as if nothing had happened.
    """

    def __init__(self):
        self._estimator = DISFlow(FLOW_SHORT_SIDE)
        self._cuts = CutDetector()
        self._frame = -1
        self._next_id = 1
        self._people: _People | None = None
        self._suspicions = Suspicions()
        # Of identities, found in the last frame: those before it are to be put right.
        self.exchanges: list[Exchange] = []
        self._last_image: np.ndarray | None = None
        self._grid_size: tuple[int, int] | None = None

    def update(self, prediction: FramePrediction, frame_rgb: np.ndarray) -> FramePrediction:
        """The next frame's prediction with its track ids. frame_rgb: [H, W, 3] uint8."""
        self._frame += 1
        self.exchanges = []
        image = self._estimator.prepare(frame_rgb)
        cut = self._cuts.is_cut(frame_rgb)
        found = _describe(prediction, frame_rgb, self._frame)
        if self._people is None or cut or self._grid_size != prediction.grid.size:
            known, flow = found[:0], None
        else:
            known, flow = self._people, self._estimator.pairs([image], [self._last_image], prediction.grid)
        found, known = self._identify(known, found, flow, prediction.grid.pixels_per_cell)
        kept = (self._frame - known.seen <= MAX_OCCLUSION) & (known.age >= CONFIRMED)
        kept &= ~np.isin(known.track_id, found.track_id)
        self._people = _join(found, known[kept])
        self._last_image, self._grid_size = image, prediction.grid.size
        return replace(
            prediction, instances=replace(prediction.instances, track_id=torch.from_numpy(found.track_id.copy()))
        )

    def _identify(
        self, known: _People, found: _People, flow: Flow | None, cell_px: tuple[float, float]
    ) -> tuple[_People, _People]:
        """Those found, with their identities, and those known, without who turned out to be somebody else."""
        match, same = np.full(len(found), -1), []
        if len(known):
            found = replace(found, velocity=_motion(found.mask, flow, cell_px))
            carried = _mask_iou(_carry(known.mask, flow), found.mask) * (known.seen == self._frame - 1)[:, None]
            colours = appearance.likeness(known.looks, found.looks)
            score = _similarity(known, found, carried, colours, self._frame)
            column = np.full(len(known), -1)
            for row, its_column in _assign(score):
                column[row] = its_column
            self.exchanges = self._look_back(known, carried, colours, score, column)
            same = _recognise(known, score, column, self._frame)
            self.exchanges += [(int(known.track_id[a]), int(known.track_id[b]), int(known.age[b])) for a, b in same]
            match[column[column >= 0]] = np.flatnonzero(column >= 0)
        new = match < 0
        ids = np.zeros(len(found), np.int64)
        ids[~new] = known.track_id[match[~new]]
        ids[new] = self._next_id + np.arange(new.sum())
        self._next_id += int(new.sum())
        found = _remember(replace(found, track_id=ids), known, match)
        return found, known[np.setdiff1d(np.arange(len(known)), [late for _, late in same])]

    def _look_back(
        self, known: _People, carried: np.ndarray, colours: np.ndarray, score: np.ndarray, column: np.ndarray
    ) -> list[Exchange]:
        """The exchanges of identities that this frame makes certain, undone in `column`: [K] who of the N found each is, or -1.

        carried, colours, score: [K, N], see `_similarity`.
        """
        here = column >= 0
        carried, colours, score = (np.pad(table, ((0, 0), (0, 1))) for table in (carried, colours, score))  # -1: nobody
        unsettled = here & (carried[np.arange(len(known)), column] < SETTLED)
        exchanges = self._suspicions.update(
            known.track_id, colours[:, column].clip(0, 1), score[:, column] > 0, unsettled
        )
        for a, b, _ in exchanges:
            rows = np.flatnonzero((known.track_id == a) | (known.track_id == b))
            column[rows] = column[rows[::-1]]
        return exchanges

    def state(self) -> dict[str, np.ndarray]:
        """Everything that later frames depend on, as arrays (for `numpy.savez`)."""
        state = {"counters": np.array([self._frame, self._next_id]), "suspicions": self._suspicions.state()}
        state |= {f"cuts.{name}": value for name, value in self._cuts.state().items()}
        if self._people is not None:
            state |= {f"people.{f.name}": getattr(self._people, f.name) for f in fields(_People)}
            state |= {"image": self._last_image, "grid_size": np.array(self._grid_size)}
        return state

    @classmethod
    def restore(cls, state: dict[str, np.ndarray]) -> Tracker:
        """The inverse of `state`; raises PredictionsError for that of another version."""
        try:
            return cls._restored(state)
        except KeyError as error:
            raise PredictionsError(
                f"the identities so far were kept by another version (no {error}); start anew with --overwrite"
            ) from error

    @classmethod
    def _restored(cls, state: dict[str, np.ndarray]) -> Tracker:
        tracker = cls()
        tracker._frame, tracker._next_id = (int(value) for value in state["counters"])
        tracker._suspicions = Suspicions(state["suspicions"])
        tracker._cuts = CutDetector.restore({k[5:]: state[k] for k in state if k.startswith("cuts.")})
        if "image" in state:
            tracker._people = _People(**{f.name: state[f"people.{f.name}"] for f in fields(_People)})
            tracker._last_image, tracker._grid_size = state["image"], tuple(int(n) for n in state["grid_size"])
        return tracker


def _describe(prediction: FramePrediction, frame_rgb: np.ndarray, frame: int) -> _People:
    """The people of one frame, not yet identified nor in motion."""
    instances = prediction.instances
    count = len(instances)
    box = instances.boxes_xyxy.cpu().numpy().astype(np.float64)
    return _People(
        track_id=np.zeros(count, np.int64),
        box=box,
        velocity=np.zeros((count, 2)),
        looks=appearance.describe(prediction, frame_rgb),
        size=np.sqrt(np.maximum(boxes.area(box), 1)),
        mask=(instances.mask_logits > 0).flatten(1).cpu().numpy(),
        seen=np.full(count, frame),
        age=np.ones(count, np.int64),
    )


def _remember(found: _People, known: _People, match: np.ndarray) -> _People:
    """Blend what was known of a person into what was found, so that one bad frame does not spoil it."""
    old = match >= 0
    if not old.any():
        return found
    past = known[match[old]]
    velocity, looks, size, age = (getattr(found, name).copy() for name in ("velocity", "looks", "size", "age"))
    velocity[old] = VELOCITY_MEMORY * past.velocity + (1 - VELOCITY_MEMORY) * found.velocity[old]
    memory = np.minimum(past.age / (past.age + 1), APPEARANCE_MEMORY)
    memory = np.where(_crowding(found.box)[old] > CROWDED, 1.0, memory)
    looks[old] = memory[:, None] * past.looks + (1 - memory[:, None]) * found.looks[old]
    size[old] = memory * past.size + (1 - memory) * found.size[old]
    age[old] = past.age + 1
    return replace(found, velocity=velocity, looks=looks, size=size, age=age)


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


def _similarity(known: _People, found: _People, carried: np.ndarray, colours: np.ndarray, frame: int) -> np.ndarray:
    """[K, N]: could this be he? 0 = no, else place (0..1) + colours (at most 1), and a little more than 0.

    carried: [K, N] overlap of the masks found with those of the last frame, carried along the flow. colours: [K, N] likeness.
    """
    unseen = (frame - known.seen)[:, None]
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


def _recognise(known: _People, score: np.ndarray, column: np.ndarray, frame: int) -> list[tuple[int, int]]:
    """Who came into view lately and turns out to be somebody lost before: rows (lost, lately come) of people who are one.

    Somebody who comes back shows a foot at the border, or an arm behind another, before he shows enough to be known by.
    column: [K] of the N found, or -1, changed for those; score: [K, N].
    """
    unseen = frame - known.seen
    lost, young = unseen > 1, (unseen == 1) & (known.age < PROVISIONAL)
    one = unseen[:, None] > known.age  # row by row: lost before the other came
    claims = np.pad(score, ((0, 0), (0, 1)))[:, column] * (
        one & (lost & (column < 0))[:, None] & (young & (column >= 0))
    )
    for row, other in _assign(claims * (claims >= CLAIM)):
        column[row], column[other] = column[other], -1
    back = np.flatnonzero(lost & (column >= 0))
    displaced = score[:, column[back]].T * (one[back] & young & (column < 0))
    return [(int(back[i]), other) for i, other in _assign(displaced)]


def _assign(score: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of the best total score, without those of score 0."""
    return [(r, c) for r, c in zip(*linear_sum_assignment(score, maximize=True), strict=True) if score[r, c] > 0]


def _crowding(box: np.ndarray) -> np.ndarray:
    """[N] the largest share of each box that lies in another."""
    both = boxes.intersection(box, box)
    np.fill_diagonal(both, 0)
    return both.max(1, initial=0) / np.maximum(boxes.area(box), 1)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[K, N] px from boxes to boxes: of either axis, from edge to edge or middle to middle, whichever lie nearest.

    Of somebody half hidden the middle is not where it was, but one of the edges is.
    """

    def places(box):
        return np.stack([box[:, :2], (box[:, :2] + box[:, 2:]) / 2, box[:, 2:]])

    return np.linalg.norm(np.abs(places(a)[:, :, None] - places(b)[:, None]).min(0), axis=2)

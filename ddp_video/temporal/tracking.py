"""Identities through a clip: who is who from frame to frame, and after having been out of sight for a while."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch

from ddp_video import boxes
from ddp_video.errors import PredictionsError
from ddp_video.structures import Flow, FramePrediction
from ddp_video.temporal import appearance
from ddp_video.temporal.cuts import CutDetector
from ddp_video.temporal.flow import DISFlow
from ddp_video.temporal.hindsight import Exchange, Suspicions
from ddp_video.temporal.known import KnownPeople, describe, join, remember
from ddp_video.temporal.returning import assign, doubt, handed_over, recognise

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
        self._people: KnownPeople | None = None
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
        found = describe(prediction, frame_rgb, self._frame)
        if self._people is None or cut or self._grid_size != prediction.grid.size:
            known, flow = found[:0], None
        else:
            known, flow = self._people, self._estimator.pairs([image], [self._last_image], prediction.grid)
        found, known = self._identify(known, found, flow, prediction.grid.pixels_per_cell)
        kept = (self._frame - known.seen <= MAX_OCCLUSION) & (known.age >= CONFIRMED)
        kept &= ~np.isin(known.track_id, found.track_id)
        self._people = join(found, known[kept])
        self._last_image, self._grid_size = image, prediction.grid.size
        return replace(
            prediction, instances=replace(prediction.instances, track_id=torch.from_numpy(found.track_id.copy()))
        )

    def _identify(
        self, known: KnownPeople, found: KnownPeople, flow: Flow | None, cell_px: tuple[float, float]
    ) -> tuple[KnownPeople, KnownPeople]:
        """Those found, with their identities, and those known, without who turned out to be somebody else."""
        match, same = np.full(len(found), -1), []
        if len(known):
            found = replace(found, velocity=_motion(found.mask, flow, cell_px))
            carried = _mask_iou(_carry(known.mask, flow), found.mask) * (known.seen == self._frame - 1)[:, None]
            colours = appearance.likeness(known.looks, found.looks)
            score = _similarity(known, found, carried, colours, self._frame)
            column = np.full(len(known), -1)
            for row, its_column in assign(score):
                column[row] = its_column
            self.exchanges = self._look_back(known, carried, colours, score, column)
            same = recognise(known, score, column, self._frame)
            for a, b, since in [(a, b, known.age[b]) for a, b in same] + handed_over(known, column, self._frame):
                pair = int(known.track_id[a]), int(known.track_id[b])
                if not {*pair} & {number for *others, _ in self.exchanges for number in others}:  # once is enough
                    self.exchanges.append((*pair, int(since)))
            known = doubt(known, score, colours, column, self._frame)
            match[column[column >= 0]] = np.flatnonzero(column >= 0)
        new = match < 0
        ids = np.zeros(len(found), np.int64)
        ids[~new] = known.track_id[match[~new]]
        ids[new] = self._next_id + np.arange(new.sum())
        self._next_id += int(new.sum())
        found = remember(replace(found, track_id=ids), known, match)
        return found, known[np.setdiff1d(np.arange(len(known)), [late for _, late in same])]

    def _look_back(
        self, known: KnownPeople, carried: np.ndarray, colours: np.ndarray, score: np.ndarray, column: np.ndarray
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
            state |= {f"people.{f.name}": getattr(self._people, f.name) for f in fields(KnownPeople)}
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
            tracker._people = KnownPeople(**{f.name: state[f"people.{f.name}"] for f in fields(KnownPeople)})
            tracker._last_image, tracker._grid_size = state["image"], tuple(int(n) for n in state["grid_size"])
        return tracker


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


def _similarity(
    known: KnownPeople, found: KnownPeople, carried: np.ndarray, colours: np.ndarray, frame: int
) -> np.ndarray:
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


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[K, N] px from boxes to boxes: of either axis, from edge to edge or middle to middle, whichever lie nearest.

    Of somebody half hidden the middle is not where it was, but one of the edges is.
    """

    def places(box):
        return np.stack([box[:, :2], (box[:, :2] + box[:, 2:]) / 2, box[:, 2:]])

    return np.linalg.norm(np.abs(places(a)[:, :, None] - places(b)[:, None]).min(0), axis=2)

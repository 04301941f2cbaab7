"""Identities through a clip: who is who from frame to frame, and after having been out of sight for a while."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch

from ddp_video.errors import PredictionsError
from ddp_video.structures import Flow, FramePrediction
from ddp_video.temporal.comparison import Comparison, compare, motion
from ddp_video.temporal.cuts import CutDetector
from ddp_video.temporal.flow import DISFlow
from ddp_video.temporal.hindsight import Exchange, Suspicions
from ddp_video.temporal.known import KnownPeople, describe, join, remember
from ddp_video.temporal.returning import assign, doubt, handed_over, recognise

FLOW_SHORT_SIDE = 180  # px; enough to carry masks of stride 4 along
MAX_OCCLUSION = 60  # frames that an identity survives unseen
CONFIRMED = 3  # frames that it must have been seen in for that: what was found once or twice was often nobody
SETTLED = 0.5  # overlap of his mask and the one carried along, of somebody who surely is who he was in the last frame


class Tracker:
    """Gives every person a `track_id` (from 1) that stays his through the clip; ids are never shared or reused.

    Everybody known, also who was lost up to 60 frames ago, is compared with everybody found. One optimal assignment, so the
    outcome does not depend on the order of people. Who is new is provisional for some frames: he may turn out to be somebody
    lost. A hard cut ends all tracks.

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
            found = replace(found, velocity=motion(found, flow, cell_px))
            compared = compare(known, found, flow, self._frame)
            column = np.full(len(known), -1)
            for row, its_column in assign(compared.score):
                column[row] = its_column
            self.exchanges = self._look_back(compared, column)
            same = recognise(compared, column)
            for a, b, since in [(a, b, known.age[b]) for a, b in same] + handed_over(compared, column):
                pair = int(known.track_id[a]), int(known.track_id[b])
                if not {*pair} & {number for *others, _ in self.exchanges for number in others}:  # once is enough
                    self.exchanges.append((*pair, int(since)))
            known = doubt(compared, column)
            match[column[column >= 0]] = np.flatnonzero(column >= 0)
        new = match < 0
        ids = np.zeros(len(found), np.int64)
        ids[~new] = known.track_id[match[~new]]
        ids[new] = self._next_id + np.arange(new.sum())
        self._next_id += int(new.sum())
        found = remember(replace(found, track_id=ids), known, match)
        return found, known[np.setdiff1d(np.arange(len(known)), [late for _, late in same])]

    def _look_back(self, compared: Comparison, column: np.ndarray) -> list[Exchange]:
        """The exchanges of identities that this frame makes certain, undone in `column`: [K] who of the N found each is, or -1."""
        track_id = compared.known.track_id
        tables = compared.carried, compared.colours, compared.score
        carried, colours, score = (np.pad(table, ((0, 0), (0, 1))) for table in tables)  # -1: nobody
        unsettled = (column >= 0) & (carried[np.arange(len(column)), column] < SETTLED)
        exchanges = self._suspicions.update(track_id, colours[:, column].clip(0, 1), score[:, column] > 0, unsettled)
        for a, b, _ in exchanges:
            rows = np.flatnonzero((track_id == a) | (track_id == b))
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

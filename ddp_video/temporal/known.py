"""What a tracker knows of people: where they were last seen, how they move, and how they mostly look."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ddp_video import boxes
from ddp_video.structures import FramePrediction
from ddp_video.temporal import appearance

# Share of a box that lies in another's: the mask may then hold some of both people, and colours are not learnt.
CROWDED = 0.3

VELOCITY_MEMORY, APPEARANCE_MEMORY = 0.7, 0.97  # of exponential means


@dataclass(frozen=True)
class KnownPeople:
    """What is known of K people, one row each. Arrays are replaced, never written into.

    box [K, 4] and velocity [K, 2]: px and px a frame. looks [K, appearance.COLUMNS] and size [K], px: as they mostly were.
    mask [K, P] bool on the grid of the last frame; seen [K] number of the frame it was last seen in; age [K] frames it was
    seen in. rival [K]: the lost person who looks more like the one taken for him, or 0, and doubted [K], for how many frames.
    """

    track_id: np.ndarray
    box: np.ndarray
    velocity: np.ndarray
    looks: np.ndarray
    size: np.ndarray
    mask: np.ndarray
    seen: np.ndarray
    age: np.ndarray
    rival: np.ndarray
    doubted: np.ndarray

    def __getitem__(self, rows) -> KnownPeople:
        return KnownPeople(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.track_id)


def describe(prediction: FramePrediction, frame_rgb: np.ndarray, frame: int) -> KnownPeople:
    """The people of one frame, not yet identified nor in motion."""
    instances = prediction.instances
    count = len(instances)
    box = instances.boxes_xyxy.cpu().numpy().astype(np.float64)
    return KnownPeople(
        track_id=np.zeros(count, np.int64),
        box=box,
        velocity=np.zeros((count, 2)),
        looks=appearance.describe(prediction, frame_rgb),
        size=np.sqrt(np.maximum(boxes.area(box), 1)),
        mask=(instances.mask_logits > 0).flatten(1).cpu().numpy(),
        seen=np.full(count, frame),
        age=np.ones(count, np.int64),
        rival=np.zeros(count, np.int64),
        doubted=np.zeros(count, np.int64),
    )


def remember(found: KnownPeople, known: KnownPeople, match: np.ndarray) -> KnownPeople:
    """Blend what was known of a person into what was found, so that one bad frame does not spoil it."""
    old = match >= 0
    if not old.any():
        return found
    past = known[match[old]]
    names = ("velocity", "looks", "size", "age", "rival", "doubted")
    velocity, looks, size, age, rival, doubted = (getattr(found, name).copy() for name in names)
    velocity[old] = VELOCITY_MEMORY * past.velocity + (1 - VELOCITY_MEMORY) * found.velocity[old]
    memory = np.minimum(past.age / (past.age + 1), APPEARANCE_MEMORY)
    memory = np.where(_crowding(found.box)[old] > CROWDED, 1.0, memory)
    looks[old] = memory[:, None] * past.looks + (1 - memory[:, None]) * found.looks[old]
    size[old] = memory * past.size + (1 - memory) * found.size[old]
    age[old] = past.age + 1
    rival[old], doubted[old] = past.rival, past.doubted
    return replace(found, velocity=velocity, looks=looks, size=size, age=age, rival=rival, doubted=doubted)


def join(a: KnownPeople, b: KnownPeople) -> KnownPeople:
    return KnownPeople(
        **{f.name: np.concatenate([getattr(a, f.name), getattr(b, f.name)]) for f in fields(KnownPeople)}
    )


def _crowding(box: np.ndarray) -> np.ndarray:
    """[N] the largest share of each box that lies in another."""
    both = boxes.intersection(box, box)
    np.fill_diagonal(both, 0)
    return both.max(1, initial=0) / np.maximum(boxes.area(box), 1)

"""Things around people: seats under those who sit, furniture, trees and cars beside them, balls in the air."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from ddp_video.synthesis import props
from ddp_video.synthesis.actor import Actor
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.greenery import bush, tree
from ddp_video.synthesis.litter import KINDS, lying_about
from ddp_video.synthesis.props import Prop, Shape
from ddp_video.synthesis.rotation import from_vector
from ddp_video.synthesis.vehicles import parked

_GAP = 0.04  # m, at least, between a person and a thing
_PLAYS = 0.1  # how often somebody has balls about
_LITTERED = 0.35  # how often things lie about where there are people; twice as often where there are none


class Furnisher:
    """Draws things. textures: ids of the images that they may be covered with, by finish. garments: clothes that may lie
    about, as worn."""

    def __init__(self, model: BodyModel, textures: dict[str, list[int]], garments: list[Shape]):
        self.model, self.textures, self.garments = model, textures, garments
        bone = np.array(model.rig.bones)[model.data.bone_index[model.data.landmarks, 0]]
        self._hips = np.array([name.startswith(("root", "pelvis", "upperleg01")) for name in bone])
        self._feet = np.array([name.startswith("foot") for name in bone])

    def draw(
        self, rng: np.random.Generator, actors: list[Actor], camera: Camera, distance: float, outdoors: bool
    ) -> list[Prop]:
        """Things for people in a picture, the first of whom stands `distance` m away."""
        where = self._taken(actors), actors, camera, distance
        around = _fitting(rng, self._street(rng, camera, distance), *where) if outdoors else []
        if not outdoors or rng.random() < 0.5:
            around += _fitting(rng, self._furniture(rng, actors, camera, distance), *where)
        if rng.random() < (_LITTERED if actors else 2 * _LITTERED):
            around += _fitting(rng, self._litter(rng, camera, distance), *where)
        return [*self._seats(rng, actors), *around, *self._balls(rng, actors)]

    def _seats(self, rng: np.random.Generator, actors: list[Actor]) -> list[Prop]:
        """Something under everybody who sits in the air."""
        seats = []
        for actor in actors:
            if actor.lying:
                continue
            points = actor.points(0, self.model)
            hips, feet = points[self._hips], points[self._feet]
            height = hips[:, 2].min()
            lowest = hips[hips[:, 2] < height + 0.1].mean(0)
            behind = np.linalg.norm(lowest[:2] - feet.mean(0)[:2])
            if not (0.12 < height < 0.65 * actor.person.leg + 0.12 and behind > 0.28 * actor.person.leg):
                continue
            front = self._front(actor)
            yaw = math.atan2(front[0], -front[1])  # the seat faces -y at yaw 0
            width = rng.uniform(0.3, 0.6)
            seat = props.box((width, rng.uniform(0.3, 0.45), height - 0.01))
            if rng.random() < 0.3:
                seat = props.cushion((rng.uniform(0.5, 1.2), 0.5, height), 0.2)
            elif rng.random() < 0.5:
                top = props.box((width, 0.4, 0.05), (0, 0, height - 0.06))
                seat = props.join([top, *props.legs(width, 0.4, height - 0.05, 0.04)])
            seats.append(props.place(seat, rng, lowest[:2] - 0.06 * front, yaw, self.textures))
        return seats

    def _front(self, actor: Actor) -> np.ndarray:
        """[2] unit direction that the hips face."""
        forward = (actor.turn @ from_vector(actor.performance.keys[0, 0]) @ np.array([0, -1.0, 0]))[:2]
        return forward / (np.linalg.norm(forward) + 1e-9)

    def _balls(self, rng: np.random.Generator, actors: list[Actor]) -> list[Prop]:
        """Balls that somebody throws or kicks, in pictures of one moment (things stand still)."""
        thrown = []
        for actor in actors:
            if len(actor.performance.keys) > 2 or actor.lying or rng.random() > _PLAYS:
                continue
            front, radius = self._front(actor), rng.uniform(0.03, 0.11)
            for _ in range(rng.integers(1, 5)):
                away = front * rng.uniform(0.3, 0.6) + rng.normal(0, 0.25, 2)
                at = (*(actor.place + away), actor.person.height * rng.uniform(0.05, 1.4))
                thrown.append(props.place(props.ball(radius), rng, at, 0.0, self.textures))
        return thrown

    def _furniture(self, rng, actors: list[Actor], camera: Camera, distance: float) -> Iterator[list[Prop]]:
        """Furniture and the like around people."""
        if actors and rng.random() < 0.35:
            return
        for _ in range(rng.integers(1, 7) if actors else rng.integers(3, 12)):
            place = _somewhere(rng, camera, distance, 0.55, 2.0)
            shape = props.furniture(str(rng.choice(props.KINDS)), rng)
            yield [props.place(shape, rng, place, rng.uniform(0, 2 * math.pi), self.textures)]

    def _street(self, rng, camera: Camera, distance: float) -> list[list[Prop]]:
        """Trees, bushes and parked cars."""
        groups: list[list[Prop]] = []
        if rng.random() < 0.35:
            place = _somewhere(rng, camera, max(distance, 6.0), 0.8, 3.0)
            groups += parked(rng, place, rng.normal(0, 0.15) if rng.random() < 0.5 else rng.uniform(0, math.pi))
        if rng.random() < 0.55:
            leaves, bark = self.textures["leaves"], self.textures["wood"]
            for _ in range(rng.integers(1, 5)):
                place = _somewhere(rng, camera, max(distance, 4.0), 0.8, 3.5)
                groups.append(tree(rng, place, leaves, bark) if rng.random() < 0.5 else bush(rng, place, leaves))
        return groups

    def _litter(self, rng, camera: Camera, distance: float) -> list[list[Prop]]:
        """Things lying and standing about on the ground."""
        things = []
        for _ in range(rng.integers(1, 7)):
            kind, place = str(rng.choice(KINDS)), _somewhere(rng, camera, distance, 0.55, 2.0)
            things.append(lying_about(rng, kind, place, self.textures, self.garments))
        return things

    def _taken(self, actors: list[Actor]) -> np.ndarray:
        """[n, 2] points on the ground that people cover at the beginning or end of their performances."""
        bodies = [a.points(0, self.model)[:, :2] for a in actors]
        bodies += [a.points(len(a.performance.keys) - 1, self.model)[:, :2] for a in actors]
        return np.concatenate(bodies) if bodies else np.zeros((0, 2))


def _somewhere(
    rng: np.random.Generator, camera: Camera, distance: float, nearest: float, farthest: float
) -> np.ndarray:
    """A place [2] on the ground about in view, at between `nearest` and `farthest` times the distance."""
    away = distance * rng.uniform(nearest, farthest)
    return camera.position[:2] + np.array([rng.uniform(-1.2, 1.2) * camera.view[0] * away, away])


def _fitting(rng, things: Iterable[list[Prop]], taken: np.ndarray, actors, camera, distance) -> list[Prop]:
    """The parts of those things that fit (see `_fits`)."""
    return [prop for thing in things if _fits(rng, thing, taken, actors, camera, distance) for prop in thing]


def _fits(rng, thing: list[Prop], taken: np.ndarray, actors: list[Actor], camera: Camera, distance: float) -> bool:
    """Whether a thing (of one or more materials) touches nobody, nor the camera, and (mostly) does not hide the first."""
    corners = np.stack([bound for prop in thing for bound in (prop.vertices.min(0), prop.vertices.max(0))])
    low, high = corners.min(0)[:2] - _GAP, corners.max(0)[:2] + _GAP
    nearest = np.clip(camera.position[:2], low, high)
    if ((taken > low) & (taken < high)).all(1).any() or np.linalg.norm(nearest - camera.position[:2]) < 0.5:
        return False
    middle = (low + high) / 2
    away = middle[1] - camera.position[1]
    if actors and away < distance * 1.05 and rng.random() < 0.8:
        return bool(abs(middle[0] * distance / max(away, 0.1) - actors[0].place[0]) >= 0.5 * (high - low)[0] + 0.2)
    return True

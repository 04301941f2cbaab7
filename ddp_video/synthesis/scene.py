"""What is in a picture: people and what they do, where they stand, the camera, light, things and backdrop.

Everything is drawn from one generator before anything is rendered, and stays fixed over the frames of a shot.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from ddp_video.synthesis.actor import Actor
from ddp_video.synthesis.backdrop import BackdropMaker
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.finishes import blend_in
from ddp_video.synthesis.furnishing import Furnisher
from ddp_video.synthesis.motion import Director, Performance
from ddp_video.synthesis.person import Person
from ddp_video.synthesis.planes import Backdrop
from ddp_video.synthesis.post import Look
from ddp_video.synthesis.props import Prop
from ddp_video.synthesis.rotation import about_axis, from_vector
from ddp_video.synthesis.viewpoint import draw_camera, draw_count, draw_framing, draw_yaw, set_in_motion
from ddp_video.synthesis.wardrobe import Wardrobe

_ATTEMPTS = 5  # to draw a first person and a camera that sees them
_GAP, _ELBOW_TO_ELBOW = 0.12, 0.02  # m, at least, between landmarks of two people; in rows
_IN_ROWS = 0.35  # how often three people or more stand in rows, as for a photograph
_BLENDS_IN = 0.12  # how often somebody wears a colour of the backdrop
_ALL_DARK = 0.1  # how often somebody wears nothing but black
_APART = 3  # every so many frames people are kept apart


@dataclass
class Scene:
    """lights: [L, 7] as in `lamps.Lighting`. ambient: [2, 3] RGB. shadow: strength of cast shadows, 0..1. dapple: as in
    `lamps.Lighting`. defocus: sigma of the background's blur in px at 384 px."""

    actors: list[Actor]
    camera: Camera
    backdrop: Backdrop
    props: list[Prop]
    lights: np.ndarray
    ambient: np.ndarray
    shadow: float
    dapple: float
    defocus: float
    look: Look
    frames: int


@njit(cache=True, fastmath=True)
def too_close(first, second, gap):
    """Whether points of two sets come nearer than `gap` at the same moment; [T, N, 3] and [T, M, 3] m."""
    for t in range(len(first)):
        apart = False
        for k in range(3):  # most people are far apart
            a, b = first[t, :, k], second[t, :, k]
            apart |= a.min() - b.max() > gap or b.min() - a.max() > gap
        if apart:
            continue
        for i in range(first.shape[1]):
            for j in range(second.shape[1]):
                x, y = first[t, i, 0] - second[t, j, 0], first[t, i, 1] - second[t, j, 1]
                z = first[t, i, 2] - second[t, j, 2]
                if x * x + y * y + z * z <= gap * gap:
                    return True
    return False


class SceneMaker:
    """Draws scenes. aspect: width / height of the pictures."""

    def __init__(
        self,
        model: BodyModel,
        wardrobe: Wardrobe,
        director: Director,
        backdrops: BackdropMaker,
        furnisher: Furnisher,
        aspect: float = 1.0,
    ):
        self.model, self.wardrobe, self.director = model, wardrobe, director
        self.backdrops, self.furnisher, self.aspect = backdrops, furnisher, aspect
        self._landmarks = model.renumber[model.data.landmarks]

    def draw(
        self,
        rng: np.random.Generator,
        frames: int = 1,
        fps: float = 25.0,
        framing: str | None = None,
        backdrop: str | None = None,
    ) -> Scene:
        """A random scene of one or more frames, of a certain framing and kind of backdrop where these are given."""
        framing = framing or draw_framing(rng)
        count = draw_count(rng, framing)
        look = Look.draw(rng)
        moments = max(frames, 2) if look.shutter else frames  # motion blur needs to know what comes next
        yaw = draw_yaw(rng)
        for _ in range(_ATTEMPTS):
            first = self._actor(rng, moments, fps, yaw)
            tall = first.points(0, self.model)[:, 2].max()
            camera, distance = draw_camera(rng, framing, first.person.height, tall, self.aspect)
            first.place = np.array([0.0, distance])
            if camera.sees(first.points(0, self.model)).mean() > 0.12:
                break
        if moments > 1:
            camera = set_in_motion(rng, camera, fps)
        actors = []
        if count:
            rows = count > 2 and rng.random() < _IN_ROWS
            others = [
                self._actor(rng, moments, fps, yaw + rng.normal(0, 0.3) if rows else draw_yaw(rng))
                for _ in range(count - 1)
            ]
            actors = [first, *self._keep_apart(rng, first, others, camera, distance, rows)]
        background = self.backdrops.draw(rng, camera, np.array([a.place for a in actors]).reshape(-1, 2), backdrop)
        for actor in actors:
            odd = rng.random()
            if odd < _BLENDS_IN:
                colour = background.colour(rng)
                blend_in(rng, actor.person.materials, colour, whole=False)
            elif odd < _BLENDS_IN + _ALL_DARK:
                blend_in(rng, actor.person.materials, np.full(3, rng.uniform(0.03, 0.16)), whole=True)
        lights, ambient = self.light(rng, background)
        outdoors = background.kind == "outdoors"
        return Scene(
            actors=actors,
            camera=camera,
            backdrop=background,
            props=self.furnisher.draw(rng, actors, camera, distance, outdoors),
            lights=lights,
            ambient=ambient,
            shadow=rng.uniform(0.5, 0.95) if rng.random() < 0.75 else 0.0,
            dapple=rng.uniform(0.06, 0.25) if outdoors and rng.random() < 0.3 else 0.0,
            defocus=rng.uniform(0.5, 3.5) if rng.random() < (0.6 if framing == "close-up" else 0.2) else 0.0,
            look=look,
            frames=frames,
        )

    def _actor(self, rng: np.random.Generator, frames: int, fps: float, yaw: float) -> Actor:
        person = self.wardrobe.draw(rng)
        performance = self.director.draw(rng, frames, fps)
        turn = about_axis("Z", yaw)
        odd = rng.random()
        if odd < 0.03:  # lying
            turn = turn @ about_axis("X", rng.choice([-1, 1]) * math.pi / 2) @ about_axis("Z", rng.uniform(0, 6.28))
        elif odd < 0.06:
            turn = turn @ from_vector(rng.normal(0, 0.25, 3))
        return self.actor(person, performance, turn, lying=odd < 0.03)

    def actor(self, person: Person, performance: Performance, turn: np.ndarray, place=(0.0, 0.0), lying=False) -> Actor:
        """A person in a shot."""
        return Actor(person, performance, turn, np.asarray(place, float), self._landmarks, lying)

    def _keep_apart(
        self, rng, first: Actor, others: list[Actor], camera: Camera, distance: float, rows: bool
    ) -> list[Actor]:
        """Find everybody a place in view where they touch nobody in any frame; those who find none stay away."""
        moments = range(0, len(first.performance.keys), _APART)

        def outline(actor: Actor) -> np.ndarray:  # [moments, N, 3] as seen from the actor's place
            return np.stack([actor.points(t, self.model) for t in moments]) - np.append(actor.place, 0)

        gap = _ELBOW_TO_ELBOW if rows else _GAP
        places = _in_rows(rng, first.place) if rows else _anywhere(rng, camera, distance)
        placed: list[Actor] = []
        taken = [outline(first) + np.append(first.place, 0)]
        for actor in others:
            points = outline(actor)
            for _ in range(12):
                place = next(places)
                moved = points + np.append(place, 0)
                near_camera = np.linalg.norm(moved - camera.position, axis=-1).min() < 0.35
                if not near_camera and not any(too_close(moved, other, gap) for other in taken):
                    actor.place = place
                    taken.append(moved)
                    placed.append(actor)
                    break
        return placed

    def light(self, rng: np.random.Generator, backdrop: Backdrop) -> tuple[np.ndarray, np.ndarray]:
        """Lights [L, 7] and ambient [2, 3] RGB that suit the backdrop in brightness and colour."""
        direction = rng.normal((0, -0.4, 0.9), (0.8, 0.8, 0.5))
        direction[2] = abs(direction[2]) + (0.35 if backdrop.inside else 0.15)
        direction /= np.linalg.norm(direction)
        warm = rng.uniform(-0.12, 0.22)
        white = np.array([1 + warm, 1, 1 - warm])
        level = 1.0
        if backdrop.mean is not None and rng.random() < 0.85:  # as bright and as tinted as the photograph
            mean = backdrop.mean[::-1] + 0.02
            level = float(np.clip(mean.mean() / 0.22, 0.2, 1.6)) * rng.uniform(0.8, 1.3)
            white = white * (mean / mean.mean()) ** 0.35
        sunny = backdrop.kind == "outdoors" and rng.random() < 0.4
        key = level * (rng.uniform(1.0, 1.8) if sunny else rng.uniform(0.3, 1.1) * (0.7 if backdrop.inside else 1))
        lights = [[*direction, *(key * white), rng.uniform(0, 0.35)]]
        if rng.random() < 0.5:
            second = rng.normal(0, 1, 3)
            second[2] = abs(second[2])
            tint = 1 + rng.normal(0, 0.12, 3)
            lights.append([*(second / np.linalg.norm(second)), *(level * rng.uniform(0.1, 0.45) * white * tint), 0.2])
        above = level * rng.uniform(0.3, 0.75) * white * np.array([1 - warm / 2, 1, 1 + warm / 2])
        below = above * rng.uniform(0.35, 0.8) * np.array([1.08, 1, 0.92])
        return np.array(lights, np.float32), np.stack([above, below]).astype(np.float32)


def _anywhere(rng: np.random.Generator, camera: Camera, distance: float) -> Iterator[np.ndarray]:
    """[2] places on the ground in view, about as far as the first person."""
    while True:
        away = distance * math.exp(rng.uniform(math.log(0.7), math.log(1.6 if distance > 8 else 2.4)))
        side = rng.uniform(-1.1, 1.1) * camera.view[0] * away
        yield camera.position[:2] + np.array([side, away])


def _in_rows(rng: np.random.Generator, first: np.ndarray) -> Iterator[np.ndarray]:
    """[2] places in rows, one after the other; in the first of them stands somebody already, at `first`."""
    wide, spacing, depth = int(rng.integers(3, 7)), rng.uniform(0.36, 0.6), rng.uniform(0.4, 0.8)
    middle = int(rng.integers(wide))
    for row in itertools.count():
        for column in range(wide):
            if (row, column) != (0, middle):
                across = column - middle + row % 2 / 2  # those behind look between those before them
                yield first + np.array([across * spacing, row * depth]) + rng.normal(0, 0.04, 2)

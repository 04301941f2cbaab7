"""What is in a picture: people and what they do, where they stand, the camera, light, things and backdrop.

Everything is drawn from one generator before anything is rendered, and stays fixed over the frames of a shot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from ddp_video.synthesis import props
from ddp_video.synthesis.backdrop import Backdrop, BackdropMaker
from ddp_video.synthesis.body import BodyModel, skin
from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.motion import Director, Performance
from ddp_video.synthesis.post import Look
from ddp_video.synthesis.props import Prop
from ddp_video.synthesis.rig import skinning_matrices
from ddp_video.synthesis.rotation import about_axis, from_vector
from ddp_video.synthesis.wardrobe import Person, Wardrobe

# Kinds of picture, with the odds of each: range of the first person's height in image heights, and of how many people.
FRAMINGS = {
    "close-up": (0.19, (1.3, 3.0), (1, 3)),
    "full": (0.35, (0.45, 1.15), (1, 4)),
    "group": (0.20, (0.25, 0.8), (3, 8)),
    "far": (0.20, (0.055, 0.3), (1, 10)),
    "empty": (0.06, (0.3, 1.0), (0, 0)),
}
_ATTEMPTS = 5  # to draw a first person and a camera that sees them
_GAP = 0.04  # m, at least, between two people's or a person's and a thing's surface


@dataclass
class Actor:
    """A person doing something somewhere: place [2] m, yaw and tilt (a turn [3, 3] of the whole body)."""

    person: Person
    performance: Performance
    turn: np.ndarray
    place: np.ndarray
    landmarks: np.ndarray
    lying: bool
    _frames: dict[int, np.ndarray] = field(default_factory=dict)

    def vertices(self, frame: int, model: BodyModel) -> np.ndarray:
        """[n, 3] float32 posed vertices in the world; the lowest stands on the ground unless the person jumps."""
        if frame not in self._frames:
            person, act = self.person, self.performance
            local = model.rig.spread(act.keys[frame], act.curls)
            local[0] = self.turn @ local[0]
            matrices = skinning_matrices(local, person.heads, model.rig.parents)
            posed = np.empty_like(person.rest)
            skin(person.rest, person.weights, person.bone_index, matrices, posed)
            way = (self.turn[:2, :2] @ act.path[frame]) * person.leg
            shift = np.array([*(self.place + way), act.clearance[frame] * person.leg - posed[self.landmarks, 2].min()])
            shift[:2] -= person.heads[0, :2]
            self._frames[frame] = posed + shift.astype(np.float32)
        return self._frames[frame]

    def forget(self, before: int) -> None:
        """Drop posed frames that are not needed any more."""
        for frame in [f for f in self._frames if f < before]:
            del self._frames[frame]


@dataclass
class Scene:
    """lights: [L, 7] as in `shade.Lighting`. ambient: [2, 3] RGB. shadow: strength of cast shadows, 0..1. defocus: sigma
    of the background's blur in px at 384 px."""

    actors: list[Actor]
    camera: Camera
    backdrop: Backdrop
    props: list[Prop]
    lights: np.ndarray
    ambient: np.ndarray
    shadow: float
    defocus: float
    look: Look
    frames: int


class SceneMaker:
    """Draws scenes. textures: ids of the images that things may be covered with, by finish. aspect: width / height."""

    def __init__(
        self,
        model: BodyModel,
        wardrobe: Wardrobe,
        director: Director,
        backdrops: BackdropMaker,
        textures: dict[str, list[int]],
        aspect: float = 1.0,
    ):
        self.model, self.wardrobe, self.director = model, wardrobe, director
        self.backdrops, self.textures, self.aspect = backdrops, textures, aspect
        self._landmarks = model.renumber[model.data.landmarks]
        bone = np.array(model.rig.bones)[model.data.bone_index[model.data.landmarks, 0]]
        self._hips = np.array([name.startswith(("root", "pelvis", "upperleg01")) for name in bone])
        self._feet = np.array([name.startswith("foot") for name in bone])

    def draw(
        self,
        rng: np.random.Generator,
        frames: int = 1,
        fps: float = 25.0,
        framing: str | None = None,
        backdrop: str | None = None,
    ) -> Scene:
        """A random scene of one or more frames, of a certain framing and kind of backdrop where these are given."""
        names = list(FRAMINGS)
        framing = framing or str(rng.choice(names, p=[FRAMINGS[n][0] for n in names]))
        _, heights, (least, most) = FRAMINGS[framing]
        share = math.exp(rng.uniform(*np.log(heights)))
        count = int(rng.integers(least, most + 1))
        for _ in range(_ATTEMPTS):
            first = self._actor(rng, frames, fps)
            camera, distance = self._camera(rng, framing, share, first, frames, fps)
            if self._in_view(first, camera):
                break
        actors = [first, *(self._actor(rng, frames, fps) for _ in range(count - 1))]
        if framing == "empty":
            actors = []
        actors = self._spread_out(rng, actors, camera, distance)
        people = np.array([a.place for a in actors]).reshape(-1, 2)
        background = self.backdrops.draw(rng, camera, people, backdrop)
        lights, ambient = self.light(rng, background)
        things = self._seats(rng, actors) + self._things(rng, actors, camera, distance, framing)
        return Scene(
            actors=actors,
            camera=camera,
            backdrop=background,
            props=things,
            lights=lights,
            ambient=ambient,
            shadow=rng.uniform(0.5, 0.95) if rng.random() < 0.75 else 0.0,
            defocus=rng.uniform(0.5, 3.5) if rng.random() < (0.6 if framing == "close-up" else 0.3) else 0.0,
            look=Look.draw(rng),
            frames=frames,
        )

    def _in_view(self, actor: Actor, camera: Camera) -> bool:
        return bool(camera.sees(actor.vertices(0, self.model)[self._landmarks]).mean() > 0.12)

    def _actor(self, rng: np.random.Generator, frames: int, fps: float) -> Actor:
        person = self.wardrobe.draw(rng)
        performance = self.director.draw(rng, frames, fps)
        turn = about_axis("Z", rng.uniform(0, 2 * math.pi))  # the back and the side are seen as often as the front
        odd = rng.random()
        if odd < 0.03:  # lying
            turn = turn @ about_axis("X", rng.choice([-1, 1]) * math.pi / 2) @ about_axis("Z", rng.uniform(0, 6.28))
        elif odd < 0.06:
            turn = turn @ from_vector(rng.normal(0, 0.25, 3))
        return self.actor(person, performance, turn, lying=odd < 0.03)

    def actor(self, person: Person, performance: Performance, turn: np.ndarray, place=(0.0, 0.0), lying=False) -> Actor:
        """A person in a shot."""
        return Actor(person, performance, turn, np.asarray(place, float), self._landmarks, lying)

    def _camera(self, rng, framing: str, share: float, first: Actor, frames: int, fps: float) -> tuple[Camera, float]:
        """A camera at the origin's side, looking along +y at the first person, and that person's distance."""
        focal = math.exp(rng.uniform(math.log(0.8), math.log(2.4)))
        posed = first.vertices(0, self.model)[self._landmarks]
        tall = max(posed[:, 2].max(), 0.5 * first.person.height)
        distance = max(0.6, focal * first.person.height / share)
        kind = rng.random()
        if kind < 0.62 or distance < 1.5:
            height = rng.uniform(1.1, 1.8)
        elif kind < 0.72:
            height = rng.uniform(0.25, 0.9)
        elif kind < 0.86:
            height = rng.uniform(2.0, 3.5)
        else:  # from a mast or a roof
            height = min(rng.uniform(3, 9), 1.5 * distance)
        if framing == "close-up":
            aim = tall * rng.uniform(0.35, 0.95)
            height = np.clip(aim + distance * math.tan(rng.normal(0.05, 0.25)), 0.15, 3)
        else:
            aim = tall * rng.uniform(0.35, 0.65)
        distance = math.sqrt(max(distance**2 - (height - aim) ** 2, 0.2 * distance**2))
        target = np.array([rng.uniform(-0.3, 0.3) * self.aspect / focal * distance, distance, aim])
        camera = Camera.looking(np.array([0, 0, height]), target, rng.normal(0, 0.04), focal, self.aspect)
        first.place = np.array([0.0, distance])
        first._frames.clear()
        if frames > 1:
            velocity = rng.normal(0, 0.15, 3) * np.array([1, 1, 0.3]) / fps * (rng.random() < 0.7)
            spin = rng.normal(0, 0.04, 3) * np.array([1, 1, 0.3]) / fps * (rng.random() < 0.7)
            camera = replace(camera, velocity=velocity, spin=spin)
        return camera, distance

    def _footprint(self, actor: Actor) -> np.ndarray:
        """Some points [n, 3] of a body over the shot."""
        moments = sorted({0, len(actor.performance.keys) // 2, len(actor.performance.keys) - 1})
        return np.concatenate([actor.vertices(t, self.model)[self._landmarks[::3]] for t in moments])

    def _spread_out(self, rng, actors: list[Actor], camera: Camera, distance: float) -> list[Actor]:
        """Find everybody a place in view where they touch nobody; those who find none stay away."""
        placed: list[Actor] = []
        taken = np.zeros((0, 3))
        for i, actor in enumerate(actors):
            points = self._footprint(actor) - [*actor.place, 0]
            points = points[np.linspace(0, len(points) - 1, 90).astype(int)]
            for _ in range(12):
                if i:
                    away = distance * math.exp(rng.uniform(math.log(0.7), math.log(1.6 if distance > 8 else 2.4)))
                    side = rng.uniform(-1.1, 1.1) * camera.view[0] * away
                    place = camera.position[:2] + np.array([side, away])
                else:
                    place = actor.place
                moved = points + np.append(place, 0)
                near_camera = np.linalg.norm(moved - camera.position, axis=1).min() < 0.35
                clear = not len(taken) or np.linalg.norm(moved[:, None] - taken, axis=-1).min() > 0.08 + _GAP
                if i == 0 or (clear and not near_camera):
                    actor.place = place
                    actor._frames.clear()
                    taken = np.concatenate([taken, moved])
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
        key = level * rng.uniform(0.35, 1.1) * (0.7 if backdrop.inside else 1)
        lights = [[*direction, *(key * white), rng.uniform(0, 0.35)]]
        if rng.random() < 0.5:
            second = rng.normal(0, 1, 3)
            second[2] = abs(second[2])
            tint = 1 + rng.normal(0, 0.12, 3)
            lights.append([*(second / np.linalg.norm(second)), *(level * rng.uniform(0.1, 0.45) * white * tint), 0.2])
        above = level * rng.uniform(0.3, 0.75) * white * np.array([1 - warm / 2, 1, 1 + warm / 2])
        below = above * rng.uniform(0.35, 0.8) * np.array([1.08, 1, 0.92])
        return np.array(lights, np.float32), np.stack([above, below]).astype(np.float32)

    def _seats(self, rng: np.random.Generator, actors: list[Actor]) -> list[Prop]:
        """Something under everybody who sits in the air."""
        seats = []
        for actor in actors:
            if actor.lying:
                continue
            points = actor.vertices(0, self.model)[self._landmarks]
            hips, feet = points[self._hips], points[self._feet]
            height = hips[:, 2].min()
            lowest = hips[hips[:, 2] < height + 0.1].mean(0)
            behind = np.linalg.norm(lowest[:2] - feet.mean(0)[:2])
            if not (0.12 < height < 0.65 * actor.person.leg + 0.12 and behind > 0.28 * actor.person.leg):
                continue
            back = self._facing(actor)
            yaw = math.atan2(back[0], -back[1])  # the seat faces -y at yaw 0
            width = rng.uniform(0.3, 0.6)
            seat = props.box((width, rng.uniform(0.3, 0.45), height - 0.01))
            if rng.random() < 0.3:
                seat = props.cushion((rng.uniform(0.5, 1.2), 0.5, height), 0.2)
            elif rng.random() < 0.5:
                seat = props.join(
                    [
                        props.box((width, 0.4, 0.05), (0, 0, height - 0.06)),
                        *props._legs(width, 0.4, height - 0.05, 0.04),
                    ]
                )
            seats.append(props.place(seat, rng, lowest[:2] - 0.06 * back, yaw, self.textures))
        return seats

    def _facing(self, actor: Actor) -> np.ndarray:
        """[2] unit direction that the hips face."""
        forward = (actor.turn @ from_vector(actor.performance.keys[0, 0]) @ np.array([0, -1.0, 0]))[:2]
        return forward / (np.linalg.norm(forward) + 1e-9)

    def _things(self, rng, actors: list[Actor], camera: Camera, distance: float, framing: str) -> list[Prop]:
        """Furniture and the like around people, seldom in front of the first."""
        if framing != "empty" and rng.random() < 0.35:
            return []
        bodies = [self._footprint(a)[:, :2] for a in actors]
        taken = np.concatenate(bodies) if bodies else np.zeros((0, 2))
        things: list[Prop] = []
        for _ in range(rng.integers(3, 12) if framing == "empty" else rng.integers(1, 7)):
            away = distance * rng.uniform(0.55, 2.0)
            place = camera.position[:2] + np.array([rng.uniform(-1.2, 1.2) * camera.view[0] * away, away])
            shape = props.furniture(str(rng.choice(props.KINDS)), rng)
            prop = props.place(shape, rng, place, rng.uniform(0, 2 * math.pi), self.textures)
            low, high = prop.vertices.min(0)[:2] - _GAP, prop.vertices.max(0)[:2] + _GAP
            if ((taken > low) & (taken < high)).all(1).any() or np.linalg.norm(place - camera.position[:2]) < 0.7:
                continue
            if actors and away < distance * 1.05 and rng.random() < 0.8:
                first = actors[0].place
                hides = abs(place[0] * distance / away - first[0]) < 0.5 * np.ptp(prop.vertices[:, 0]) + 0.2
                if hides:
                    continue
            things.append(prop)
        return things

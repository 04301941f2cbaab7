"""Where the camera stands: kinds of picture, and a camera for each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ddp_video.synthesis.camera import Camera


@dataclass(frozen=True)
class Framing:
    """odds: how often. share: range of the first person's height in image heights. people: fewest and most."""

    odds: float
    share: tuple[float, float]
    people: tuple[int, int]


FRAMINGS = {
    "close-up": Framing(0.19, (1.3, 3.0), (1, 3)),
    "full": Framing(0.33, (0.45, 1.15), (1, 4)),
    "group": Framing(0.12, (0.25, 0.8), (3, 8)),
    "far": Framing(0.09, (0.06, 0.3), (1, 8)),
    "above": Framing(0.15, (0.10, 0.36), (1, 8)),  # surveillance cameras
    "crowd": Framing(0.05, (0.1, 0.45), (6, 12)),  # streets
    "empty": Framing(0.07, (0.3, 1.0), (0, 0)),
}


def draw_framing(rng: np.random.Generator) -> str:
    return str(rng.choice(list(FRAMINGS), p=[f.odds for f in FRAMINGS.values()]))


def draw_count(rng: np.random.Generator, framing: str) -> int:
    """How many people: any number in the framing's range, fewer more often."""
    least, most = FRAMINGS[framing].people
    return least + int((most - least + 1) * rng.random() ** 1.5)


def draw_camera(
    rng: np.random.Generator, framing: str, height: float, tall: float, aspect: float
) -> tuple[Camera, float]:
    """A still camera above the origin that looks along +y at a person, and how far away on the ground that person stands.

    height: of the person when upright, m; tall: of the pose, m.
    """
    share = math.exp(rng.uniform(*np.log(FRAMINGS[framing].share)))
    focal = math.exp(rng.uniform(math.log(0.8), math.log(2.4)))
    distance = max(0.6, focal * height / share)
    tall = max(tall, 0.5 * height)
    aim = tall * rng.uniform(0.35, 0.65)
    kind = rng.random()
    if framing == "above" or (framing == "crowd" and kind < 0.5):
        up = aim + distance * math.sin(math.radians(rng.uniform(18, 52)))
    elif framing == "close-up":
        aim = tall * rng.uniform(0.15, 0.95)
        up = np.clip(aim + distance * math.tan(rng.normal(0.05, 0.25)), 0.15, 3)
    elif kind < 0.68 or distance < 1.5:
        up = rng.uniform(1.1, 1.8)
    elif kind < 0.79:
        up = rng.uniform(0.25, 0.9)
    elif kind < 0.92:
        up = rng.uniform(2.0, 3.5)
    else:  # from a mast or a roof
        up = min(rng.uniform(3, 9), 1.5 * distance)
    distance = math.sqrt(max(distance**2 - (up - aim) ** 2, 0.2 * distance**2))
    target = np.array([rng.uniform(-0.3, 0.3) * aspect / focal * distance, distance, aim])
    return Camera.looking(np.array([0, 0, up]), target, rng.normal(0, 0.04), focal, aspect), distance


def set_in_motion(rng: np.random.Generator, camera: Camera, fps: float) -> Camera:
    """The camera carried or panned by hand, or standing still."""
    velocity = rng.normal(0, 0.15, 3) * np.array([1, 1, 0.3]) / fps * (rng.random() < 0.7)
    spin = rng.normal(0, 0.04, 3) * np.array([1, 1, 0.3]) / fps * (rng.random() < 0.7)
    return replace(camera, velocity=velocity, spin=spin)


def draw_yaw(rng: np.random.Generator) -> float:
    """Which way somebody is turned, 0 = towards the camera: backs and sides more often than faces."""
    return rng.uniform(0, 2 * math.pi) if rng.random() < 0.75 else rng.normal(math.pi, 0.9)

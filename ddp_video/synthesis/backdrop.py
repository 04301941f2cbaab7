"""Rooms, streets and fields around people, or photographs behind them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.canvases import Canvases
from ddp_video.synthesis.planes import Backdrop

KINDS = ("room", "outdoors", "photograph", "abstract")
KIND_ODDS = (0.4, 0.4, 0.18, 0.02)
_LIGHT = np.square(np.arange(256, dtype=np.float32) / 255)  # linear, of the colours 0..255


def _mean_light(photograph: np.ndarray) -> np.ndarray:
    """[3] mean linear BGR of uint8 [H, W, 3]."""
    return np.array(cv2.mean(cv2.LUT(photograph, _LIGHT))[:3])


def _in_view(camera: Camera, start: np.ndarray, along: np.ndarray, height: float) -> bool:
    """Whether any of a grid of points on a wall (from `start`, `along` it and up to `height`) is in the picture."""
    share = np.linspace(0, 1, 9)
    points = start + share[:, None, None] * along + share[None, :, None] * np.array([0, 0, height])
    return bool(camera.sees(points, margin=1.2).any())


class BackdropMaker:
    """Draws backdrops."""

    def __init__(self, canvases: Canvases):
        self.canvases = canvases

    def draw(self, rng: np.random.Generator, camera: Camera, people: np.ndarray, kind: str | None = None) -> Backdrop:
        """A backdrop for people standing at [N, 2] on the ground, seen by a camera."""
        kind = kind or str(rng.choice(KINDS, p=KIND_ODDS))
        make = {"room": self._room, "outdoors": self._outdoors}.get(kind, self._flat)
        backdrop = Backdrop(kind, np.array([[0.5, 0.5, 0.5], [0.6, 0.5, 0.4]]))
        make(backdrop, rng, camera, people)
        return backdrop

    def _room(self, backdrop: Backdrop, rng, camera: Camera, people: np.ndarray) -> None:
        """Four walls, floor and ceiling around people; walls between the camera and them are seen through."""
        backdrop.inside = True
        yaw = rng.uniform(0, 2 * math.pi) if rng.random() < 0.4 else rng.normal(0, 0.15)
        along, across = np.array([math.cos(yaw), math.sin(yaw), 0]), np.array([-math.sin(yaw), math.cos(yaw), 0])
        ground = np.concatenate([people, camera.position[None, :2]])
        extents = [(ground @ axis[:2]).min() - rng.uniform(0.6, 4) for axis in (along, across)]
        extents += [(ground @ axis[:2]).max() + rng.uniform(0.6, 4) for axis in (along, across)]
        left, front, right, back = extents
        height = rng.uniform(2.4, 3.6) + max(0, camera.position[2] - 1.8)
        floor = self.canvases.tile(rng, "wood" if rng.random() < 0.5 else "floor")
        size = rng.uniform(0.7, 1.8)
        backdrop.add(floor, (0, 0, 0), along, across, size, size)
        if rng.random() < 0.3:
            self._patch(backdrop, rng, camera, people, self.canvases.rug(rng), (0.6, 2.0), whole=True)
        ceiling = np.full((32, 32, 3), rng.uniform(180, 245), np.uint8)
        backdrop.add(ceiling, (0, 0, height), across, along, 1, 1)
        paint = self.canvases.tile(rng, "wall", 0.3)
        for axis, other, low, high, at, inward in (
            (along, across, left, right, back, -1),
            (along, across, left, right, front, 1),
            (across, along, front, back, left, 1),
            (across, along, front, back, right, -1),
        ):
            width = high - low
            u_axis = -axis * inward if other is across else axis * inward
            start = axis * (low if u_axis @ axis > 0 else high) + other * at
            canvas = (
                self.canvases.wall(rng, paint, width, height)
                if _in_view(camera, start, u_axis * width, height)
                else paint
            )
            backdrop.add(canvas, start, u_axis, (0, 0, 1.0), width, height, limits=(0, 1, 0, 1))

    def _outdoors(self, backdrop: Backdrop, rng, camera: Camera, people: np.ndarray) -> None:
        """Ground to the horizon, perhaps with a path, in front of a photograph, facades or the sky."""
        size = rng.uniform(0.8, 3.0)
        yaw = rng.uniform(0, math.pi)
        along, across = np.array([math.cos(yaw), math.sin(yaw), 0]), np.array([-math.sin(yaw), math.cos(yaw), 0])
        backdrop.add(self.canvases.tile(rng, "ground", 0.15), (0, 0, 0), along, across, size, size)
        covering = rng.random()
        if covering < 0.3:  # a lawn, or a paved place in one
            self._patch(backdrop, rng, camera, people, self.canvases.tile(rng, "ground", 0.15), (1.0, 5.0), whole=False)
        elif covering < 0.6:
            turn = rng.normal(0, 0.5)
            u, v = np.array([math.cos(turn), math.sin(turn), 0]), np.array([-math.sin(turn), math.cos(turn), 0])
            width, at = rng.uniform(1.0, 4), people[rng.integers(len(people))] if len(people) else np.zeros(2)
            backdrop.add(
                self.canvases.tile(rng, "ground", 0.15), (*at, 0.001), u, v, 1.5, 1.5, limits=(-1e9, 1e9, -width, width)
            )
        horizon = np.square(rng.uniform(0.5, 0.95) * rng.uniform(0.9, 1.1, 3)) * rng.uniform(0.6, 1.2)
        blue = np.array([0.85, 0.6, 0.4]) ** 2 * rng.uniform(0.4, 1.3)
        backdrop.sky = np.stack([0.5 * horizon + 0.5 * horizon.mean(), blue if rng.random() < 0.6 else horizon])
        forward = camera.rotation[:2, 2] / np.linalg.norm(camera.rotation[:2, 2])
        ahead, left = np.array([*forward, 0]), np.array([-forward[1], forward[0], 0])
        deepest = max([(p - camera.position[:2]) @ forward for p in people], default=4.0)
        distance = deepest + rng.uniform(1.5, 25)
        middle = np.array([*camera.position[:2], 0]) + ahead * distance
        kind = rng.random()
        if kind < 0.55:  # a photograph where the ground ends
            width = camera.aspect * distance / camera.focal * rng.uniform(1.1, 2.0)
            image = self.canvases.photograph(rng, 512, scenic=0.8)
            backdrop.add(
                np.hstack([image, image[:, ::-1]])[:, ::2],
                middle,
                -left,
                (0, 0, 1.0),
                2 * width,
                width,
                limits=(-1e9, 1e9, 0, 1),
                lit=False,
            )
            backdrop.mean = _mean_light(image)
        elif kind < 0.85:  # facades
            for k in range(rng.integers(1, 4)):
                turn = rng.normal(0, 0.5) if k else rng.normal(0, 0.2)
                u = -left * math.cos(turn) + ahead * math.sin(turn)
                width, height = rng.uniform(6, 20), rng.uniform(3, 12)
                start = middle + left * rng.normal(0, 5 * k) - u * width / 2 + ahead * rng.uniform(0, 3) * k
                backdrop.add(
                    self.canvases.facade(rng, width, height), start, u, (0, 0, 1.0), width, height, limits=(0, 1, 0, 1)
                )

    def _patch(self, backdrop: Backdrop, rng, camera: Camera, people, image, reach, *, whole: bool) -> None:
        """An oblong on the ground, half as long and wide as drawn from `reach` m, covered by one image or by tiles."""
        turn, half = rng.uniform(0, math.pi), rng.uniform(*reach, 2)
        u, v = np.array([math.cos(turn), math.sin(turn), 0]), np.array([-math.sin(turn), math.cos(turn), 0])
        near = people[rng.integers(len(people))] if len(people) else camera.position[:2] + np.array([0, 4])
        at = np.append(near + rng.normal(0, half.mean(), 2), 0.002)
        size = 2 * half if whole else np.full(2, 1.5)
        limits = (0, 1, 0, 1) if whole else (0, 2 * half[0] / 1.5, 0, 2 * half[1] / 1.5)
        backdrop.add(image, at - u * half[0] - v * half[1], u, v, *size, limits=limits)

    def _flat(self, backdrop: Backdrop, rng, camera: Camera, people: np.ndarray) -> None:
        """One picture that fills the view: a photograph, or blurred or hard-edged patches of colour."""
        if backdrop.kind == "photograph":
            image = self.canvases.photograph(rng, 512, least=0.6)
        else:
            patches = rng.integers(0, 255, (*rng.integers(2, 9, 2), 3)).astype(np.uint8)
            way = cv2.INTER_CUBIC if rng.random() < 0.8 else cv2.INTER_NEAREST
            image = cv2.resize(patches, (512, 512), interpolation=way)
        forward = camera.rotation[:, 2]
        distance = 3 + 2 * max([np.linalg.norm(p - camera.position[:2]) for p in people], default=4.0)
        size = max(camera.aspect, 1) * distance / camera.focal * rng.uniform(1.02, 1.25)
        right, down = camera.rotation[:, 0], camera.rotation[:, 1]
        corner = camera.position + forward * distance - right * size / 2 + down * size / 2
        backdrop.add(image, corner, right, -down, size, size, lit=False)
        backdrop.mean = _mean_light(image)

"""What is behind the people: rooms, streets and fields as textured planes, or photographs, seen through the same camera.

Every background point has a place in the world, so horizons, shadows and flow are right by construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.colours import cloth_colour
from ddp_video.synthesis.materials import noise_at
from ddp_video.synthesis.shade import shadow_at, texture_at
from ddp_video.synthesis.surfaces import recolour
from ddp_video.synthesis.textures import TextureBank

FAR = 1e4  # m, depth of the sky
_MAX_LEVELS = 6
KINDS = ("room", "outdoors", "photograph", "abstract")
KIND_ODDS = (0.36, 0.3, 0.27, 0.07)


class Planes(NamedTuple):
    """S textured planes. origin, normal: [S, 3]. u, v: [S, 3], texture coordinate of p = (p - origin) . u. limits: [S, 4]
    lowest and highest u and v that belong to the plane. levels: [S, L, 2] start and side of the texture's reductions.
    texel: [S] m. tint: [S, 3] BGR. lit: [S] 1 = takes light, 0 = shines by itself (photographs)."""

    origin: np.ndarray
    normal: np.ndarray
    u: np.ndarray
    v: np.ndarray
    limits: np.ndarray
    levels: np.ndarray
    texel: np.ndarray
    tint: np.ndarray
    lit: np.ndarray
    texels: np.ndarray


@dataclass
class Backdrop:
    """kind: one of `KINDS`. sky: [2, 3] linear BGR at the horizon and above. mean: [3] linear BGR that photographs show,
    by which people are lit; None where lights decide. inside: whether lamps, not the sun, give light."""

    kind: str
    sky: np.ndarray
    mean: np.ndarray | None = None
    inside: bool = False
    _rows: list[tuple] = field(default_factory=list)
    _images: list[np.ndarray] = field(default_factory=list)

    def add(self, image, origin, u_axis, v_axis, size_u, size_v, *, limits=None, tint=(1, 1, 1), lit=True) -> None:
        """A plane through `origin` spanned by unit axes; the image covers size_u x size_v metres and repeats."""
        u_axis, v_axis = np.asarray(u_axis, float), np.asarray(v_axis, float)
        limits = (-1e9, 1e9, -1e9, 1e9) if limits is None else limits
        normal = np.cross(u_axis, v_axis)
        self._rows.append(
            (origin, normal, u_axis / size_u, v_axis / size_v, limits, size_u / image.shape[0], tint, lit)
        )
        self._images.append(image)

    def planes(self) -> Planes:
        bank = TextureBank(self._images or [np.zeros((32, 32, 3), np.uint8)])
        count = len(self._rows)
        levels = np.zeros((count, _MAX_LEVELS, 2), np.int64)
        for s in range(count):
            own = bank.levels[s][:_MAX_LEVELS]
            levels[s] = [*own, *[own[-1]] * (_MAX_LEVELS - len(own))]
        columns = list(zip(*self._rows, strict=True)) if count else [[]] * 8
        widths = (3, 3, 3, 3, 4, None, 3, None)
        arrays = [
            np.array(column, np.float64).reshape((count, width) if width else (count,))
            for column, width in zip(columns, widths, strict=True)
        ]
        return Planes(*arrays[:5], levels, *arrays[5:], bank.texels)


@njit(cache=True, fastmath=True)
def draw_backdrop(planes, sky, lighting, contact, contact_frame, noise, rotation, position, focal, image, depth):
    """Ray-cast the planes into image [H, W, 3] float32 linear BGR and depth [H, W] m, in place.

    contact: [R, R] darkness 0..1 of the ground under things; contact_frame: (x0, y0, cells a metre). focal: px.
    """
    centre_x, centre_y = image.shape[1] / 2, image.shape[0] / 2
    colour = np.zeros(3)
    ambient, lights = lighting.ambient, lighting.lights
    count = len(planes.texel)
    # what a ray from the camera needs of each plane: t = reach / (d . normal), u = u0 + t (d . u), v = v0 + t (d . v)
    reach, u0, v0 = np.zeros(count), np.zeros(count), np.zeros(count)
    for s in range(count):
        for k in range(3):
            away = planes.origin[s, k] - position[k]
            reach[s] += away * planes.normal[s, k]
            u0[s] -= away * planes.u[s, k]
            v0[s] -= away * planes.v[s, k]
    normal, limits = planes.normal, planes.limits
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            lx, ly = (x + 0.5 - centre_x) / focal, (y + 0.5 - centre_y) / focal
            dx = rotation[0, 0] * lx + rotation[0, 1] * ly + rotation[0, 2]
            dy = rotation[1, 0] * lx + rotation[1, 1] * ly + rotation[1, 2]
            dz = rotation[2, 0] * lx + rotation[2, 1] * ly + rotation[2, 2]
            nearest, hit, hit_u, hit_v, hit_facing = FAR, -1, 0.0, 0.0, 1.0
            for s in range(count):
                facing = dx * normal[s, 0] + dy * normal[s, 1] + dz * normal[s, 2]
                if facing > -1e-6:
                    continue
                t = reach[s] / facing
                if t <= 0.05 or t >= nearest:
                    continue
                u = u0[s] + t * (dx * planes.u[s, 0] + dy * planes.u[s, 1] + dz * planes.u[s, 2])
                v = v0[s] + t * (dx * planes.v[s, 0] + dy * planes.v[s, 1] + dz * planes.v[s, 2])
                if u < limits[s, 0] or u > limits[s, 1] or v < limits[s, 2] or v > limits[s, 3]:
                    continue
                nearest, hit, hit_u, hit_v, hit_facing = t, s, u, v, facing
            depth[y, x] = nearest
            if hit < 0:
                up = min(max(dz / math.sqrt(dx * dx + dy * dy + dz * dz), 0.0) * 1.6, 1.0)
                for k in range(3):
                    image[y, x, k] = sky[0, k] * (1 - up) + sky[1, k] * up
                continue
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            footprint = nearest * length / focal * math.sqrt(length / -hit_facing) / planes.texel[hit]
            level = min(max(int(math.log2(max(footprint, 1.0)) + 0.4), 0), planes.levels.shape[1] - 1)
            texture_at(planes.texels, planes.levels[hit, level, 0], planes.levels[hit, level, 1], hit_u, hit_v, colour)
            wx, wy, wz = position[0] + nearest * dx, position[1] + nearest * dy, position[2] + nearest * dz
            nx, ny, nz = normal[hit, 0], normal[hit, 1], normal[hit, 2]
            red = green = blue = 1.0
            if planes.lit[hit] > 0:
                up = 0.5 + 0.5 * nz
                red = ambient[0, 0] * up + ambient[1, 0] * (1 - up)
                green = ambient[0, 1] * up + ambient[1, 1] * (1 - up)
                blue = ambient[0, 2] * up + ambient[1, 2] * (1 - up)
                for q in range(len(lights)):
                    wrap = lights[q, 6]
                    share = (nx * lights[q, 0] + ny * lights[q, 1] + nz * lights[q, 2] + wrap) / (1 + wrap)
                    if share > 0:
                        if q == 0:
                            share *= shadow_at(lighting, wx, wy, wz, 0.02)
                        red += share * lights[q, 3]
                        green += share * lights[q, 4]
                        blue += share * lights[q, 5]
                dark = 1.0
                if nz > 0.9:
                    dark = 0.85 + 0.3 * noise_at(noise, wx * 0.11, wy * 0.11, 0.0, 3)  # large stains break the repeats
                    i, j = (
                        int((wy - contact_frame[1]) * contact_frame[2]),
                        int((wx - contact_frame[0]) * contact_frame[2]),
                    )
                    if 0 <= i < contact.shape[0] and 0 <= j < contact.shape[1]:
                        dark *= 1 - contact[i, j]
                red, green, blue = red * dark, green * dark, blue * dark
            image[y, x, 0] = (colour[0] * planes.tint[hit, 0]) ** 2 * blue
            image[y, x, 1] = (colour[1] * planes.tint[hit, 1]) ** 2 * green
            image[y, x, 2] = (colour[2] * planes.tint[hit, 2]) ** 2 * red


def _square_crop(image: np.ndarray, rng: np.random.Generator, side: int, least: float = 0.5) -> np.ndarray:
    """A random square of a photograph, perhaps mirrored, side x side px."""
    h, w = image.shape[:2]
    size = int(min(h, w) * rng.uniform(least, 1))
    y, x = rng.integers(0, h - size + 1), rng.integers(0, w - size + 1)
    crop = image[y : y + size, x : x + size]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if size > side else cv2.INTER_LINEAR)


def _paint(canvas: np.ndarray, image, x0: float, y0: float, x1: float, y1: float) -> None:
    """Put a colour or an image into a rectangle of a canvas; corners as shares 0..1, y down."""
    h, w = canvas.shape[:2]
    top, bottom = max(int(y0 * h), 0), min(int(y1 * h), h)
    left, right = max(int(x0 * w), 0), min(int(x1 * w), w)
    if bottom - top < 2 or right - left < 2:
        return
    if image.ndim == 1:
        canvas[top:bottom, left:right] = image
    else:
        canvas[top:bottom, left:right] = cv2.resize(image, (right - left, bottom - top), interpolation=cv2.INTER_AREA)


def _in_view(camera: Camera, start: np.ndarray, along: np.ndarray, height: float) -> bool:
    """Whether any of a grid of points on a wall (from `start`, `along` it and up to `height`) is in the picture."""
    share = np.linspace(0, 1, 9)
    points = start + share[:, None, None] * along + share[None, :, None] * np.array([0, 0, height])
    return bool(camera.sees(points, margin=1.2).any())


class BackdropMaker:
    """Draws backdrops from tiles (see `surfaces.make_tiles`) and photographs."""

    def __init__(self, tiles: dict[str, list[np.ndarray]], photographs: list[np.ndarray], names: list[str]):
        self.tiles, self.photographs, self.names = tiles, photographs, names
        scenic = [n.startswith(("caltech_BACKGROUND", "intel", "wallpaper")) for n in names] or [True] * len(
            photographs
        )
        self._scenic = np.flatnonzero(scenic)

    def photograph(self, rng: np.random.Generator, side: int, least: float = 0.5) -> np.ndarray:
        """A square crop of a photograph; places are drawn oftener than things."""
        if len(self._scenic) and rng.random() < 0.4:
            index = rng.choice(self._scenic)
        else:
            index = rng.integers(len(self.photographs))
        return _square_crop(self.photographs[index], rng, side, least)

    def tile(self, rng: np.random.Generator, kind: str, strength: float = 0.25) -> np.ndarray:
        tiles = self.tiles[kind]
        return recolour(tiles[rng.integers(len(tiles))], rng, 0.12 if kind == "wood" else strength)

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
        floor = self.tile(rng, "wood") if rng.random() < 0.5 else self.tile(rng, "floor")
        size = rng.uniform(0.7, 2.2)
        backdrop.add(floor, (0, 0, 0), along, across, size, size)
        ceiling = np.full((32, 32, 3), rng.uniform(180, 245), np.uint8)
        backdrop.add(ceiling, (0, 0, height), across, along, 1, 1)
        paint = self.tile(rng, "wall", 0.3)
        for axis, other, low, high, at, inward in (
            (along, across, left, right, back, -1),
            (along, across, left, right, front, 1),
            (across, along, front, back, left, 1),
            (across, along, front, back, right, -1),
        ):
            width = high - low
            u_axis = -axis * inward if other is across else axis * inward
            start = axis * (low if u_axis @ axis > 0 else high) + other * at
            canvas = self._wall(rng, paint, width, height) if _in_view(camera, start, u_axis * width, height) else paint
            backdrop.add(canvas, start, u_axis, (0, 0, 1.0), width, height, limits=(0, 1, 0, 1))

    def _wall(self, rng, paint: np.ndarray, width: float, height: float) -> np.ndarray:
        """A wall with a skirting board and pictures, windows, doors or shelves, 512 px square over its whole area."""
        side = 512
        repeats = max(1, round(width / 2.0)), max(1, round(height / 2.0))
        canvas = cv2.resize(np.tile(paint, (repeats[1], repeats[0], 1)), (side, side), interpolation=cv2.INTER_AREA)
        trim = (rng.uniform(20, 240) * np.ones(3)).astype(np.uint8)
        _paint(canvas, trim, 0, 1 - rng.uniform(0.03, 0.06), 1, 1)
        for _ in range(rng.integers(0, 4)):
            what, x, w = rng.random(), rng.uniform(0, 0.9), rng.uniform(0.5, 2.2) / width
            if what < 0.3:  # a door
                w = rng.uniform(0.8, 1.1) / width
                _paint(canvas, trim, x - 0.01, 1 - 2.15 / height, x + w + 0.01, 1)
                _paint(
                    canvas,
                    self.tile(rng, "wood") if rng.random() < 0.6 else 255 * cloth_colour(rng),
                    x,
                    1 - 2.1 / height,
                    x + w,
                    1,
                )
            elif what < 0.55:  # a window, bright
                y = rng.uniform(0.1, 0.4)
                bright = cv2.convertScaleAbs(self.photograph(rng, 128), alpha=0.6, beta=100)
                _paint(canvas, trim, x - 0.015, y - 0.02, x + w + 0.015, y + 0.45)
                _paint(canvas, bright, x, y, x + w, y + 0.43)
                _paint(canvas, trim, x + w / 2 - 0.005, y, x + w / 2 + 0.005, y + 0.43)
            elif what < 0.85:  # a picture or screen
                y, h = rng.uniform(0.2, 0.5), rng.uniform(0.3, 1.2) / height
                _paint(
                    canvas,
                    (rng.uniform(0, 255, 3) * 0.5).astype(np.uint8),
                    x - 0.008,
                    y - 0.012,
                    x + w + 0.008,
                    y + h + 0.012,
                )
                _paint(canvas, self.photograph(rng, 128), x, y, x + w, y + h)
            else:  # shelves
                y = rng.uniform(0.2, 0.6)
                shelf = self.tile(rng, "wood")
                for k in range(rng.integers(1, 4)):
                    _paint(canvas, shelf, x, y + 0.13 * k, x + w, y + 0.13 * k + 0.018)
                    for _ in range(rng.integers(0, 6)):
                        at = x + rng.uniform(0, 0.9) * w
                        _paint(
                            canvas,
                            255 * cloth_colour(rng),
                            at,
                            y + 0.13 * k - rng.uniform(0.03, 0.1),
                            at + 0.02,
                            y + 0.13 * k,
                        )
        return canvas

    def _outdoors(self, backdrop: Backdrop, rng, camera: Camera, people: np.ndarray) -> None:
        """Ground to the horizon, perhaps with a path, in front of a photograph, facades or the sky."""
        size = rng.uniform(0.8, 3.0)
        yaw = rng.uniform(0, math.pi)
        along, across = np.array([math.cos(yaw), math.sin(yaw), 0]), np.array([-math.sin(yaw), math.cos(yaw), 0])
        backdrop.add(self.tile(rng, "ground", 0.15), (0, 0, 0), along, across, size, size)
        if rng.random() < 0.35:
            turn = rng.normal(0, 0.5)
            u, v = np.array([math.cos(turn), math.sin(turn), 0]), np.array([-math.sin(turn), math.cos(turn), 0])
            width, at = rng.uniform(1.0, 4), people[rng.integers(len(people))] if len(people) else np.zeros(2)
            backdrop.add(
                self.tile(rng, "ground", 0.15), (*at, 0.001), u, v, 1.5, 1.5, limits=(-1e9, 1e9, -width, width)
            )
        horizon = rng.uniform(0.35, 0.95, 3) ** 2 * rng.uniform(0.6, 1.2)
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
            image = self.photograph(rng, 512)
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
            backdrop.mean = ((image / 255.0) ** 2).mean((0, 1))
        elif kind < 0.85:  # facades
            for k in range(rng.integers(1, 4)):
                turn = rng.normal(0, 0.5) if k else rng.normal(0, 0.2)
                u = -left * math.cos(turn) + ahead * math.sin(turn)
                width, height = rng.uniform(6, 20), rng.uniform(3, 12)
                start = middle + left * rng.normal(0, 5 * k) - u * width / 2 + ahead * rng.uniform(0, 3) * k
                backdrop.add(
                    self._facade(rng, width, height), start, u, (0, 0, 1.0), width, height, limits=(0, 1, 0, 1)
                )

    def _facade(self, rng, width: float, height: float) -> np.ndarray:
        canvas = cv2.resize(np.tile(self.tile(rng, "wall", 0.4), (3, 3, 1)), (512, 512), interpolation=cv2.INTER_AREA)
        rows, columns = max(1, round(height / 3)), max(1, round(width / rng.uniform(1.5, 3.5)))
        glass = self.photograph(rng, 128) if rng.random() < 0.5 else (rng.uniform(10, 120, 3)).astype(np.uint8)
        frame = rng.uniform(30, 240, 3).astype(np.uint8)
        for r in range(rows):
            for c in range(columns):
                x, y = (c + 0.25) / columns, (r + 0.2) / rows
                _paint(canvas, frame, x - 0.08 / columns, y - 0.06 / rows, x + 0.58 / columns, y + 0.56 / rows)
                _paint(canvas, glass, x, y, x + 0.5 / columns, y + 0.5 / rows)
        return canvas

    def _flat(self, backdrop: Backdrop, rng, camera: Camera, people: np.ndarray) -> None:
        """One picture that fills the view: a photograph, or blurred or hard-edged patches of colour."""
        if backdrop.kind == "photograph":
            image = self.photograph(rng, 512, least=0.6)
        else:
            patches = rng.integers(0, 255, (*rng.integers(2, 9, 2), 3)).astype(np.uint8)
            way = cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_NEAREST
            image = cv2.resize(patches, (512, 512), interpolation=way)
        forward = camera.rotation[:, 2]
        distance = 3 + 2 * max([np.linalg.norm(p - camera.position[:2]) for p in people], default=4.0)
        size = max(camera.aspect, 1) * distance / camera.focal * rng.uniform(1.02, 1.25)
        right, down = camera.rotation[:, 0], camera.rotation[:, 1]
        corner = camera.position + forward * distance - right * size / 2 + down * size / 2
        backdrop.add(image, corner, right, -down, size, size, lit=False)
        backdrop.mean = ((image / 255.0) ** 2).mean((0, 1))

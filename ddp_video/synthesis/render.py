"""One frame of a scene: geometry put together, rasterised, labelled, shaded and developed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.flow import View, displacement
from ddp_video.synthesis.labels import keypoint_labels, label_pixels
from ddp_video.synthesis.lamps import Lighting
from ddp_video.synthesis.materials import COLUMNS, noise_volume
from ddp_video.synthesis.meshes import bounds, vertex_normals
from ddp_video.synthesis.planes import Planes, draw_planes
from ddp_video.synthesis.post import develop, grain, metered
from ddp_video.synthesis.raster import CULL_BACK, SUBSAMPLES, Textures, Triangles, covered_region, project, rasterize
from ddp_video.synthesis.scene import Scene
from ddp_video.synthesis.shade import Surface, shade_pixels
from ddp_video.synthesis.shutter import smear
from ddp_video.synthesis.textures import TextureBank

_SHADOW_SIDE = 512
_SHADOW_REACH = 2.0  # m
_CONTACT_SIDE = 192


@dataclass
class Frame:
    """image: uint8 RGB [H, W, 3]. person: [H, W] uint8, 0 = nobody. part: [H, W] uint8 chart 0..24 (0 where dense pose does
    not cover the person). uv: [H, W, 2] float32. depth: [H, W] float32 m. keypoints: [N, 17, 3] (x, y, visibility).
    """

    image: np.ndarray
    person: np.ndarray
    part: np.ndarray
    uv: np.ndarray
    depth: np.ndarray
    keypoints: np.ndarray

    def iuv(self) -> np.ndarray:
        """uint8 [H, W, 3]: I, 255 U, 255 V."""
        return np.dstack([self.part, np.rint(255 * self.uv).astype(np.uint8)])


@dataclass
class Stage:
    """What does not change over a shot: all meshes in one, vertices of actors and things from start[k] on, and the backdrop;
    and the exposure, metered on its first frame."""

    triangles: Triangles
    textures: Textures
    canonical: np.ndarray
    part_weights: np.ndarray
    part: np.ndarray
    dense: np.ndarray
    materials: np.ndarray
    start: np.ndarray
    planes: Planes
    exposure: float | None = None


class Renderer:
    """Renders scenes at `size` (height, width) px."""

    def __init__(self, model: BodyModel, bank: TextureBank, size: tuple[int, int]):
        self.model, self.bank, self.size = model, bank, size
        self.noise, self.grain = noise_volume(), grain(*size)
        self._stains = np.ascontiguousarray(self.noise[:, :, 0, 3])
        height, width = size
        # buffers that every frame overwrites
        self._zbuffer = np.empty((height * SUBSAMPLES, width * SUBSAMPLES), np.float32)
        self._ids = np.empty(self._zbuffer.shape, np.int32)
        self._shadow_map = np.empty((_SHADOW_SIDE, _SHADOW_SIDE), np.float32)
        self._shadow_ids = np.empty(self._shadow_map.shape, np.int32)

    def stage(self, scene: Scene) -> Stage:
        """Put the meshes of a scene together; texture reductions follow each person's distance at first."""
        focal = scene.camera.focal * self.size[0]
        arrays = {n: [] for n in ("faces", "flags", "uv", "material", "person", "canonical", "parts", "part", "dense")}
        rows, table, start = [], [], [0]

        def add(count, faces, flags, uv, material, number, canonical, parts, part, dense) -> None:
            arrays["faces"].append(faces + np.int32(start[-1]))
            arrays["flags"].append(np.broadcast_to(np.int32(flags), len(faces)))
            arrays["uv"].append(uv)
            arrays["material"].append(np.broadcast_to(material, len(faces)))
            arrays["person"].append(np.broadcast_to(np.uint8(number), len(faces)))
            arrays["canonical"].append(canonical)
            arrays["parts"].append(parts)
            arrays["part"].append(part)
            arrays["dense"].append(dense)
            start.append(start[-1] + count)

        for number, actor in enumerate(scene.actors, 1):
            p = actor.person
            away = max(0.5, np.linalg.norm([*actor.place, 1] - scene.camera.position))
            texels_per_pixel = self.bank.levels[p.texture[0]][0][1] / 1.8 * away / focal
            add(
                len(p.rest), p.faces, p.flags, p.corner_uv, p.material + np.int32(len(rows)),
                number * p.own.astype(np.uint8), p.canonical, p.part_weights, p.part, p.dense,
            )  # fmt: skip
            rows += list(p.materials)
            table += [self.bank.level(t, texels_per_pixel) for t in p.texture]
        for prop in scene.props:
            away = max(0.5, np.linalg.norm(prop.vertices.mean(0) - scene.camera.position))
            count = len(prop.vertices)
            none = np.zeros((count, 14), np.float32), np.zeros(count, np.uint8), np.zeros(count, np.float32)
            add(count, prop.faces, CULL_BACK, prop.corner_uv, np.int32(len(rows)), 0, prop.local, *none)
            rows.append(prop.row)
            table.append(self.bank.level(prop.texture, 256 * away / focal))
        if not arrays["faces"]:  # nothing at all to draw
            empty = np.zeros((0, 3), np.float32)
            add(0, np.zeros((0, 3), np.int32), 0, np.zeros((0, 3, 2), np.float32), np.int32(0), 0, empty,
                np.zeros((0, 14), np.float32), np.zeros(0, np.uint8), np.zeros(0, np.float32))  # fmt: skip
            rows.append(np.zeros(COLUMNS, np.float32))
            table.append((0, 32))
        joined = {name: np.concatenate(parts) for name, parts in arrays.items()}
        return Stage(
            Triangles(
                joined["faces"], joined["flags"], joined["uv"], joined["material"].astype(np.int32), joined["person"]
            ),
            Textures(self.bank.texels, np.array(table, np.int64)),
            joined["canonical"],
            joined["parts"],
            joined["part"],
            joined["dense"],
            np.stack(rows),
            np.array(start),
            scene.backdrop.planes(),
        )

    def vertices(self, scene: Scene, frame: int) -> np.ndarray:
        """[n, 3] all vertices of a scene in the world."""
        parts = [a.vertices(frame, self.model) for a in scene.actors] + [p.vertices for p in scene.props]
        return np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)

    def _lighting(self, scene: Scene, stage: Stage, vertices: np.ndarray) -> Lighting:
        shadow_map, to_shadow, bias = np.zeros((1, 1), np.float32), np.zeros((3, 4)), 0.025
        strength = scene.shadow if len(vertices) else 0.0
        if strength:
            light = scene.lights[0, :3].astype(np.float64)
            right = np.cross(light, [0, 0, 1.0])
            right /= np.linalg.norm(right)
            basis = np.stack([right, np.cross(right, light), light])
            seen = vertices @ basis.T.astype(np.float32)
            low, high = bounds(seen)
            if scene.actors:  # sharp around people; what stands far from them casts no shadow
                nearest, farthest = bounds(seen[: stage.start[len(scene.actors)]])
                low[:2] = np.maximum(low, nearest - _SHADOW_REACH)[:2]
                high[:2] = np.minimum(high, farthest + _SHADOW_REACH)[:2]
            scale = _SHADOW_SIDE / max(high[0] - low[0], high[1] - low[1], 1e-3)
            seen = (seen - low) * np.array([scale, scale, 1], np.float32) + np.array([0, 0, 1], np.float32)
            shadow_map = self._shadow_map
            shadow_map[:] = 0
            both_sides = stage.triangles._replace(flags=stage.triangles.flags & ~CULL_BACK & 3)
            rasterize(seen, both_sides, stage.textures, shadow_map, self._shadow_ids)
            to_shadow[:2, :3], to_shadow[2, :3] = basis[:2] * scale, basis[2]
            to_shadow[:2, 3], to_shadow[2, 3] = -low[:2] * scale, 1 - low[2]
            bias = max(bias, 1.5 / float(scale))
        return Lighting(
            scene.lights, scene.ambient, shadow_map, to_shadow, bias, float(strength), self._stains, scene.dapple
        )

    def _contact(self, scene: Scene, stage: Stage, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Soft darkness of the ground under what is close to it and to people: [R, R], and (x0, y0, cells a metre)."""
        low = vertices[::3]
        low = low[low[:, 2] < 0.3]
        if not len(low):
            return np.zeros((1, 1), np.float32), np.array([0, 0, 1.0])
        corner, top = low[:, :2].min(0) - 0.6, low[:, :2].max(0) + 0.6
        people = vertices[: stage.start[len(scene.actors)] : 5, :2]
        if len(people):
            corner = np.maximum(corner, people.min(0) - _SHADOW_REACH)
            top = np.minimum(top, people.max(0) + _SHADOW_REACH)
            low = low[((low[:, :2] > corner) & (low[:, :2] < top)).all(1)]
        cells = min(_CONTACT_SIDE / (top - corner).max(), 40.0)
        at = ((low[:, :2] - corner) * cells).astype(int)
        grid = np.zeros((_CONTACT_SIDE, _CONTACT_SIDE), np.float32)
        np.maximum.at(grid, (at[:, 1], at[:, 0]), 1 - low[:, 2] / 0.3)
        near = cv2.GaussianBlur(cv2.dilate(grid, np.ones((3, 3))), (0, 0), max(0.04 * cells, 0.6))
        wide = cv2.GaussianBlur(near, (0, 0), max(0.18 * cells, 0.8))
        return np.minimum(0.55 * near + 0.8 * wide, 0.75), np.array([*corner, cells])

    def render(self, scene: Scene, stage: Stage, rng: np.random.Generator, frame: int = 0) -> tuple[Frame, View]:
        """Render one frame; rng draws the grain only."""
        (height, width), n = self.size, SUBSAMPLES
        camera: Camera = scene.camera.at(frame)
        vertices = self.vertices(scene, frame)
        focal, middle = camera.focal * height, (width * n / 2, height * n / 2)
        points = project(vertices, camera.rotation, camera.position, focal * n, middle)
        normals = np.empty_like(vertices)
        vertex_normals(vertices, stage.triangles.faces, normals)
        zbuffer, ids = self._zbuffer, self._ids
        zbuffer[:], ids[:] = 0, -1
        rasterize(points, stage.triangles, stage.textures, zbuffer, ids)

        lighting = self._lighting(scene, stage, vertices)
        contact, contact_frame = self._contact(scene, stage, vertices)
        region = covered_region(points, self.size)
        light, depth = np.empty((height, width, 3), np.float32), np.empty((height, width), np.float32)
        draw_planes(
            stage.planes, scene.backdrop.sky, lighting, contact, contact_frame,
            camera.rotation, camera.position, focal, ids, scene.defocus > 0, light, depth,
        )  # fmt: skip
        if scene.defocus:
            light = cv2.GaussianBlur(light, (0, 0), scene.defocus * height / 384)
        surface = Surface(normals, stage.canonical, stage.part_weights, stage.part, stage.materials, self.noise)
        shade_pixels(
            ids, zbuffer, region, points, stage.triangles, stage.textures, surface, lighting, self.model.charts,
            camera.rotation, camera.position, focal * n, middle, light,
        )  # fmt: skip

        person, part = np.zeros((2, height, width), np.uint8)
        uv = np.zeros((height, width, 2), np.float32)
        label_pixels(
            ids, region, points, stage.triangles, surface, stage.dense, self.model.charts, person, part, uv, depth
        )
        keypoints = self._keypoints(scene, camera, vertices, stage, person, depth)
        points[:, :2] /= n
        view = View(camera, ids[n // 2 :: n, n // 2 :: n].copy(), points, depth)
        if scene.look.shutter:
            light = smear(light, depth, scene.look.shutter * self._motion(scene, stage, view, frame))
        if stage.exposure is None:
            stage.exposure = metered(light)
        light *= np.float32(stage.exposure)
        image = develop(light, scene.look, self.grain, rng)
        return Frame(image[..., ::-1], person, part, uv, depth, keypoints), view

    def _motion(self, scene: Scene, stage: Stage, view: View, frame: int) -> np.ndarray:
        """[H, W, 2] px that each pixel's point moves until the next frame."""
        height, width = self.size
        later = scene.camera.at(frame + 1)
        vertices = self.vertices(scene, frame + 1)
        points = project(vertices, later.rotation, later.position, later.focal * height, (width / 2, height / 2))
        return displacement(view, later, points, stage.triangles.faces)[0]

    def _keypoints(self, scene: Scene, camera: Camera, vertices, stage: Stage, person, depth) -> np.ndarray:
        height, width = self.size
        out = np.zeros((len(scene.actors), 17, 3), np.float32)
        for i, actor in enumerate(scene.actors):
            own = vertices[stage.start[i] :]
            joints = np.stack([w @ own[v] for v, w in self.model.keypoints]).astype(np.float32)
            seen = project(joints, camera.rotation, camera.position, camera.focal * height, (width / 2, height / 2))
            out[i] = keypoint_labels(seen, i + 1, actor.person.height, person, depth)
        return out

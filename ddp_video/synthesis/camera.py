"""A pinhole camera that may move, and what its motion does to still things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ddp_video.synthesis.rotation import from_vector


@dataclass(frozen=True)
class Camera:
    """focal: in image sides. position: [3] m. rotation: [3, 3], its columns right, down, forward in the world.

    velocity: [3] m a frame. spin: [3] rotation vector a frame, in the camera's axes.
    """

    focal: float
    position: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray

    def at(self, frame: float) -> Camera:
        """The camera some frames later."""
        return Camera(
            self.focal,
            self.position + frame * self.velocity,
            self.rotation @ from_vector(frame * self.spin),
            self.velocity,
            self.spin,
        )

    @classmethod
    def looking(cls, position: np.ndarray, target: np.ndarray, roll: float, focal: float) -> Camera:
        """A still camera at a position, aimed at a target, turned about its axis by `roll` radians."""
        forward = (target - position) / np.linalg.norm(target - position)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        c, s = np.cos(roll), np.sin(roll)
        rotation = np.stack([right * c + down * s, down * c - right * s, forward], 1)
        return cls(focal, position, rotation, np.zeros(3), np.zeros(3))

    def ray(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """[..., 3] world directions through image points in sides from the centre, with forward component 1."""
        return np.stack([x / self.focal, y / self.focal, np.ones_like(x)], -1) @ self.rotation.T


@njit(cache=True, fastmath=True)
def still_flow(depth, size_focal, rotation, position, next_rotation, next_position, flow):
    """Where still points seen in one frame lie in another: flow [H, W, 2] px (dx, dy), in place.

    depth: [H, W] z in the first frame, m. size_focal: focal length in px.
    """
    centre = depth.shape[0] / 2
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            z = depth[y, x]
            lx, ly = (x + 0.5 - centre) / size_focal * z, (y + 0.5 - centre) / size_focal * z
            wx = rotation[0, 0] * lx + rotation[0, 1] * ly + rotation[0, 2] * z + position[0] - next_position[0]
            wy = rotation[1, 0] * lx + rotation[1, 1] * ly + rotation[1, 2] * z + position[1] - next_position[1]
            wz = rotation[2, 0] * lx + rotation[2, 1] * ly + rotation[2, 2] * z + position[2] - next_position[2]
            r = next_rotation
            nz = r[0, 2] * wx + r[1, 2] * wy + r[2, 2] * wz
            nz = max(nz, 1e-3)
            flow[y, x, 0] = (r[0, 0] * wx + r[1, 0] * wy + r[2, 0] * wz) / nz * size_focal + centre - x - 0.5
            flow[y, x, 1] = (r[0, 1] * wx + r[1, 1] * wy + r[2, 1] * wz) / nz * size_focal + centre - y - 0.5

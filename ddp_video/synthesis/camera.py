"""A pinhole camera that may move."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ddp_video.synthesis.rotation import from_vector


@dataclass(frozen=True)
class Camera:
    """focal: in image heights. position: [3] m. rotation: [3, 3], its columns right, down, forward in the world.

    velocity: [3] m a frame. spin: [3] rotation vector a frame, in the camera's axes. aspect: width / height of the image.
    """

    focal: float
    position: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray
    aspect: float = 1.0

    @property
    def view(self) -> np.ndarray:
        """[2] half the image's width and height at distance 1."""
        return np.array([0.5 * self.aspect, 0.5]) / self.focal

    def sees(self, points: np.ndarray, margin: float = 1.0) -> np.ndarray:
        """[...] whether world points [..., 3] lie in the image, or in one `margin` times as large."""
        local = (points - self.position) @ self.rotation
        return (local[..., 2] > 0.1) & (np.abs(local[..., :2]) < margin * self.view * local[..., 2:]).all(-1)

    def at(self, frame: float) -> Camera:
        """The camera some frames later."""
        return replace(
            self,
            position=self.position + frame * self.velocity,
            rotation=self.rotation @ from_vector(frame * self.spin),
        )

    @classmethod
    def looking(cls, position: np.ndarray, target: np.ndarray, roll: float, focal: float, aspect: float) -> Camera:
        """A still camera at a position, aimed at a target, turned about its axis by `roll` radians."""
        forward = (target - position) / np.linalg.norm(target - position)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        c, s = np.cos(roll), np.sin(roll)
        rotation = np.stack([right * c + down * s, down * c - right * s, forward], 1)
        return cls(focal, position, rotation, np.zeros(3), np.zeros(3), aspect)

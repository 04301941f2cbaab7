"""Who is who: people in colours that stay with their identity."""

from __future__ import annotations

import cv2
import numpy as np

from ddp_video.structures import DensePose

TINT = 0.55  # strength of the colour inside a person; outlines are opaque
GOLDEN = 0.61803398875  # turns of hue from one identity to the next: neighbouring numbers look different


def identity_colours(track_ids: np.ndarray) -> np.ndarray:
    """[N, 3] uint8 RGB, a function of the identity alone.

    Untracked people (-1) are coloured by their row, which may change from frame to frame.
    """
    identity = np.where(track_ids < 0, np.arange(len(track_ids)), track_ids)
    angle = 2 * np.pi * GOLDEN * identity
    lab = np.stack([48 + 9.0 * (2 * identity % 5), 52 * np.cos(angle), 52 * np.sin(angle)], axis=1)
    rgb = cv2.cvtColor(lab.astype(np.float32)[:, None], cv2.COLOR_Lab2RGB) if len(lab) else lab[:, None]
    return np.rint(255 * rgb[:, 0]).astype(np.uint8)


def instances(frame_rgb: np.ndarray | None, pose: DensePose, track_ids: np.ndarray) -> np.ndarray:
    """Tint and outline each person.

    Args:
        frame_rgb: [H, W, 3] uint8, or None for black.
        track_ids: [N] int, of the rows that `pose.instance` - 1 names.
    Returns:
        [H, W, 3] uint8 RGB.
    """
    owner = pose.instance.numpy()
    table = np.concatenate([np.zeros((1, 3), np.uint8), identity_colours(np.asarray(track_ids))])
    colour = table.take(owner, axis=0)
    if frame_rgb is None:
        frame_rgb = np.zeros_like(colour)
    row = owner.astype(np.uint16)  # what OpenCV's morphology takes
    core = (cv2.erode(row, np.ones((3, 3), np.uint8)) == row) & (cv2.dilate(row, np.ones((3, 3), np.uint8)) == row)
    opaque = np.where(owner == 0, 0, np.where(core, TINT, 1)).astype(np.float32)
    return cv2.blendLinear(colour, frame_rgb, opaque, 1 - opaque)

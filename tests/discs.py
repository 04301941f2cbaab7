"""Small videos that tests make, and a predictor that needs no training: bright discs are people."""

import os
import signal
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from ddp_video.charts import IUV_CHANNELS
from ddp_video.structures import FrameBatch, FramePrediction, Grid, Instances, SparseIUV
from ddp_video.video import VideoWriter


def moving_discs(frames: int, height: int = 64, width: int = 96, people: int = 2) -> list[np.ndarray]:
    """Discs on a textured ground, moving two pixels a frame: what `DiscPredictor` takes for people."""
    generator = np.random.default_rng(7)
    ground = cv2.resize(generator.integers(20, 110, (height // 4, width // 4, 3), np.uint8), (width, height))
    pictures = []
    for t in range(frames):
        picture = ground.copy()
        for k in range(people):
            centre = (20 + 45 * k + 2 * t) % width, height // 2 - 6 + 9 * k
            cv2.circle(picture, centre, 13, (255, 250 - 40 * k, 240), -1)
        pictures.append(picture)
    return pictures


def write_video(path, pictures, pts=None, time_base=Fraction(1, 600), rate=Fraction(25)):
    """FFV1, so that pixels are what was written. pts default to a variable rate around 25 fps."""
    pts = pts or [24 * t + 5 * (t % 3) for t in range(len(pictures))]
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, (height, width), time_base, rate, codec="ffv1") as writer:
        for picture, time in zip(pictures, pts, strict=True):
            writer.write(picture, time)
    return path


class DiscPredictor:
    """Every bright blob is a person, its charts a function of place. Noise on the logits depends on the frame only."""

    charts = "ddp-video"

    def describe(self) -> dict:
        return {"model": "discs"}

    def predict(self, frames: FrameBatch) -> list[FramePrediction]:
        return [self._one(frames, t) for t in range(len(frames))]

    def _one(self, frames: FrameBatch, t: int) -> FramePrediction:
        grid = Grid(frames.frame_size, frames.frame_size)
        rows, columns = grid.size
        red = frames.data[t, 0].numpy()
        small = cv2.resize(red, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((small > 180).astype(np.uint8))
        blobs = sorted(range(1, count), key=lambda k: -stats[k, cv2.CC_STAT_AREA])
        masks = torch.from_numpy(
            np.stack([np.where(labels == k, 6.0, -6.0) for k in blobs]) if blobs else np.zeros((0, rows, columns))
        ).float()
        boxes = [[4.0 * x, 4.0 * y, 4.0 * (x + w), 4.0 * (y + h)] for x, y, w, h, _ in (stats[k] for k in blobs)]
        instances = Instances(
            torch.tensor(boxes).view(-1, 4),
            torch.linspace(0.95, 0.5, len(blobs)),
            masks,
            masks - 0.5,
            torch.full((len(blobs),), -1),
        )
        covered = masks > 0
        sites = covered.any(0).nonzero() if blobs else torch.zeros(0, 2, dtype=torch.int64)
        owner = covered.to(torch.uint8).argmax(0)[covered.any(0)] if blobs else torch.zeros(0, dtype=torch.int64)
        seed = int(frames.data[t, :, ::5, ::5].sum())
        noise = torch.randn(len(sites), IUV_CHANNELS, generator=torch.Generator().manual_seed(seed)) * 0.3
        logits = noise + 0.5
        logits[:, 1] += 1.0 * (sites[:, 0] < rows // 2)
        logits[:, 2] += 1.0
        sites = torch.cat([torch.zeros(len(sites), 1, dtype=torch.int64), sites], 1).int()
        index = frames.first_index + t
        return FramePrediction(
            index, int(frames.pts[t]), float(frames.pts_seconds[t]), grid, instances, SparseIUV(sites, logits, owner)
        )


class DeadlyPredictor(DiscPredictor):
    """Kills its process the first time that any process comes to frame 20."""

    device = torch.device("cpu")

    def __init__(self, marker: Path):
        self.marker = marker

    def predict(self, frames: FrameBatch) -> list[FramePrediction]:
        if frames.first_index <= 20 < frames.first_index + len(frames) and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(frames)

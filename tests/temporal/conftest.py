"""Material for the tests of this room: moving textures, and predictions of known fields."""

import cv2
import numpy as np
import pytest
import torch

from ddp_video.structures import UNTRACKED, FramePrediction, Grid, Instances, SparseIUV


def _texture(height, width, seed=0):
    """[H, W, 3] uint8: coloured noise with detail at several scales, so that flow has something to hold on to."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((8, 60), (3, 40), (1, 15)):
        noise = rng.normal(size=(height // cells + 2, width // cells + 2, 3)).astype(np.float32)
        image += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def _prediction(grid, people=(), index=0, logits=None, track_ids=None, half=True):
    """A prediction of people = [(top, left, bottom, right) in cells]: masks of +-4, and logits [75, rows, columns] under them.

    The earlier of two overlapping people owns the sites. Without logits: I says chart 1 + row, U and V are ramps.
    """
    rows, columns = grid.size
    masks = torch.full((len(people), rows, columns), -4.0)
    owner = torch.full((rows, columns), -1, dtype=torch.int64)
    for row, (top, left, bottom, right) in reversed(list(enumerate(people))):
        masks[row, top:bottom, left:right] = 4.0
        owner[top:bottom, left:right] = row
    if logits is None:
        logits = torch.zeros(75, rows, columns)
        for row in range(len(people)):
            logits[1 + row][owner == row] = 5.0
        logits[25:50] = torch.linspace(0, 1, columns)
        logits[50:] = torch.linspace(0, 1, rows)[:, None]
    sites = (owner >= 0).nonzero()
    values = logits[:, sites[:, 0], sites[:, 1]].T.contiguous()
    if half:
        values = values.half().float()
    vertical, horizontal = grid.pixels_per_cell
    boxes = torch.tensor([(left, top, right, bottom) for top, left, bottom, right in people]).reshape(-1, 4).float()
    ids = torch.tensor(track_ids if track_ids is not None else [UNTRACKED] * len(people), dtype=torch.int64)
    return FramePrediction(
        index=index,
        pts=index * 512,
        pts_seconds=index / 25,
        grid=grid,
        instances=Instances(
            boxes * torch.tensor([horizontal, vertical, horizontal, vertical]),
            torch.linspace(0.9, 0.5, len(people)) if people else torch.zeros(0),
            masks,
            masks.clone(),
            ids,
        ),
        iuv=SparseIUV(torch.cat([torch.zeros(len(sites), 1), sites], 1).int(), values, owner[sites[:, 0], sites[:, 1]]),
    )


@pytest.fixture
def texture():
    return _texture


@pytest.fixture
def make_prediction():
    return _prediction


@pytest.fixture
def grid():
    return Grid(frame_size=(128, 160), input_size=(128, 160))

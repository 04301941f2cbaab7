"""Windows of enlarged maps against PyTorch's bilinear interpolation of whole ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ddp_video import rle
from ddp_video.interpolation import Window
from ddp_video.structures import STRIDE, Grid


def enlarged_by_torch(values: np.ndarray, grid: Grid) -> np.ndarray:
    """Whole frames whose sides are whole cells."""
    assert grid.input_size == tuple(n * STRIDE for n in grid.size)
    plane = torch.from_numpy(values)[None, None]
    return F.interpolate(plane, size=grid.frame_size, mode="bilinear", align_corners=False)[0, 0].numpy()


@pytest.mark.parametrize("frame_size", [(48, 64), (96, 128), (37, 51), (12, 200)])
def test_a_window_holds_all_that_is_positive_and_equals_torch(frame_size):
    grid = Grid(frame_size, (48, 64))
    rng = np.random.default_rng(0)
    for corner in ((0, 0), (5, 4), (9, 13)):
        values = -rng.uniform(0.1, 3, grid.size).astype(np.float32)
        values[corner[0] : corner[0] + 3, corner[1] : corner[1] + 3] = rng.uniform(0.1, 3)
        whole = enlarged_by_torch(values, grid)
        window = Window.around(values > 0, grid)
        np.testing.assert_allclose(window.enlarge(values, grid), whole[window.pixels], atol=1e-5)
        outside = whole.copy()
        outside[window.pixels] = -1
        assert (outside <= 0).all()


def test_nothing_positive_has_no_window():
    grid = Grid((48, 64), (48, 64))
    assert Window.around(np.zeros(grid.size, bool), grid) is None


def test_a_cell_that_no_pixel_of_a_tiny_frame_reads():
    grid = Grid((2, 2), (48, 64))
    positive = np.zeros(grid.size, bool)
    positive[0, 0] = True
    mask = Window.around(positive, grid).enlarge(np.where(positive, 1, -1).astype(np.float32), grid) > 0
    assert mask.size == 0
    np.testing.assert_array_equal(rle.encode(mask, grid.frame_size), [4])

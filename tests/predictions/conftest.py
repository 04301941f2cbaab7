"""Predictions that look like a network's: blobs of people, sites under them, arbitrary logits."""

import pytest
import torch

from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV

GRID = Grid((90, 130), (96, 139))  # 24 x 35 cells, none of them square


@pytest.fixture
def predict():
    """predict(index, people) makes one frame's prediction, another for every index."""

    def make(index: int, people: int | None = None, grid: Grid = GRID) -> FramePrediction:
        random = torch.Generator().manual_seed(index)
        count = index % 4 if people is None else people
        rows, columns = grid.size
        centre = torch.rand(count, 2, 1, 1, generator=random) * torch.tensor([rows, columns]).view(2, 1, 1)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        distance = ((y - centre[:, 0]) / 5).square() + ((x - centre[:, 1]) / 3).square()
        masks = 6 - 6 * distance + 0.2 * torch.randn(count, rows, columns, generator=random)
        active = (masks > 0).any(0)
        sites = torch.nn.functional.pad(active.nonzero(), (1, 0)).int()
        return FramePrediction(
            index=index,
            pts=1000 + 512 * index + index % 3,
            pts_seconds=(1000 + 512 * index + index % 3) / 15360,
            grid=grid,
            instances=Instances(
                boxes_xyxy=100 * torch.rand(count, 4, generator=random),
                scores=torch.rand(count, generator=random),
                mask_logits=masks,
                dense_mask_logits=masks - 1,
                track_id=torch.arange(count) - 1,
            ),
            iuv=SparseIUV(
                sites=sites,
                logits=3 * torch.randn(len(sites), 75, generator=random),
                owner=masks.argmax(0)[active] if count else torch.zeros(0, dtype=torch.int64),
            ),
        )

    return make


@pytest.fixture
def assert_same():
    """assert_same(a, b): two predictions are equal bit by bit, types included."""

    def check(a: FramePrediction, b: FramePrediction) -> None:
        assert (a.index, a.pts, a.pts_seconds, a.grid) == (b.index, b.pts, b.pts_seconds, b.grid)
        for one, other in ((a.instances, b.instances), (a.iuv, b.iuv)):
            for name, tensor in vars(one).items():
                assert getattr(other, name).dtype == tensor.dtype, name
                assert torch.equal(getattr(other, name), tensor), name

    return check

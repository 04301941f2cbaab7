"""Frames through a narrow DensePose R-CNN: what comes out can be stored, smoothed and decoded; and the pasting."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import MultiScaleRoIAlign

from ddp_video.decode import decode
from ddp_video.model.densepose_rcnn import DensePoseRCNN, DenseposeRCNNPredictor, RCNNConfig
from ddp_video.model.densepose_rcnn.boxes import as_rois, pool
from ddp_video.model.densepose_rcnn.heads import Charts
from ddp_video.model.densepose_rcnn.paste import OUTSIDE, paste
from ddp_video.structures import STRIDE, FrameBatch, Grid


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = RCNNConfig(fpn_channels=32, box_channels=16, head_channels=32, head_convs=2, coarse_channels=15)
    model = DensePoseRCNN(config).eval()
    with torch.no_grad():
        for layer in ("box_predictor.cls_score", "densepose_predictor.ann_index_lowres"):
            model.roi_heads.get_submodule(layer).weight.mul_(20)  # enough contrast to find somebody
    return model


def frames(count: int, height: int = 72, width: int = 100, first: int = 0) -> FrameBatch:
    rng = np.random.default_rng(3)
    data = torch.from_numpy(rng.integers(0, 256, (count, 3, height, width), dtype=np.uint8))
    pts = torch.arange(first, first + count) * 512
    return FrameBatch(data, pts, pts / 12800, first)


def test_predictions_are_well_formed(model):
    predictor = DenseposeRCNNPredictor(model, "cpu", "fp32", size=96)
    batch = frames(2, first=40)
    predictions = predictor.predict(batch)
    assert [p.index for p in predictions] == [40, 41]
    assert [p.pts for p in predictions] == batch.pts.tolist()
    for prediction in predictions:
        people, iuv = prediction.instances, prediction.iuv
        assert prediction.grid == Grid((72, 100), (96, 133))
        assert len(people) > 1
        assert (people.scores > 0.5).all()
        assert (people.scores.diff() <= 0).all()
        assert (people.boxes_xyxy >= 0).all()
        assert (people.boxes_xyxy <= torch.tensor([100, 72, 100, 72])).all()
        rows, columns = (people.mask_logits > 0).any(dim=0).nonzero(as_tuple=True)
        assert torch.equal(iuv.sites[:, 1:], torch.stack([rows, columns], dim=1).int())
        assert (people.mask_logits[iuv.owner, rows, columns] > 0).all()
        assert (people.dense_mask_logits <= people.mask_logits).all()
        dense_pose = decode(prediction)
        assert set(dense_pose.instance.unique().tolist()) <= set(range(len(people) + 1))
        assert dense_pose.part.any()


def test_batch_equals_single_frames(model):
    predictor = DenseposeRCNNPredictor(model, "cpu", "fp32", size=96)
    batch = frames(2)
    for one, together in zip(batch.singles(), predictor.predict(batch), strict=True):
        (alone,) = predictor.predict(one)
        assert torch.equal(alone.iuv.sites, together.iuv.sites)
        # Random weights find slivers, in which a rounding of the box moves the charts by much.
        torch.testing.assert_close(alone.iuv.logits, together.iuv.logits, atol=2e-3, rtol=0)
        torch.testing.assert_close(alone.instances.boxes_xyxy, together.instances.boxes_xyxy, atol=1e-3, rtol=0)


def test_nobody_is_an_ordinary_value(model):
    (prediction,) = DenseposeRCNNPredictor(model, "cpu", "fp32", size=96, score_threshold=0.9999999).predict(frames(1))
    assert len(prediction.instances) == len(prediction.iuv) == 0
    assert not decode(prediction).part.any()


def test_out_of_memory_halves_the_batch(model):
    predictor = DenseposeRCNNPredictor(model, "cpu", "fp32", size=96)
    sizes = []

    def short_of_memory(images, score_threshold):
        sizes.append(len(images))
        if len(images) > 1:
            raise torch.cuda.OutOfMemoryError("full")
        return model(images, score_threshold)

    predictor.model = short_of_memory
    assert [p.index for p in predictor.predict(frames(3))] == [0, 1, 2]
    assert sizes == [3, 1, 2, 1, 1]


def test_wrong_settings_are_refused(model):
    with pytest.raises(ValueError, match="precision"):
        DenseposeRCNNPredictor(model, precision="int8")
    with pytest.raises(ValueError, match="size"):
        DenseposeRCNNPredictor(model, size=8)
    with pytest.raises(ValueError, match="score threshold"):
        DenseposeRCNNPredictor(model, score_threshold=1.5)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((480, 640), (800, 1067)), ((1080, 1920), (750, 1333)), ((1280, 720), (1333, 750)), ((600, 600), (800, 800))],
)
def test_input_size_is_detectron2s(model, frame, expected):
    assert DenseposeRCNNPredictor(model, size=800).input_size(frame) == expected


def random_charts(people: int, cells: int) -> Charts:
    generator = torch.Generator().manual_seed(people)
    return Charts(*(torch.randn(people, channels, cells, cells, generator=generator) for channels in (15, 25, 25, 25)))


def test_pasting_equals_interpolation_to_the_box():
    """On a box whose borders are cells' borders, the grid's cells are those of an ordinary resize."""
    grid = Grid((160, 200), (160, 200))
    box = torch.tensor([[12.0, 20.0, 92.0, 140.0]])
    charts = random_charts(1, 28)
    masks, dense_masks, iuv = paste(box, torch.tensor([0.9]), charts, grid)
    size = (30, 20)
    coarse, fine, u, v = (
        F.interpolate(maps, size, mode="bilinear", align_corners=False)[0] for maps in vars(charts).values()
    )
    inside = (0, slice(5, 35), slice(3, 23))

    person = coarse.argmax(dim=0) > 0
    assert torch.equal(masks[inside] > 0, person)
    label = fine.argmax(dim=0) * person  # detectron2's rule
    assert torch.equal(dense_masks[inside] > 0, label > 0)
    outside = masks.clone()
    outside[inside] = OUTSIDE
    assert (outside == OUTSIDE).all()

    logits = iuv.dense(grid.size)[:, inside[1], inside[2]]
    torch.testing.assert_close(logits, torch.cat([fine, u, v]) * person)


def test_overlapping_people_share_the_grid_by_claim():
    grid = Grid((80, 80), (80, 80))
    boxes = torch.tensor([[0.0, 0.0, 80.0, 80.0], [40.0, 0.0, 80.0, 80.0]])
    scores = torch.tensor([0.9, 0.6])
    charts = random_charts(2, 8)
    masks, _, iuv = paste(boxes, scores, charts, grid)
    claims = (masks + scores.log()[:, None, None]).masked_fill(masks <= 0, -torch.inf)
    y, x = iuv.sites[:, 1:].long().T
    assert torch.equal(iuv.owner, claims[:, y, x].argmax(dim=0))
    assert set(iuv.owner.tolist()) == {0, 1}
    one, _, alone = paste(boxes[1:], scores[1:], Charts(*(maps[1:] for maps in vars(charts).values())), grid)
    assert torch.equal(one[0], masks[1])
    own = iuv.dense(grid.size)[:, y[iuv.owner == 1], x[iuv.owner == 1]]
    torch.testing.assert_close(own, alone.dense(grid.size)[:, y[iuv.owner == 1], x[iuv.owner == 1]])


def test_boxes_between_grid_cells_leave_no_sites():
    grid = Grid((40, 40), (40, 40))
    masks, _, iuv = paste(torch.tensor([[2.5, 2.5, 5.5, 5.5]]), torch.tensor([0.9]), random_charts(1, 8), grid)
    assert (masks == OUTSIDE).all()
    assert len(iuv) == 0


def test_pooling_equals_torchvisions():
    """Levels and samples, for boxes of all sizes."""
    generator = torch.Generator().manual_seed(0)
    pyramid = [torch.randn(2, 4, 512 // stride, 640 // stride, generator=generator) for stride in (4, 8, 16, 32)]
    sizes = torch.tensor([5.0, 60, 111, 113, 223, 225, 300, 447, 449, 500])
    corner = torch.rand(10, 2, generator=generator) * 12
    boxes = torch.cat([corner, corner + sizes[:, None] * torch.tensor([1.2, 1 / 1.2])], dim=1).clamp(max=510)
    reference = MultiScaleRoIAlign([str(level) for level in range(4)], 7, sampling_ratio=2)
    expected = reference({str(i): maps for i, maps in enumerate(pyramid)}, [boxes[:4], boxes[4:]], [(512, 640)] * 2)
    torch.testing.assert_close(pool(pyramid, as_rois([boxes[:4], boxes[4:]]), 7), expected)
    assert (boxes[:, 2] - boxes[:, 0]).max() > 16 * STRIDE

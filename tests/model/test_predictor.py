"""Frames in, predictions out, with random weights: sizes, batches, precisions, running out of memory."""

import threading
from dataclasses import replace

import pytest
import torch

from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.looks import Look, join_looks
from ddp_video.model.predictor import DDPPredictor
from ddp_video.structures import FrameBatch, FramePrediction, Grid, Instances, SparseIUV


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = DDP(CONFIGS["ddp_lite"]).eval()
    with torch.no_grad():
        model.instance_branch.class_logits.weight *= 100
        model.instance_branch.class_logits.bias.fill_(-1)
    return model


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def frames(count, height=70, width=110, seed=0):
    data = torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(seed))
    pts = torch.arange(count) * 512
    return FrameBatch(data.to(torch.uint8), pts, pts / 12800, first_index=7)


def assert_same(a, b):
    assert (a.index, a.pts, a.pts_seconds, a.grid) == (b.index, b.pts, b.pts_seconds, b.grid)
    torch.testing.assert_close(a.instances.boxes_xyxy, b.instances.boxes_xyxy, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(a.instances.scores, b.instances.scores, rtol=1e-4, atol=1e-5)
    assert torch.equal(a.iuv.sites, b.iuv.sites)
    assert torch.equal(a.iuv.owner, b.iuv.owner)
    torch.testing.assert_close(a.iuv.logits, b.iuv.logits, rtol=1e-3, atol=1e-3)


def test_batch_equals_single_frames(model):
    predictor = DDPPredictor(model, "cpu", "fp32")
    batch = frames(3)
    together = predictor.predict(batch)
    assert [p.index for p in together] == [7, 8, 9]
    for i, prediction in enumerate(together):
        assert len(prediction.instances) > 0
        assert len(prediction.iuv) > 0
        assert_same(predictor.predict(batch.singles()[i])[0], prediction)


def test_frames_side_by_side_equal_batches(model, two_threads):
    """Two batches at a time, not the whole clip; whoever stops listening leaves no threads, and torch as it was."""
    predictor = DDPPredictor(model, "cpu", "fp32")
    whole = frames(7)
    batches = [
        FrameBatch(whole.data[i : i + 2], whole.pts[i : i + 2], whole.pts_seconds[i : i + 2], 7 + i)
        for i in range(0, 7, 2)
    ]
    taken = []
    threads = threading.active_count()
    stream = predictor.predict_all(taken.append(batch) or batch for batch in batches)
    batch, predictions = next(stream)
    assert batch is batches[0] and len(taken) == 2
    for prediction, expected in zip(predictions, predictor.predict(batches[0]), strict=True):
        assert_same(prediction, expected)
    indices = [p.index for _, predictions in stream for p in predictions]
    assert indices == [9, 10, 11, 12, 13]
    next(stream := predictor.predict_all(iter(batches)))
    stream.close()
    assert threading.active_count() == threads and torch.get_num_threads() == 2


def test_sizes(model):
    """Boxes come in px of the frame and the grid covers no padding."""
    prediction = DDPPredictor(model, "cpu", "fp32", size=64).predict(frames(1, 130, 258))[0]
    assert prediction.grid.input_size == (64, 127)
    assert prediction.instances.mask_logits.shape[1:] == (16, 32)
    assert (prediction.iuv.sites.amax(0) < torch.tensor([1, 16, 32])).all()
    boxes = prediction.instances.boxes_xyxy
    assert (boxes >= 0).all()
    assert (boxes <= torch.tensor([258, 130, 258, 130])).all()
    assert (boxes[:, 2] > 127).any()


def test_small_frames_are_enlarged_within_reason(model):
    assert DDPPredictor(model, "cpu", "fp32").input_size((432, 768)) == (576, 1024)
    predictor = DDPPredictor(model, "cpu", "fp32", size=128)
    prediction = predictor.predict(frames(1, 64, 80))[0]
    assert prediction.grid.input_size == (128, 160)
    assert (prediction.instances.boxes_xyxy <= torch.tensor([80, 64, 80, 64])).all()
    assert predictor.input_size((1, 40)) == (4, 160)
    assert predictor.input_size((50, 400)) == (64, 512)
    assert predictor.input_size((50, 4000)) == (50, 4000)


def test_a_clip_is_looked_at_in_the_sizes_that_its_people_need_unless_one_is_asked_for(model, monkeypatch):
    heights = []

    def predict(self, frames):
        assert self.sizes == (576,) and self.score_threshold < 0.5  # small people score low
        boxes = torch.tensor([[0.0, 10, 20, 10 + height] for height in heights]).view(-1, 4)
        count, grid = len(heights), Grid(frames.frame_size, self.input_size(frames.frame_size))
        nothing = torch.zeros(count, *grid.size)
        people = Instances(boxes, torch.ones(count), nothing, nothing, torch.full((count,), -1))
        return [FramePrediction(0, 0, 0.0, grid, people, SparseIUV.empty())]

    monkeypatch.setattr(DDPPredictor, "predict", predict)
    predictor, clip = DDPPredictor(model, "cpu", "fp32"), frames(1, 288, 320)
    for heights[:], sizes in (
        ((), (576,)),
        ((88, 200), (576,)),  # px of 288
        ((60, 80), (864,)),
        ((0,), (864,)),
        ((200, 86), (576, 864)),
    ):
        fitted = predictor.for_clip(lambda: clip)
        assert fitted.describe()["sizes"] == list(sizes)
        assert fitted.describe()["size_by"] == ("model" if sizes == (576,) else "people")
        assert fitted.model is predictor.model and fitted.score_threshold == predictor.score_threshold
        assert fitted.input_size((288, 320)) == (sizes[0], sizes[0] * 10 // 9)
    tiny = frames(1, 100, 144)  # four times as large is the most
    assert predictor.for_clip(lambda: tiny) is predictor
    asked = DDPPredictor(model, "cpu", "fp32", size=64)
    assert asked.for_clip(lambda: pytest.fail("nothing depends on the frames")) is asked


def test_two_looks_are_those_of_two_predictors_joined(model):
    batch = frames(2)
    found = DDPPredictor(model, "cpu", "fp32").at_sizes((64, 96)).predict(batch)
    usual, larger = (DDPPredictor(model, "cpu", "fp32", size=size).predict(batch) for size in (64, 96))
    for prediction, *looks in zip(found, usual, larger, strict=True):
        joined = join_looks(*(Look(p.grid, p.instances, p.iuv) for p in looks))
        assert len(joined.iuv) > len(looks[0].iuv) // 2 > 0
        assert_same(prediction, replace(looks[0], instances=joined.instances, iuv=joined.iuv))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close(model, precision):
    exact = DDPPredictor(model, "cpu", "fp32", score_threshold=0).predict(frames(1))[0]
    half = DDPPredictor(model, "cpu", precision, score_threshold=0).predict(frames(1))[0]
    assert half.iuv.logits.dtype == half.instances.mask_logits.dtype == torch.float32
    best = (exact.instances.boxes_xyxy[:1] - half.instances.boxes_xyxy).abs().amax(1)
    assert float(best.min()) < 2


def test_nobody(model):
    prediction = DDPPredictor(model, "cpu", "fp32", score_threshold=1.0).predict(frames(2))[1]
    assert len(prediction.instances) == len(prediction.iuv) == 0
    assert prediction.instances.mask_logits.shape == (0, 70, 110)
    empty = FrameBatch(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0), torch.zeros(0))
    assert DDPPredictor(model, "cpu").predict(empty) == []


def test_out_of_memory_halves_the_batch(model, monkeypatch):
    predictor = DDPPredictor(model, "cpu", "fp32")
    expected = predictor.predict(frames(5))
    sizes, run_once = [], predictor._run_once

    def tight(data, grid):
        sizes.append(len(data))
        if len(data) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return run_once(data, grid)

    monkeypatch.setattr(predictor, "_run_once", tight)
    for a, b in zip(predictor.predict(frames(5)), expected, strict=True):
        assert_same(a, b)
    assert sizes == [5, 2, 3, 1, 2]


def test_frames_that_do_not_fit_side_by_side_go_one_after_the_other(model, two_threads, monkeypatch):
    predictor = DDPPredictor(model, "cpu", "fp32")
    expected = predictor.predict(frames(3))
    run_once = predictor._run_once

    def tight(data, grid):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return run_once(data, grid)

    monkeypatch.setattr(predictor, "_run_once", tight)
    ((_, found),) = predictor.predict_all(iter([frames(3)]))
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)


def test_other_failures_are_not_hidden(model, monkeypatch):
    predictor = DDPPredictor(model, "cpu", "fp32")

    def broken(data, grid):
        raise RuntimeError("something else")

    monkeypatch.setattr(predictor, "_run_once", broken)
    with pytest.raises(RuntimeError, match="something else"):
        predictor.predict(frames(2))


def test_the_model_is_left_as_it_was(model):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    DDPPredictor(model, "cpu", "bf16").predict(frames(1))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)


def test_describe_and_wrong_arguments(model):
    described = DDPPredictor(model, "cpu", "fp32", size=320, score_threshold=0.5).describe()
    assert described["sizes"] == [320]
    assert described["precision"] == "fp32"
    assert described["model"]["name"] == "ddp_lite"
    assert described["weights"] is None
    for wrong in (
        {"precision": "fp8"},
        {"size": 8},
        {"score_threshold": 2.0},
        {"device": "abacus"},
        {"sparse_backend": "magic"},
    ):
        with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
            DDPPredictor(model, **wrong)

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from ddp_video.errors import WeightsError
from ddp_video.structures import Grid
from ddp_video.temporal.flow import DISFlow, RAFTFlow, load_flow, to_grid
from ddp_video.temporal.raft import EncodedFrame, SharedRAFT

REAL_WEIGHTS = Path(__file__).parents[3] / "shared/flow/raft_small_torchvision.pth"


@pytest.fixture(scope="module")
def random_small(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "small.pth"
    torch.save(raft_small(weights=None).state_dict(), path)
    return path


@pytest.fixture
def moving(texture):
    """A function giving frames of a texture that moves by (4, 2) px a frame: the flow t -> t+1 is (4, 2)."""

    def make(count, height=128, width=160):
        scene = texture(height + 2 * count, width + 4 * count)
        return [
            np.ascontiguousarray(scene[2 * (count - i) :, 4 * (count - i) :][:height, :width]) for i in range(count)
        ]

    return make


def stock(model, frames, pairs):
    images = torch.stack([torch.from_numpy(f).permute(2, 0, 1).float() / 127.5 - 1 for f in frames])
    with torch.inference_mode():
        return model(images[[a for a, _ in pairs]], images[[b for _, b in pairs]])[-1]


PAIRS = [(0, 1), (1, 0), (0, 2), (2, 0)]


@pytest.mark.parametrize("build", [raft_small, raft_large])
def test_shared_raft_equals_torchvision_with_random_weights(build, moving):
    torch.manual_seed(0)
    model = build(weights=None).eval()
    for module in model.modules():  # so that batch norm's folding and all 12 updates are seen
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1), module.running_var.uniform_(0.5, 2)
    shared = SharedRAFT(model)
    frames = moving(3, 128, 136)
    expected = stock(model, frames, [(0, 2), (1, 0)])
    images = torch.stack([torch.from_numpy(f).permute(2, 0, 1).float() / 127.5 - 1 for f in frames])
    encoded = shared.encode(images)
    got = shared.match([encoded[0], encoded[1]], [encoded[2], encoded[0]])
    assert expected.abs().max() > 0.5
    assert (got - expected).abs().max() < 1e-5 * max(expected.abs().max(), 10)


@pytest.mark.parametrize("build", [raft_small, raft_large])
def test_correlations_are_torchvisions_wherever_the_flow_leads(build):
    """Far outside the frame too, where they are zero."""
    torch.manual_seed(1)
    model = build(weights=None).eval()
    shared = SharedRAFT(model)
    features = torch.randn(2, 1, shared.feature_encoder.output_dim, 16, 20)
    frames = [EncodedFrame(maps[0], torch.zeros(1), ()) for maps in features]
    flow = 30 * torch.randn(1, 2, 16, 20)
    model.corr_block.build_pyramid(*features)
    at = torch.stack(torch.meshgrid(torch.arange(20.0), torch.arange(16.0), indexing="xy"))[None]
    expected = model.corr_block.index_pyramid(centroids_coords=at + flow)
    found = shared._look_up(shared._correlate(frames[:1], frames[1:]), flow)
    assert (expected == 0).any() and (found - expected).abs().max() < 1e-4


@pytest.mark.skipif(not REAL_WEIGHTS.exists(), reason="needs ../shared/flow")
def test_shared_raft_equals_torchvision_with_real_weights(moving):
    frames = moving(3, 136, 160)
    model = raft_small(weights=None)
    model.load_state_dict(torch.load(REAL_WEIGHTS, weights_only=True))
    estimator = RAFTFlow(REAL_WEIGHTS, tolerance=0, precision="fp32")
    prepared = [estimator.prepare(frame) for frame in frames]
    got = estimator.flow([prepared[a] for a, _ in PAIRS], [prepared[b] for _, b in PAIRS])
    expected = stock(model.eval(), frames, PAIRS)
    assert (got - expected).abs().max() <= 1e-4
    assert torch.allclose(got[0].mean((1, 2)), torch.tensor([4.0, 2.0]), atol=0.5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("weights", [None, REAL_WEIGHTS], ids=["random", "real"])
def test_raft_in_half_precision_is_close(random_small, moving, precision, weights):
    if weights and not weights.exists():
        pytest.skip("needs ../shared/flow")
    exact, half = (RAFTFlow(weights or random_small, tolerance=0, precision=name) for name in ("fp32", precision))
    first, second = (exact.prepare(frame) for frame in moving(2, 136, 160))
    expected, got = exact.flow([first], [second]), half.flow([first], [second])
    assert got.dtype == torch.float32
    length, error = (flow.square().sum(1).sqrt().mean() for flow in (expected, got - expected))
    assert 0 < error < 0.02 * length


@pytest.mark.parametrize("size", [(40, 60), (130, 150), (128, 128), (200, 400)])
def test_raft_takes_any_size(random_small, size):
    estimator = RAFTFlow(random_small, short_side=144)
    prepared = estimator.prepare(np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8))
    flow = estimator.flow([prepared], [prepared])
    scale = min(144 / min(size), 1)
    assert flow.shape == (1, 2, round(size[0] * scale), round(size[1] * scale)) and flow.isfinite().all()


def test_raft_of_a_batch_equals_raft_of_single_pairs(random_small, moving):
    estimator = RAFTFlow(random_small, precision="fp32")
    a, b, c = (estimator.prepare(frame) for frame in moving(3))
    batch = estimator.flow([a, a], [b, c])
    assert torch.allclose(batch[:1], estimator.flow([a], [b]), atol=1e-4)
    assert torch.allclose(batch[1:], estimator.flow([a], [c]), atol=1e-4)


@pytest.mark.parametrize("size", [(128, 160), (97, 203), (400, 300)])
def test_dis_finds_the_motion_on_the_grid(moving, size):
    """In cells, at the middle of the picture, whatever the sizes of frame, flow and grid are."""
    frames = moving(2, *size)
    for input_size in (size, (size[0] // 2, size[1] // 2)):
        grid = Grid(size, input_size)
        estimator = DISFlow(short_side=120)
        a, b = (estimator.prepare(frame) for frame in frames)
        flow = estimator.pairs([a, b], [b, a], grid)
        assert flow.t_to_s.shape == (2, 2, *grid.size)
        vertical, horizontal = grid.pixels_per_cell
        expected = torch.tensor([4 / horizontal, 2 / vertical])
        middle = flow.t_to_s[:, :, 2:-2, 2:-2].flatten(2).median(2).values
        assert torch.allclose(middle[0], expected, atol=0.1) and torch.allclose(middle[1], -expected, atol=0.1)
        assert flow.valid[:, 2:-3, 2:-3].all()


def test_to_grid_reads_at_the_centres_of_cells():
    """A flow that is linear in the position comes out linear, with the right values at the cells' centres."""
    grid = Grid(frame_size=(90, 150), input_size=(60, 100))
    height, width = 45, 75  # px of the reduced frame
    x = (torch.arange(width) + 0.5) / width  # 0..1 over the frame
    flow = torch.stack([x.expand(height, width), torch.zeros(height, width)])[None] * width
    got = to_grid(flow, grid)
    cells = (torch.arange(25) + 0.5) / 25
    assert torch.allclose(got[0, 0, 7, 1:-1], cells[1:-1] * 25, atol=1e-4) and not got[0, 1].any()


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (7, 9), (16, 16), (20, 900), (900, 20)])
def test_dis_of_tiny_frames(size):
    frames = np.random.default_rng(0).integers(0, 255, (2, *size, 3)).astype(np.uint8)
    estimator = DISFlow()
    a, b = map(estimator.prepare, frames)
    flow = estimator.pairs([a], [b], Grid(size, size))
    assert flow.t_to_s.shape[2:] == Grid(size, size).size and flow.t_to_s.isfinite().all()


def test_still_frames_have_no_flow(texture):
    estimator = DISFlow()
    prepared = estimator.prepare(texture(128, 160))
    assert not estimator.flow([prepared], [prepared]).any()


def test_estimators_by_name(random_small, tmp_path, monkeypatch, caplog):
    assert isinstance(load_flow("dis"), DISFlow)
    assert load_flow("auto", random_small).describe().startswith("RAFT small at 360 px on cpu in ")
    with pytest.raises(ValueError, match="farneback"):
        load_flow("farneback")
    monkeypatch.setattr("ddp_video.temporal.flow._load_raft", _no_raft)
    assert isinstance(load_flow("auto"), DISFlow) and "DIS, because no RAFT" in caplog.text
    with pytest.raises(WeightsError):
        load_flow("raft")


def _no_raft(*_):
    raise WeightsError("no RAFT here")


def test_unusable_weights_are_told_in_one_line(tmp_path, random_small):
    text, other = tmp_path / "text.pth", tmp_path / "other.pth"
    text.write_text("hello")
    torch.save({"weight": torch.zeros(3)}, other)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(random_small.read_bytes()[:10000])
    for path in (text, other, cut, tmp_path / "missing.pth", tmp_path):
        with pytest.raises(WeightsError) as error:
            RAFTFlow(path)
        assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_raft_stops_early_only_below_the_tolerance(random_small, moving):
    exact, early = RAFTFlow(random_small, tolerance=0), RAFTFlow(random_small, tolerance=1e9)
    a, b = (exact.prepare(frame) for frame in moving(2))
    assert not torch.equal(exact.flow([a], [b]), early.flow([a], [b]))

"""Checkpoints: what is recognised, what is refused, and that reading one runs no code."""

import collections
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ddp_video.errors import WeightsError
from ddp_video.model.densepose_rcnn import DensePoseRCNN, RCNNConfig, convert, load
from ddp_video.model.densepose_rcnn.config import recognise

SMALL = RCNNConfig(
    fpn_channels=32, box_channels=8, head="deeplab", head_channels=32, head_convs=2, segmentation_confidence=True
)
PREDICTOR = "roi_heads.densepose_predictor."


def state(config: RCNNConfig, device: str = "meta") -> dict[str, torch.Tensor]:
    with torch.device(device):
        model = DensePoseRCNN(config)
    return {name: t for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A checkpoint in the form of the model zoo's: a pickle of numpy arrays, with some that are not needed."""
    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in state(SMALL, "cpu").items()}
    weights[PREDICTOR + "sigma_2_lowres.weight"] = np.zeros((32, 25, 4, 4), np.float32)
    weights["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
    weights["pixel_mean"] = np.zeros((3, 1, 1), np.float32)
    path = tmp_path_factory.mktemp("zoo") / "model_final_0ed407.pkl"
    with path.open("wb") as file:
        pickle.dump({"model": weights, "__author__": "detectron2", "iteration": np.float64(1)}, file)
    return path, weights


def test_pickle_of_arrays_loads(published):
    path, weights = published
    model = load(path)
    assert model.config == SMALL
    assert not model.training
    assert model.source["file"] == path.name
    name = "roi_heads.densepose_head.body_conv_fcn2.norm.weight"
    np.testing.assert_array_equal(model.state_dict()[name], weights[name])


def test_torch_checkpoint_loads_the_same(published, tmp_path):
    path, weights = published
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
    torch.save({"model": tensors, "optimizer": {"state": {}}, "iteration": 129999}, tmp_path / "model_final.pth")
    expected = load(path).state_dict()
    for name, tensor in load(tmp_path / "model_final.pth").state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_converted_checkpoint_loads_the_same(published, tmp_path):
    path, _ = published
    out = tmp_path / "dl.safetensors"
    assert convert(path, out) == SMALL
    with safe_open(out, "pt") as file:
        assert file.metadata() == {"model": "densepose-rcnn", "name": SMALL.name, "source": path.name}
        assert PREDICTOR + "sigma_2_lowres.weight" not in file.keys()  # noqa: SIM118
    expected = load(path).state_dict()
    for name, tensor in load(out).state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    with pytest.raises(ValueError, match="safetensors"):
        convert(path, tmp_path / "dl.pkl")


@pytest.mark.parametrize(
    "config",
    [
        RCNNConfig(),
        RCNNConfig(depth=101, head="deeplab"),
        RCNNConfig(depth=152, coarse_channels=15),
        RCNNConfig(decoder=False, coarse_channels=15),
        RCNNConfig(head="deeplab", segmentation_confidence=True),
        SMALL,
    ],
    ids=lambda config: config.name,
)
def test_configuration_is_recognised(config):
    assert recognise({name: tuple(tensor.shape) for name, tensor in state(config).items()}) == config


def refused(content: object, tmp_path) -> str:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError) as error:
        load(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def arrays(*names: str) -> dict:
    return {"model": {name: np.zeros(1, np.float32) for name in names}}


def test_relatives_are_refused_by_name(tmp_path):
    mask = arrays("backbone.fpn_output2.weight", "roi_heads.box_head.fc1.weight", "roi_heads.mask_head.deconv.weight")
    assert "mask head and no DensePose head" in refused(mask, tmp_path)
    assert "CSE" in refused(arrays(PREDICTOR + "embed_lowres.weight", "roi_heads.box_head.fc1.weight"), tmp_path)
    assert "HRNet" in refused(arrays("backbone.bottom_up.stage2.0.weight", PREDICTOR + "u_lowres.weight"), tmp_path)
    assert "Caffe2" in refused({"blobs": {"conv1_w": np.zeros(1)}}, tmp_path)
    assert "without a proper" in refused(arrays(PREDICTOR + "index_uv_lowres.weight"), tmp_path)
    assert "no DensePose R-CNN" in refused(arrays("fc.weight"), tmp_path)
    assert "no weights by name, but list" in refused([1, 2], tmp_path)
    assert "'fc.weight' is no array of numbers" in refused({"fc.weight": np.array(["a"])}, tmp_path)


def test_missing_unknown_and_misshapen_tensors_are_named(tmp_path):
    config = replace(SMALL, box_channels=1)
    weights = {name: np.zeros(tuple(tensor.shape), np.float32) for name, tensor in state(config).items()}
    del weights["backbone.fpn_lateral3.bias"]
    weights["roi_heads.densepose_head.NLBlock.theta.weight"] = np.zeros(1, np.float32)
    weights["roi_heads.box_predictor.bbox_pred.bias"] = np.zeros(8, np.float32)
    message = refused({"model": weights}, tmp_path)
    assert "1 tensors missing (backbone.fpn_lateral3.bias)" in message
    assert "1 tensors unknown (roi_heads.densepose_head.NLBlock.theta.weight)" in message
    assert "1 tensors of another shape (roi_heads.box_predictor.bbox_pred.bias)" in message


class Attack:
    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".bin"])
def test_no_code_is_run(tmp_path, suffix):
    trace = tmp_path / "trace"
    path = tmp_path / f"evil{suffix}"
    for attack in (Attack(os.mkdir, str(trace)), Attack(eval, f"open({str(trace)!r}, 'w')")):
        path.write_bytes(pickle.dumps({"model": {"a": attack}}))
        with pytest.raises(WeightsError, match=r"unsafe|cannot be read"):
            load(path)
        torch.save({"model": {"a": attack}}, path)
        with pytest.raises(WeightsError, match=r"unsafe|cannot be read") as error:
            load(path)
        assert "\n" not in str(error.value)
        assert not trace.exists()


def test_only_what_arrays_are_made_of_is_known(tmp_path):
    assert "collections.Counter" in refused({"model": collections.Counter("a")}, tmp_path)
    assert "unsafe" in refused({"model": {"a": np.memmap}}, tmp_path)


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".safetensors"])
def test_damaged_files_are_refused(published, tmp_path, suffix):
    whole = published[0].read_bytes()
    for damaged in (b"", b"\x00" * 64, b"not a checkpoint", whole[: len(whole) // 2], whole[1000:5000]):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(damaged)
        with pytest.raises(WeightsError) as error:
            load(path)
        assert "\n" not in str(error.value)
    with pytest.raises(WeightsError, match="does not exist"):
        load(tmp_path / f"nothing{suffix}")

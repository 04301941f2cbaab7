"""Weights files: what goes in comes out, and every bad file has its message."""

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from ddp_video.cli.weights import weights as weights_command
from ddp_video.errors import WeightsError
from ddp_video.model import weights as weights_module
from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.weights import find_weights, load_model, mean_weights, read_info, save_model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DDP(CONFIGS["ddp_lite"]).eval()


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return save_model(model, tmp_path_factory.mktemp("weights"), {"recipe": "none", "scores": {"ap": 0.5}})


def rewritten(path, folder, change_state=None, change_header=None):
    """A copy under a name without a hash, with other tensors or another header."""
    header = {"format": 1, "config": CONFIGS["ddp_lite"].to_dict(), "metadata": {}}
    state = load_file(path)
    if change_state:
        change_state(state)
    if change_header:
        change_header(header)
    copy = folder / "copy.safetensors"
    save_file(state, copy, {"ddp_video": json.dumps(header)})
    return copy


def test_round_trip_is_exact_in_float32(model, tmp_path):
    path = save_model(model, tmp_path, half=False)
    loaded = load_model(path)
    assert not loaded.training
    assert loaded.config == model.config
    assert loaded.weights.sha256.startswith(path.stem[-8:])
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_half_storage_loads_as_float32(model, path):
    loaded = load_model(path)
    for key, value in loaded.state_dict().items():
        original = model.state_dict()[key]
        assert value.dtype == original.dtype
        torch.testing.assert_close(value, original, rtol=1e-3, atol=1e-6)
    assert path.stat().st_size < 2.2 * sum(p.numel() for p in model.parameters())


def test_name_follows_content(model, path, tmp_path):
    assert save_model(model, tmp_path, {"recipe": "none", "scores": {"ap": 0.5}}).name == path.name
    assert save_model(model, tmp_path, {"recipe": "other"}).name != path.name
    assert not list(tmp_path.glob("*.part"))


def test_info(path):
    info = read_info(path)
    assert info.config == CONFIGS["ddp_lite"]
    assert info.metadata == {"recipe": "none", "scores": {"ap": 0.5}}


def test_a_mean_counts_every_file_as_often_as_it_is_given(path, tmp_path):
    torch.manual_seed(1)
    other = save_model(DDP(CONFIGS["ddp_lite"]), tmp_path)
    result = CliRunner().invoke(
        weights_command, ["mean", str(path), str(other), str(path), "-o", str(tmp_path / "new")]
    )
    mean = read_info(result.output.strip())
    assert mean.path.parent == tmp_path / "new"
    assert mean.metadata == {"mean_of": [path.name, other.name, path.name]}
    a, b, ours = (load_file(file) for file in (path, other, mean.path))
    for key, tensor in ours.items():
        expected = (2 * a[key].double() + b[key].double()) / 3
        assert tensor.dtype == a[key].dtype and torch.equal(tensor, expected.to(tensor.dtype)), key


def test_there_is_no_mean_of_different_models(path, tmp_path):
    other = save_model(DDP(replace(CONFIGS["ddp_lite"], channels=32)), tmp_path)
    with pytest.raises(WeightsError, match="another model"):
        mean_weights([path, other], tmp_path)


def test_damaged(path, tmp_path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    damaged = tmp_path / path.name
    damaged.write_bytes(data)
    with pytest.raises(WeightsError, match="is damaged: its name promises"):
        load_model(damaged)
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_model(truncated)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle perhaps", b"\x00" * 100])
def test_not_safetensors(content, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_model(path)


def test_foreign(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="holds no ddp-video model"):
        load_model(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize(
    ("change_state", "change_header", "message"),
    [
        (lambda s: s.pop("fpn.coarsest.bias"), None, r"1 tensors differ, first fpn.coarsest.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), None, "first extra"),
        (lambda s: s.update({"fpn.coarsest.bias": torch.zeros(3)}), None, "first fpn.coarsest.bias"),
        (None, lambda h: h.update(format=2), "has format 2"),
        (None, lambda h: h["config"].update(colour="red"), "fields that differ: colour"),
        (None, lambda h: h["config"].pop("channels"), "fields that differ: channels"),
    ],
)
def test_misfits(path, tmp_path, change_state, change_header, message):
    with pytest.raises(WeightsError, match=message):
        load_model(rewritten(path, tmp_path, change_state, change_header))


def test_names(path, monkeypatch):
    monkeypatch.setattr(weights_module, "shipped_weights", lambda: [path])
    assert find_weights("ddp_lite") == find_weights(path.name) == find_weights(str(path)) == path
    with pytest.raises(WeightsError, match=r"no weights 'ddp_huge'.*shipped name \(ddp_lite\)"):
        find_weights("ddp_huge")


def test_commands(path, monkeypatch):
    monkeypatch.setattr(weights_module, "shipped_weights", lambda: [path])
    run = CliRunner().invoke
    assert str(path) in run(weights_command, ["list"]).output
    assert json.loads(run(weights_command, ["info", str(path)]).output)["metadata"]["recipe"] == "none"
    verified = run(weights_command, ["verify"])
    assert verified.exit_code == 0
    assert "whole" in verified.output
    monkeypatch.setattr(weights_module, "shipped_weights", list)
    assert "no weights" in run(weights_command, ["list"]).output

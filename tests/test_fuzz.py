"""Every reader survives damage: an error of ours or success, and no memory for what a damaged header asks for."""

import pytest
from fuzzing import attack, make_run, make_targets, make_weights

from ddp_video.allocator import peak_memory_mib

ROUNDS = {"video": 60, "image": 60, "run.json": 40, "coco": 60, "weights": 15}
MOST_MIB = 700  # that reading damage may add to what the process has needed so far


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    return {target.name: target for target in make_targets(folder, make_run(folder), make_weights(folder))}


NAMES = [
    "video",
    "image",
    "store",
    "run.json",
    "weights",
    "densepose pickle",
    "densepose pth",
    "densepose safetensors",
    "coco",
]


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(targets, name):
    before = peak_memory_mib()
    outcomes = [attack(targets[name], seed) for seed in range(ROUNDS.get(name, 30))]
    assert peak_memory_mib() - before < MOST_MIB
    assert any(outcome != "read" for outcome in outcomes)


def test_all_targets_are_tried(targets):
    assert set(targets) == set(NAMES)

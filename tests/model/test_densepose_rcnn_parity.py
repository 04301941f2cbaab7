"""DensePose R-CNN gives what detectron2 gives, for the same weights and image (golden/make_densepose_rcnn.py)."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from ddp_video.model.densepose_rcnn import DensePoseRCNN, RCNNConfig

GOLDEN = runpy.run_path(str(Path(__file__).parent / "golden" / "make_densepose_rcnn.py"))
CONFIGS = {
    "r50": RCNNConfig(),
    "r50_legacy": RCNNConfig(decoder=False, coarse_channels=15),
    "r50_dl": RCNNConfig(head="deeplab"),
    "r50_wc2m": RCNNConfig(segmentation_confidence=True),
    "r101_dl": RCNNConfig(depth=101, head="deeplab"),
}


def seeded(config: RCNNConfig) -> DensePoseRCNN:
    with torch.device("meta"):
        model = DensePoseRCNN(config)
    weights = {
        name: torch.from_numpy(GOLDEN["make_weight"](name, tuple(tensor.shape)))
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    model.load_state_dict(weights, assign=True)
    return model.eval()


# Between them the two quick ones hold every kind of layer but the confidences.
QUICK = ("r50_legacy", "r50_dl")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow) for case in CONFIGS]
)
def test_equals_detectron2(case):
    with np.load(GOLDEN["GOLDEN"]) as file:
        expected = {key.removeprefix(f"{case}/"): file[key] for key in file.files if key.startswith(f"{case}/")}
    # In float64, since what float32 rounds away is up to 1.5e-4 px on some CPUs.
    image = torch.from_numpy(GOLDEN["make_image"]())[None].double()
    (people,) = seeded(CONFIGS[case]).double()(image, float(expected["score_threshold"]))

    np.testing.assert_allclose(people.boxes_xyxy, expected["boxes"], atol=5e-5)
    np.testing.assert_allclose(people.scores, expected["scores"], atol=5e-6)
    for name in GOLDEN["MAPS"]:
        values = getattr(people.charts, name).numpy()
        assert values.shape == tuple(expected[f"{name}_shape"])
        stored = GOLDEN["stored_positions"](values.size)
        np.testing.assert_allclose(values.ravel()[stored], expected[name], atol=2e-5, err_msg=name)

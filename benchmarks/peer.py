"""The top-down peer itself: detectron2's DensePose R-CNN, where a checkout of it has been built."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.forced import SCORE
from benchmarks.scenes import Scene
from ddp_video.hardware import DTYPES, autocast, choose_precision

CONFIG = "densepose_rcnn_R_50_FPN_DL_s1x"
RECORDED = Path(__file__).with_name("peer_recorded.json")


class Detectron2:
    """Runs detectron2's model on the people of a scene, in the precision that our own predictors choose.

    folder: a checkout of detectron2, made ready in place with `python setup.py build_ext --inplace`; what it requires must be
    importable (PYTHONPATH). weights: of our own network, whose names are the same.
    """

    def __init__(self, folder: Path, weights: dict[str, Tensor], device: str):
        project = folder / "projects" / "DensePose"
        sys.path[:0] = [str(folder), str(project)]
        from densepose import add_densepose_config
        from detectron2.config import get_cfg
        from detectron2.modeling import build_model

        config = get_cfg()
        add_densepose_config(config)
        config.merge_from_file(str(project / "configs" / f"{CONFIG}.yaml"))
        config.MODEL.DEVICE = device
        self._model = build_model(config).eval()
        self._model.load_state_dict({k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")})
        self._device = device
        self._dtype = DTYPES[choose_precision(torch.device(device))]

    def on(self, scene: Scene) -> Callable:
        """A call that predicts the scene's picture, with the people that are really in it."""
        from detectron2.structures import Boxes, Instances

        count, device = len(scene.masks), self._device
        people = Instances(scene.picture.shape[:2])
        people.pred_boxes = Boxes(scene.boxes_xyxy.to(device))
        people.scores = torch.full((count,), SCORE, device=device)
        people.pred_classes = torch.zeros(count, dtype=torch.int64, device=device)
        inputs = [{"image": torch.from_numpy(scene.picture[..., ::-1].copy()).permute(2, 0, 1)}]
        boxes = self._model.roi_heads.box_predictor
        find = boxes.inference

        @torch.no_grad()
        def predict():
            with (
                patch.object(boxes, "inference", lambda *features: ([people], find(*features)[1]), create=True),
                autocast(torch.device(device), self._dtype),
            ):
                return self._model.inference(inputs, do_postprocess=False)

        return predict


def recorded() -> str:
    """One sentence of figures measured elsewhere."""
    facts = json.loads(RECORDED.read_text())
    times = ", ".join(f"{seconds} s with {people}" for people, seconds in facts["seconds_by_people"].items())
    return f"RECORDED, not measured here: {facts['what']} took {times} ({facts['how']})."

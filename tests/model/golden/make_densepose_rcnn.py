"""Makes densepose_rcnn.npz: what detectron2's DensePose R-CNN gives for weights and an image made from numbers alone.

The weights come from generators seeded by the parameters' names, so neither they nor detectron2 need to be stored: the
parity test makes the same ones. To make the file again, with detectron2 and its DensePose project importable:

    python tests/model/golden/make_densepose_rcnn.py path/to/projects/DensePose/configs
"""

import sys
import zlib
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("densepose_rcnn.npz")
CONFIGS = {
    "r50": "densepose_rcnn_R_50_FPN_s1x",
    "r50_legacy": "densepose_rcnn_R_50_FPN_s1x_legacy",
    "r50_dl": "densepose_rcnn_R_50_FPN_DL_s1x",
    "r50_wc2m": "densepose_rcnn_R_50_FPN_WC2M_s1x",
    "r101_dl": "densepose_rcnn_R_101_FPN_DL_s1x",
}
MAPS = ("coarse", "fine", "u", "v")
PEOPLE = 4
VALUES = 1500  # of each map that are stored


def make_image() -> np.ndarray:
    """[3, 120, 154] uint8 RGB, smooth coloured noise; its sides are no multiples of 32."""
    coarse = np.random.default_rng(7).uniform(0, 255, (3, 16, 20))
    rows, columns = np.linspace(0, 14.99, 120), np.linspace(0, 18.99, 154)
    y, x = rows.astype(int)[:, None], columns.astype(int)[None, :]
    dy, dx = rows[:, None] - y, columns[None, :] - x
    top = coarse[:, y, x] * (1 - dx) + coarse[:, y, x + 1] * dx
    bottom = coarse[:, y + 1, x] * (1 - dx) + coarse[:, y + 1, x + 1] * dx
    return (top * (1 - dy) + bottom * dy).astype(np.uint8)


def make_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 values that keep activations near unit size and give a handful of people."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    layer, kind = name.rsplit(".", 1)
    noise = rng.standard_normal(shape, np.float32)
    if kind == "running_var":
        return 1 + 0.1 * np.abs(noise)
    if kind in ("bias", "running_mean"):
        return 0.05 * noise
    if len(shape) == 1:  # scale of a normalisation; residual branches are kept small, or the sum grows with depth
        return (0.3 if "conv3" in layer else 1.0) * (1 + 0.1 * noise)
    fan_in = shape[0] * 4 if layer.endswith("_lowres") else int(np.prod(shape[1:]))
    gain = next((gain for part, gain in GAINS.items() if part in layer), 1.4)
    return float(gain / np.sqrt(fan_in)) * noise


# Where the default would let values grow from layer to layer, or scores saturate.
GAINS = {
    "stem.conv1": 0.02,
    "lateral": 0.5,
    "anchor_deltas": 0.2,
    "bbox_pred": 0.5,
    "cls_score": 1.0,
    "decoder.predictor": 0.3,
}


def stored_positions(size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(0, size, VALUES)


def run_reference(config: Path) -> dict[str, np.ndarray]:
    import torch
    from densepose import add_densepose_config
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    add_densepose_config(cfg)
    cfg.merge_from_file(str(config))
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg).eval()
    model.load_state_dict({n: torch.from_numpy(make_weight(n, tuple(t.shape))) for n, t in model.state_dict().items()})
    inputs = [{"image": torch.from_numpy(make_image()[::-1].copy()).float()}]  # BGR
    heads = model.roi_heads
    with torch.no_grad():
        # A threshold between two scores, so that rounding cannot change who is found.
        heads.densepose_on = False
        scores = model.inference(inputs)[0]["instances"].scores
        heads.densepose_on, heads.box_predictor.test_score_thresh = True, float(scores[PEOPLE - 1 : PEOPLE + 1].mean())
        people = model.inference(inputs)[0]["instances"]
    charts = people.pred_densepose
    maps = {"coarse": charts.coarse_segm, "fine": charts.fine_segm, "u": charts.u, "v": charts.v}
    out = {
        "score_threshold": heads.box_predictor.test_score_thresh,
        "boxes": people.pred_boxes.tensor.numpy(),
        "scores": people.scores.numpy(),
    }
    for name, values in maps.items():
        values = values.numpy()
        out[f"{name}_shape"] = np.array(values.shape)
        out[name] = values.ravel()[stored_positions(values.size)]
    return out


if __name__ == "__main__":
    golden = {
        f"{case}/{key}": value
        for case, config in CONFIGS.items()
        for key, value in run_reference(Path(sys.argv[1]) / f"{config}.yaml").items()
    }
    np.savez_compressed(GOLDEN, **golden)
    for case in CONFIGS:
        print(case, len(golden[f"{case}/scores"]), "people, scores", golden[f"{case}/scores"].round(3))

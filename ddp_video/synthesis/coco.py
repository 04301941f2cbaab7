"""COCO JSON with DensePose fields for generated pictures, so that other tools read them.

U and V are those of our own charts (`ddp_video.charts`), not the official ones.
"""

from __future__ import annotations

import cv2
import numpy as np

from ddp_video import rle
from ddp_video.charts import NAMES, PART_NAMES, PART_OF_CHART

_POINTS = 180  # labelled points a person, at most
_MASK_SIDE = 256  # of a part mask, which is stretched over the person's box
_KEYPOINTS = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]
CATEGORY = {"id": 1, "name": "person", "supercategory": "person", "keypoints": _KEYPOINTS}
INFO = {
    "description": "Synthetic people by ddp-video. I are DensePose's 24 charts; U, V are ddp-video's own coordinates.",
    "charts": "ddp-video",
    "chart_names": list(NAMES),
}


def annotations(
    person: np.ndarray, part: np.ndarray, uv: np.ndarray, keypoints: np.ndarray, rng: np.random.Generator
) -> list[dict]:
    """One annotation for each person of whom a pixel is seen, without ids.

    Args:
        person: [H, W] number 1..n, 0 = nobody. part: [H, W]. uv: [H, W, 2]. keypoints: [n, 17, 3].
    """
    out = []
    for number in np.unique(person[person > 0]).tolist():
        own = person == number
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        w, h = x1 - x0, y1 - y0
        y, x = np.nonzero(own & (part > 0))
        chosen = np.sort(rng.permutation(len(x))[:_POINTS])
        y, x = y[chosen], x[chosen]
        coarse = np.where(own, np.array(PART_OF_CHART)[part], 0)[y0:y1, x0:x1].astype(np.uint8)
        coarse = cv2.resize(coarse, (_MASK_SIDE, _MASK_SIDE), interpolation=cv2.INTER_NEAREST)
        masks = [_segmentation(coarse == k) if (coarse == k).any() else [] for k in range(1, len(PART_NAMES))]
        seen = keypoints[number - 1]
        out.append(
            {
                "category_id": 1,
                "iscrowd": 0,
                "person": number,
                "bbox": [int(x0), int(y0), int(w), int(h)],
                "area": int(own.sum()),
                "segmentation": _segmentation(own),
                "keypoints": [round(float(value), 2) for value in seen.ravel()],
                "num_keypoints": int((seen[:, 2] > 0).sum()),
                # a point lies at x0 + dp_x w / 256
                "dp_x": [round(float(v), 3) for v in (x + 0.5 - x0) * 256 / w],
                "dp_y": [round(float(v), 3) for v in (y + 0.5 - y0) * 256 / h],
                "dp_I": part[y, x].tolist(),
                "dp_U": [round(float(v), 4) for v in uv[y, x, 0]],
                "dp_V": [round(float(v), 4) for v in uv[y, x, 1]],
                "dp_masks": masks,
            }
        )
    return out


def _segmentation(mask: np.ndarray) -> dict:
    """A [H, W] mask as COCO has it."""
    return {"size": list(mask.shape), "counts": rle.compress(rle.encode(mask))}

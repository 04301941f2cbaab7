"""Makes published_scores.json: runs DensePose's own evaluator on the scene of test_published_evaluator.py.

    python tests/metrics/make_published_scores.py densepose_coco_evaluation.py

The argument is that file of detectron2's projects/DensePose; what it imports of detectron2 and densepose is stubbed, as
chart results need none of it. Needs pycocotools.
"""

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO

from ddp_video.metrics.coco_ap import COLUMNS


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stub(name, **content):
    module = ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module


def stub_imports(folder):
    def local_path(url, **_):
        return str(folder / url.rsplit("/", 1)[-1])

    for name in ("detectron2", "detectron2.utils", "densepose", "densepose.converters", "densepose.modeling"):
        stub(name)
    stub("densepose.modeling.cse")
    stub("detectron2.utils.file_io", PathManager=SimpleNamespace(get_local_path=local_path))
    stub("densepose.converters.chart_output_to_chart_result", resample_uv_tensors_to_bbox=None)
    stub(
        "densepose.converters.segm_to_mask",
        resample_coarse_segm_tensor_to_bbox=None,
        resample_fine_and_coarse_segm_tensors_to_bbox=None,
    )
    stub("densepose.modeling.cse.utils", squared_euclidean_distance_matrix=None)
    stub("densepose.structures", DensePoseDataRelative=SimpleNamespace(S_KEY="dp_masks"))
    stub("densepose.structures.mesh", create_mesh=None)


def quantised(instance, part, uv, box, number):
    """uint8 [3, h, w] chart result of one detection inside its box."""
    x0, y0, x1, y1 = map(int, box)
    own = instance[y0:y1, x0:x1] == number
    maps = [part[y0:y1, x0:x1] * own, *(uv[:, y0:y1, x0:x1] * 255).clip(0, 255)]
    return SimpleNamespace(labels_uv_uint8=torch.from_numpy(np.stack([m.astype(np.uint8) for m in maps])))


def main(published_file):
    folder = Path(tempfile.mkdtemp())
    stub_imports(folder)
    published = load(published_file)
    scene = load(Path(__file__).with_name("test_published_evaluator.py"))
    content, images = scene.make_scene(folder)
    for annotation in content["annotations"]:  # pycocotools wants run lengths compressed
        parts = annotation.get("dp_masks", [])
        annotation["dp_masks"] = [part and rle.frPyObjects(part, *part["size"]) for part in parts]
        if not parts:
            del annotation["dp_masks"]
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    results = [
        {
            "image_id": image + 1,
            "category_id": 1,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "score": float(score),
            "segmentation": {},
            "densepose": quantised(instance, part, uv, box, number),
        }
        for image, (instance, part, uv, boxes, scores) in enumerate(images)
        for number, (box, score) in enumerate(zip(boxes, scores, strict=True), 1)
    ]
    found = truth.loadRes(results)
    golden = {}
    for metric, mode in (("GPS", "GPS"), ("GPSm", "GPSM"), ("mask", "IOU")):
        evaluation = published.DensePoseCocoEval(truth, found, dpEvalMode=published.DensePoseEvalMode[mode])
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        golden[metric] = dict(zip(COLUMNS, map(float, evaluation.stats), strict=True))
    scene.GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

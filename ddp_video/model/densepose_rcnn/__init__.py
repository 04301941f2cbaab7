"""DensePose R-CNN: the published top-down models, whose charts are the official ones, without detectron2.

`load(path)` a checkpoint, `DenseposeRCNNPredictor(model)` to run it on frames, `convert(path, out)` to .safetensors.
"""

from ddp_video.model.densepose_rcnn.checkpoint import convert, load
from ddp_video.model.densepose_rcnn.config import MODEL_NAME, RCNNConfig
from ddp_video.model.densepose_rcnn.network import DensePoseRCNN, Detections
from ddp_video.model.densepose_rcnn.predictor import DenseposeRCNNPredictor

__all__ = [
    "MODEL_NAME",
    "DensePoseRCNN",
    "DenseposeRCNNPredictor",
    "Detections",
    "RCNNConfig",
    "convert",
    "load",
]

"""What a DensePose R-CNN checkpoint describes, recognised from the names and shapes of its tensors.

The published checkpoints carry no configuration, but their tensors tell everything that differs between them. What the
tensors cannot tell is the same in all published models of people: pixel mean, anchors, thresholds, pooling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ddp_video.charts import NUM_CLASSES
from ddp_video.errors import WeightsError

MODEL_NAME = "densepose-rcnn"

# Residual blocks of res2, res3, res4 and res5.
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

PREDICTOR = "roi_heads.densepose_predictor"
HEAD = "roi_heads.densepose_head"


@dataclass(frozen=True)
class RCNNConfig:
    """The parts and widths of a DensePose R-CNN; the defaults are those of `densepose_rcnn_R_50_FPN_s1x`."""

    depth: int = 50  # of the ResNet: a key of BLOCKS
    fpn_channels: int = 256
    box_channels: int = 1024
    head: str = "v1conv"  # or "deeplab"
    head_channels: int = 512
    head_convs: int = 8
    decoder: bool = True  # False in the legacy models, whose charts are pooled from the pyramid itself
    coarse_channels: int = 2  # background and person, or 15: background and 14 body parts
    segmentation_confidence: bool = False  # of the WC1M and WC2M models: scales the segmentation logits

    @property
    def name(self) -> str:
        """As in the model zoo, without schedule and kind of confidence."""
        head = "_DL" if self.head == "deeplab" else ""
        return f"densepose_rcnn_R_{self.depth}_FPN{head}{'' if self.decoder else '_legacy'}"


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> RCNNConfig:
    """The configuration of a checkpoint with tensors of these names and shapes.

    Raises:
        WeightsError: it is no chart-based DensePose R-CNN on ResNet and FPN; the message says what it seems to be.
    """
    _refuse_relatives(shapes)

    def width(name: str, axis: int = 0) -> int:
        if len(shapes.get(name, ())) <= axis:
            raise WeightsError(
                f"DensePose R-CNN checkpoint without a proper {name!r}: damaged, or of another architecture"
            )
        return shapes[name][axis]

    charts = width(f"{PREDICTOR}.index_uv_lowres.weight", 1)
    if charts != NUM_CLASSES:
        raise WeightsError(f"checkpoint predicts {charts - 1} charts, needed the 24 body charts of DensePose-COCO")
    coarse_channels = width(f"{PREDICTOR}.ann_index_lowres.weight", 1)
    if coarse_channels not in (2, 15):
        raise WeightsError(f"checkpoint has {coarse_channels} coarse classes, needed 2 or 15")
    classes = width("roi_heads.box_predictor.cls_score.weight") - 1
    if classes != 1:
        raise WeightsError(f"checkpoint detects {classes} classes, needed 1 (person)")
    return RCNNConfig(
        depth=_depth(shapes),
        fpn_channels=width("backbone.fpn_output2.weight"),
        box_channels=width("roi_heads.box_head.fc1.weight"),
        head="deeplab" if f"{HEAD}.ASPP.project.0.weight" in shapes else "v1conv",
        head_channels=width(f"{HEAD}.body_conv_fcn1.weight"),
        head_convs=sum(bool(re.fullmatch(rf"{HEAD}\.body_conv_fcn\d+\.weight", name)) for name in shapes),
        decoder="roi_heads.decoder.predictor.weight" in shapes,
        coarse_channels=coarse_channels,
        segmentation_confidence=f"{PREDICTOR}.fine_segm_confidence_lowres.weight" in shapes,
    )


def _depth(shapes: Mapping[str, tuple[int, ...]]) -> int:
    blocks = tuple(
        len({name.split(".")[3] for name in shapes if name.startswith(f"backbone.bottom_up.res{stage}.")})
        for stage in (2, 3, 4, 5)
    )
    for depth, expected in BLOCKS.items():
        if blocks == expected:
            return depth
    raise WeightsError(f"checkpoint's backbone has {blocks} blocks, needed ResNet-50, 101 or 152")


def _refuse_relatives(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Names the kinds of checkpoint that are often mistaken for one of ours."""

    def has(prefix: str) -> bool:
        return any(name.startswith(prefix) for name in shapes)

    need = "needed a chart-based DensePose R-CNN such as densepose_rcnn_R_50_FPN_s1x"
    if has("roi_heads.embedder.") or has(f"{PREDICTOR}.embed_lowres."):
        raise WeightsError(f"checkpoint is of DensePose CSE, which predicts embeddings and no charts; {need}")
    if has("backbone.bottom_up.stage") or has("backbone.fpn_conv"):
        raise WeightsError(f"checkpoint has an HRNet backbone, which is not supported; {need}")
    if not has(PREDICTOR):
        for head in ("mask", "keypoint", "box"):
            if has(f"roi_heads.{head}_"):
                raise WeightsError(f"checkpoint is an R-CNN with a {head} head and no DensePose head; {need}")
        raise WeightsError(f"checkpoint holds no DensePose R-CNN ({len(shapes)} tensors); {need}")

"""What a DDP model is made of; stored inside its checkpoint."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields

LARGEST = 1 << 14  # of any number in a configuration


@dataclass(frozen=True)
class ModelConfig:
    """One architecture (paper section 3), two sizes."""

    name: str
    backbone: str  # timm model with features at strides 2, 4, 8, 16, 32
    channels: int  # of the pyramid, the aggregated features, the towers and the IUV branch
    tower_depth: int  # 3x3 convs in each FCOS tower
    mask_channels: int  # width inside the module that makes the 8 mask features
    fpn_output_convs: bool  # 3x3 convs on the merged pyramid, as the paper's FPN has
    image_mean: tuple[float, float, float]  # RGB, 0..255: what the backbone's ImageNet weights were trained with
    image_std: tuple[float, float, float]
    short_side: int  # px, to which frames are resized
    charts: str = "ddp-video"  # whose U, V the weights speak: 'ddp-video' (our own) or 'densepose'
    body_context: bool = False  # the parts of a person attend to each other; not in the paper
    # Switches of the paper's ablation (table 2).
    instance_aware_norm: bool = True
    sparse: bool = True
    smoothness_loss: bool = True

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> ModelConfig:
        """The inverse of `to_dict`, also after JSON; raises ValueError when a field is missing, unknown or absurd.

        Fields with a default may be missing: files written before there was such a field.
        """
        known = {f.name for f in fields(cls)}
        needed = {f.name for f in fields(cls) if f.default is MISSING}
        if not needed <= set(values) <= known:
            odd = ", ".join(sorted((needed - set(values)) | (set(values) - known)))
            raise ValueError(f"model configuration does not match this version, fields that differ: {odd}")
        config = cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
        for field in fields(cls):
            value, like = getattr(config, field.name), getattr(CONFIGS["ddp_r50"], field.name)
            if not _is_like(value, like):
                raise ValueError(
                    f"model configuration has {field.name} = {str(value)[:40]!r}, needed one like {like!r}"
                )
        return config


def _is_like(value: object, like: object) -> bool:
    """Whether a value could be that of a field, of which `like` is another one."""
    if isinstance(like, tuple):
        return isinstance(value, tuple) and len(value) == len(like) and all(type(v) in (int, float) for v in value)
    return type(value) is type(like) and (type(value) is not int or 0 < value <= LARGEST)


CONFIGS = {
    # Small enough to train and to run on a CPU.
    "ddp_lite": ModelConfig(
        name="ddp_lite",
        backbone="tf_efficientnet_lite0",
        channels=96,
        tower_depth=2,
        mask_channels=64,
        fpn_output_convs=False,
        image_mean=(127.0, 127.0, 127.0),
        image_std=(128.0, 128.0, 128.0),
        short_side=576,
        body_context=True,
    ),
    # The paper's.
    "ddp_r50": ModelConfig(
        name="ddp_r50",
        backbone="resnet50",
        channels=256,
        tower_depth=4,
        mask_channels=128,
        fpn_output_convs=True,
        image_mean=(123.675, 116.28, 103.53),
        image_std=(58.395, 57.12, 57.375),
        short_side=800,
    ),
}

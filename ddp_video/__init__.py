"""Dense pose of people in any video, steady over time.

    model = ddp_video.load_model("ddp_lite")
    run = ddp_video.infer("input.mp4", model)
    steady = ddp_video.smooth(run)
    for frame in steady.predictions:
        pose = decode(frame)  # from ddp_video.decode: part, uv and instance at full size

Everything else lives in its room: `ddp_video.decode`, `ddp_video.video`, `ddp_video.render`, ...
"""

import os
from importlib import import_module

# OpenCV, when it is loaded, reads here how large a picture it may make: four times 8K, and not the gigabytes that a
# damaged header asks for.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))
# PyTorch, likewise, how many prepared oneDNN operations to keep of each kind. Every number of people and sites is a new
# one; its 1,024 would grow by 100 MiB through a long video, and are no faster.
os.environ.setdefault("LRU_CACHE_CAPACITY", "32")
# NumPy's BLAS and PyTorch's OpenMP, how long threads without work keep a core busy, waiting for more. Ours are many, one or
# more to a stage, and want that core: this makes `infer` a quarter faster on two. Our matrices are too small to share out.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_ROOMS = {
    "evaluate_stability": "stability",
    "infer": "pipeline",
    "load_model": "model.weights",
    "open_predictions": "predictions",
    "smooth": "pipeline",
}
__all__ = sorted(_ROOMS)


def __getattr__(name: str):
    # Imported when first asked for: `ddp-video --help` should not wait for torch.
    if name not in _ROOMS:
        raise AttributeError(f"module 'ddp_video' has no attribute {name!r}")
    value = getattr(import_module(f"ddp_video.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value

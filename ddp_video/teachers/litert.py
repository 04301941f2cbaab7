"""Running a TensorFlow Lite file with LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ddp_video.errors import WeightsError


class LiteModel:
    """A network with one picture as its input, of any size that the file allows.

    Args:
        path: a .tflite file.
        outputs: names of tensors that it must have, so that another model's file is refused.
    Raises:
        WeightsError: no such model.
        ImportError: LiteRT is not installed.
    """

    def __init__(self, path: str | Path, outputs: tuple[str, ...]):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ImportError("teachers need LiteRT: pip install 'ddp-video[teachers]'") from error
        try:
            self.interpreter = Interpreter(str(path), num_threads=1)
        except (ValueError, OSError) as error:
            raise WeightsError(f"cannot read {path} as a .tflite model: missing or damaged") from error
        self.outputs = {d["name"]: d for d in self.interpreter.get_output_details()}
        if missing := [name for name in outputs if name not in self.outputs]:
            raise WeightsError(f"{path} is not the expected model: it has no output {missing[0]!r}")
        self.size: tuple[int, int] | None = None

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """[H, W, 3], uint8 or float32 as the network wants it -> its outputs by name, float32, without the batch axis."""
        given = self.interpreter.get_input_details()[0]
        if image.shape[:2] != self.size:
            self.interpreter.resize_tensor_input(given["index"], (1, *image.shape))
            self.interpreter.allocate_tensors()
            self.size = image.shape[:2]
        self.interpreter.set_tensor(given["index"], image[None])
        self.interpreter.invoke()
        return {name: self._read(detail) for name, detail in self.outputs.items()}

    def _read(self, detail: dict) -> np.ndarray:
        values = self.interpreter.get_tensor(detail["index"])[0].astype(np.float32)
        scale, zero = detail["quantization"]
        return (values - zero) * scale if scale else values

"""What a run of the benchmarks was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CLIP = Path(__file__).parents[1] / "examples" / "people.mp4"
SIZE = (800, 1333)  # px, the paper's input


@dataclass(frozen=True)
class Settings:
    """rounds: that are counted, of each measurement. scale: of all pictures and clips; 1 measures, less only tries out.

    clip: a video for the stages of `infer` and for smoothing. detectron2: a built checkout of the peer. flow_weights: of RAFT,
    so that its early stop can be measured as well. pack: of synthetic people.
    """

    device: str = "cpu"
    rounds: int = 5
    scale: float = 1.0
    clip: Path = CLIP
    detectron2: Path | None = None
    flow_weights: Path | None = None
    pack: Path | None = None

    @property
    def kind(self) -> str:
        """'cpu' or 'cuda'."""
        return self.device.partition(":")[0]

    def sides(self, *size: int) -> tuple[int, ...]:
        """Sides in px, or a number of frames, at the scale of this run."""
        return tuple(max(round(side * self.scale), 1) for side in size)

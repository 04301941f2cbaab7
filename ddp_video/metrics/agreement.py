"""How often the right body part is predicted at labelled points: coarser than GPS, and easier to read."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ddp_video.charts import MIRROR, NUM_CLASSES, PART_OF_CHART


class PartAgreement:
    """Counts charts at labelled points of people, over any number of images."""

    def __init__(self):
        self._pairs = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)  # [labelled, predicted]

    @classmethod
    def joined(cls, agreements: Iterable[PartAgreement]) -> PartAgreement:
        out = cls()
        for one in agreements:
            out._pairs += one._pairs
        return out

    def add(self, predicted: np.ndarray, labelled: np.ndarray) -> None:
        """Charts [P]: predicted 0..24 (0 = background), labelled 1..24."""
        np.add.at(self._pairs, (labelled, predicted), 1)

    def rates(self) -> dict[str, float]:
        """Shares of points in 0..1, nan while nothing was counted.

        part, chart: on the right one of 14 body parts, of 24 charts. swap (lower is better): of points on parts with a
        left and a right, those on the mirrored one. found: on any part.
        """
        part, mirror = np.array(PART_OF_CHART), np.array(MIRROR)
        same_part = part[:, None] == part
        return {
            "part": self._share(same_part),
            "chart": self._share(np.eye(NUM_CLASSES)),
            "swap": self._share(same_part[mirror], rows=part != part[mirror]),
            "found": self._share(part > 0),
        }

    def _share(self, hits: np.ndarray, rows: np.ndarray | slice = slice(None)) -> float:
        total = self._pairs[rows].sum()
        return float((self._pairs * hits)[rows].sum() / total) if total else float("nan")

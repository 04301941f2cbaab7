"""Hard cuts in a stream of frames."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

SIDE = 96  # px of the square thumbnails that are compared
HISTOGRAM_BINS = 6  # a colour channel
FLAT = 2.0  # standard deviation of luma, in grey levels


class CutDetector:
    """Tells for every frame whether a new shot begins with it.

    Two cues, both needed. Structure: 1 - correlation of the luma thumbnails after motion compensation; gain and offset
    (exposure, a flash) do not change it, and motion that flow can follow does not either. Colour: half the L1 distance of
    the colour histograms, which motion within one scene hardly changes. A cut between two views of one scene has the
    colours of both, so a complete break of structure is enough by itself. What the last frames showed raises the bar:
    shaky or fast material must break far more than it always does. Needs only the last `MEMORY` frames: each of the recent
    ones was compared with the last picture before it, across a flash or a fade of less than `RECENT` frames.
    """

    RECENT = 12
    MEMORY = 2 * RECENT
    STRUCTURE, COLOUR = 0.3, 0.25
    BROKEN_STRUCTURE = 0.5
    TIMES_RECENT = 3.0

    def __init__(self):
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._recent: deque[float] = deque(maxlen=self.RECENT - 1)
        self._size: tuple[int, ...] | None = None
        self._flat = 0  # flat frames since the last picture

    def is_cut(self, frame_rgb: np.ndarray) -> bool:
        """frame_rgb: [H, W, 3] uint8, the next frame. The first frame is no cut; a frame of another size is one."""
        size, self._size = self._size, frame_rgb.shape
        luma, histogram = _thumbnail(frame_rgb)
        if luma.std() < FLAT:  # black or white-out: what comes after it is compared with what was before it
            self._flat += 1
            self._recent.append(0.0)
            if self._flat >= self.RECENT:
                self._last = None
            return False
        last, self._last = self._last, (luma, histogram)
        after_flat, self._flat = self._flat > 0, 0
        if last is None:
            return after_flat
        if size != frame_rgb.shape:
            return True
        structure = self._structure_change(last[0], luma)
        colour = 0.5 * float(np.abs(histogram - last[1]).sum())
        usual = float(np.median(self._recent)) if self._recent else 0.0
        self._recent.append(structure)
        if structure < self.TIMES_RECENT * usual:
            return False
        return structure > self.BROKEN_STRUCTURE or (structure > self.STRUCTURE and colour > self.COLOUR)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that later answers depend on, as arrays."""
        state = {"recent": np.array(self._recent), "flat": np.array(self._flat)}
        if self._size is not None:
            state["size"] = np.array(self._size)
        if self._last is not None:
            state["luma"], state["histogram"] = self._last
        return state

    @classmethod
    def restore(cls, state: dict[str, np.ndarray]) -> CutDetector:
        detector = cls()
        detector._recent.extend(float(value) for value in state["recent"])
        detector._flat = int(state["flat"])
        if "size" in state:
            detector._size = tuple(int(value) for value in state["size"])
        if "luma" in state:
            detector._last = state["luma"], state["histogram"]
        return detector

    def _structure_change(self, before: np.ndarray, now: np.ndarray) -> float:
        """0 = the same picture up to gain, offset and motion; about 1 = unrelated."""
        to_before = self._dis.calc(now, before, None)
        to_before[..., 0] += np.arange(SIDE)
        to_before[..., 1] += np.arange(SIDE)[:, None]
        moved = cv2.remap(before, to_before, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        a, b = moved - moved.mean(), now - now.mean()
        return 1.0 - float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1.0)


def _thumbnail(frame_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(luma uint8 [SIDE, SIDE], colour histogram summing to 1)."""
    small = cv2.resize(frame_rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    histogram = cv2.calcHist([small], [0, 1, 2], None, [HISTOGRAM_BINS] * 3, [0, 256] * 3)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), histogram / histogram.sum()

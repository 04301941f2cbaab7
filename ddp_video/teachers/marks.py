"""What marked joints say by themselves: that a place belongs to a limb, or to one of the two that meet at a joint.

Marks name more of a picture's arms than all teachers together, who take those that lie before the trunk for the trunk. They
do not say which side of an arm the camera sees: those labels leave a choice (`data/choices.py`).
"""

from __future__ import annotations

import numpy as np

from ddp_video.charts import SIDES, side_charts
from ddp_video.data.choices import ALLOWED, JOINTS, choice
from ddp_video.data.sample import UNLABELLED
from ddp_video.structures import STRIDE

VISIBLE = 2  # of a mark: 0 = none, 1 = guessed behind something
# Of COCO's keypoints: the left of each pair (the right one follows).
FIRST_OF = {"shoulder": 5, "elbow": 7, "wrist": 9, "hip": 11, "knee": 13, "ankle": 15}
BONES = {
    "upper arm": ("shoulder", "elbow"),
    "lower arm": ("elbow", "wrist"),
    "upper leg": ("hip", "knee"),
    "lower leg": ("knee", "ankle"),
}
FROM_TRUNK = 0.3  # share of a bone next to a shoulder or hip, that may be trunk
THIN = 1 / 60  # of a person's height, about a limb's bone or joint: surely inside of it


def charts_at_marks(points: np.ndarray, height_px: float, cells: tuple[int, int]) -> np.ndarray:
    """[h, w] uint8, values of a part map, on the cells of STRIDE px: UNLABELLED away from marks.

    A visible joint lies before whatever bone it is on; where bones cross, or joints, nothing is said.

    Args:
        points: [17, 3] x, y px and 0, 1 or VISIBLE. height_px: of the person.
    """
    y, x = np.indices(cells) * STRIDE + STRIDE / 2
    reach = max(THIN * height_px, 0.71 * STRIDE)  # so near is the centre of a point's own cell
    bones, joints = _Layer(cells), _Layer(cells)
    for number, side in enumerate(SIDES):
        at = {joint: points[first + number] for joint, first in FIRST_OF.items()}
        seen = {joint for joint, point in at.items() if point[2] == VISIBLE}
        for limb, (upper, lower) in BONES.items():
            if {upper, lower} <= seen:
                across, along = _from_line(x, y, at[upper], at[lower])
                begin = 0 if upper in JOINTS else FROM_TRUNK
                bones.add((across <= reach) & (along >= begin) & (along <= 1), side_charts(side, limb))
        for joint in JOINTS.keys() & seen:
            joints.add(np.hypot(x - at[joint][0], y - at[joint][1]) <= reach, side_charts(side, *JOINTS[joint]))
    return np.where(joints.claims > 0, joints.labels, bones.labels)


class _Layer:
    """labels: [h, w] uint8, UNLABELLED where nobody, or more than one, claims to be. claims: [h, w] how many do."""

    def __init__(self, cells: tuple[int, int]):
        self.labels, self.claims = np.full(cells, UNLABELLED, np.uint8), np.zeros(cells, int)

    def add(self, here: np.ndarray, charts: list[int]) -> None:
        self.labels[here] = choice(charts)
        self.claims += here
        self.labels[self.claims > 1] = UNLABELLED


def narrowed(part: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """A part map [...] uint8 with what marks say: where it says as much or more, and nothing else, it stays."""
    allowed, by_marks = ALLOWED[part], ALLOWED[marked]
    agrees = allowed.any(-1) & ~(allowed & ~by_marks).any(-1)
    return np.where((marked == UNLABELLED) | agrees, part, marked)


def _from_line(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of places from the line through a and b, px, and how far along it they lie: 0 at a, 1 at b."""
    step = b[:2] - a[:2]
    length = max(float(np.linalg.norm(step)), 1e-6)
    across = np.abs((x - a[0]) * step[1] - (y - a[1]) * step[0]) / length
    return across, ((x - a[0]) * step[0] + (y - a[1]) * step[1]) / length**2

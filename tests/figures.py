"""Made-up people for the teachers' tests: a standing figure's landmarks, and what perfect teachers say of it."""

import numpy as np

from ddp_video.charts import NUM_CLASSES
from ddp_video.structures import STRIDE
from ddp_video.teachers.blazepose import COUNT, Pose
from ddp_video.teachers.opinions import OwnOpinion

SIZE = (320, 240)  # px
GRID = (SIZE[0] // STRIDE, SIZE[1] // STRIDE)
CENTRE = 120  # px, of the figure, across

# x from the middle, y, z towards its back: landmarks of somebody who stands 260 px tall, arms a little away from the body.
MIDDLE = {0: (0, 50, -14)}
PAIRS = {  # of the left one; the right one lies opposite
    (1, 4): (4, 45, -12),
    (2, 5): (6, 45, -11),
    (3, 6): (8, 45, -10),
    (7, 8): (14, 48, 0),
    (9, 10): (4, 58, -12),
    (11, 12): (30, 85, 0),
    (13, 14): (46, 125, 4),
    (15, 16): (58, 162, 0),
    (17, 18): (61, 176, 0),
    (19, 20): (59, 178, 0),
    (21, 22): (56, 174, -3),
    (23, 24): (17, 160, 0),
    (25, 26): (20, 215, 0),
    (27, 28): (21, 265, 4),
    (29, 30): (21, 272, 8),
    (31, 32): (25, 278, -10),
}


def standing(back_view: bool = False) -> Pose:
    """Somebody seen from the front, or from behind (left and right, near and far change places)."""
    points = np.zeros((COUNT, 3))
    for index, place in MIDDLE.items():
        points[index] = place
    for (left, right), place in PAIRS.items():
        points[left], points[right] = place, np.array(place) * (-1, 1, 1)
    if back_view:
        points *= (-1, 1, -1)
    points[:, 0] += CENTRE
    return Pose(points, np.ones(COUNT), 1.0, silhouette())


def silhouette() -> np.ndarray:
    """[H, W] float32: an upright rounded patch that covers the figure."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return ((np.abs(x - CENTRE) < 70) & (y > 25) & (y < 290)).astype(np.float32)


def undecided() -> tuple[OwnOpinion, np.ndarray]:
    """Our model's and BodyPix's opinions: both see the person and know nothing about its parts."""
    person = silhouette()[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    charts = np.repeat(person[..., None] / (NUM_CLASSES - 1), NUM_CLASSES, -1)
    charts[..., 0] = 0
    bodypix = charts.copy()
    bodypix[..., 0] = 1 - person
    box = np.array([[50.0, 25, 190, 290]])
    uv = np.full((*GRID, NUM_CLASSES, 2), 0.5, np.float32)
    return OwnOpinion(box, person[None], charts, uv, person > 0.5, charts), bodypix

"""The 24 body charts in DensePose's order, and what mirroring an image does to them.

Left and right are the person's own. Chart 0 is background. U and V are our own smooth parametrisation, not the
coordinates of the SMPL-based DensePose charts.
"""

NUM_CHARTS = 24
NUM_CLASSES = NUM_CHARTS + 1  # channel 0 = background
IUV_CHANNELS = 3 * NUM_CLASSES  # I | U | V, 25 each

NAMES = (
    "background",
    "torso back",
    "torso front",
    "right hand",
    "left hand",
    "left foot",
    "right foot",
    "right upper leg back",
    "left upper leg back",
    "right upper leg front",
    "left upper leg front",
    "right lower leg back",
    "left lower leg back",
    "right lower leg front",
    "left lower leg front",
    "left upper arm back",
    "right upper arm back",
    "left upper arm front",
    "right upper arm front",
    "left lower arm back",
    "right lower arm back",
    "left lower arm front",
    "right lower arm front",
    "head right",
    "head left",
)

# MIRROR[i] is the chart that chart i becomes when the image is flipped left to right.
MIRROR = (0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23)

# On these charts (the torso) u runs across the body, so mirroring turns u into 1 - u; elsewhere u and v are kept.
MIRROR_FLIPS_U = (1, 2)

# The 14 body parts of DensePose's coarse segmentation, and the part of each chart (0 = background).
PART_NAMES = (
    "background",
    "torso",
    "right hand",
    "left hand",
    "left foot",
    "right foot",
    "right upper leg",
    "left upper leg",
    "right lower leg",
    "left lower leg",
    "left upper arm",
    "right upper arm",
    "left lower arm",
    "right lower arm",
    "head",
)
PART_OF_CHART = (0, 1, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 14)
# Of each part: the chart seen from behind, then that seen from the front; of the head the right half, then the left. Hands and
# feet have one chart only.
CHARTS_OF_PART = tuple(
    tuple(chart for chart, part in enumerate(PART_OF_CHART) if part == number) for number in range(len(PART_NAMES))
)

SIDES = ("left", "right")
ARM, LEG = ("upper arm", "lower arm", "hand"), ("upper leg", "lower leg", "foot")


def side_charts(side: str, *limbs: str) -> list[int]:
    """The charts of these limbs ("upper arm", ... "foot") on one side of the body, "left" or "right"."""
    return [chart for chart, name in enumerate(NAMES) if name.startswith(tuple(f"{side} {limb}" for limb in limbs))]

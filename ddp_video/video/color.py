"""From FFmpeg's decoded frame to upright, progressive RGB."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ddp_video.errors import DecodeError

# swscale's numbers of the YUV matrices, by the number that a frame is tagged with (ISO 23001-8).
BT709, BT601, BT2020 = 1, 5, 9
_MATRIX_OF_TAG = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: BT2020, 10: BT2020}
LIMITED, FULL = 1, 2  # swscale's ranges


Matrix = tuple[int, int, int, int]  # (a, b, c, d) of a display matrix: x' = a x + c y, y' = b x + d y
UPRIGHT: Matrix = (1, 0, 0, 1)


class RGBConverter:
    """Turns decoded frames into [H, W, 3] uint8 RGB as a player would show them.

    Honoured: the matrix and range that the frame is tagged with (untagged video is BT.709 from 720p upwards and BT.601
    below, as players guess), interlacing, and the display matrix (rotation and mirroring) that it is made with. Dropped:
    alpha, and bits beyond the eighth. HDR transfer curves are not tone-mapped.
    """

    def __init__(self, matrix: Matrix):
        self._matrix = matrix
        self._reformatter = VideoReformatter()  # keeps its tables from frame to frame

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        rgb = self._to_rgb(frame)
        if frame.interlaced_frame:
            rgb = deinterlace(rgb)
        return orient(rgb, self._matrix)

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        hd = frame.width >= 1280 or frame.height > 576
        matrix = _MATRIX_OF_TAG.get(int(frame.colorspace), BT709 if hd else BT601)
        full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
        try:
            converted = self._reformatter.reformat(
                frame,
                format="rgb24",
                src_colorspace=matrix,
                # RGB has no matrix of its own, but PyAV before 16 sets the source's only where the two differ.
                dst_colorspace=BT709 if matrix == BT601 else BT601,
                src_color_range=FULL if full else LIMITED,
                dst_color_range=FULL,
            )
            return converted.to_ndarray()
        except (av.FFmpegError, ValueError) as error:
            raise DecodeError(
                f"frames of pixel format {frame.format.name} cannot be turned into RGB ({error})"
            ) from None


def deinterlace(rgb: np.ndarray) -> np.ndarray:
    """Each odd row becomes the median of itself and its two neighbours: combs go, still detail stays.

    One frame in, one frame out, and no memory of other frames, so that seeking and resuming change nothing. [H, W, 3].
    """
    above, below = rgb[:-1:2], rgb[2::2]
    middle = rgb[1::2]
    if len(below) < len(middle):  # an even height: the last row has no neighbour below
        below = np.concatenate([below, above[-1:]])
    low, high = np.minimum(above, below), np.maximum(above, below)
    out = rgb.copy()
    out[1::2] = np.clip(middle, low, high)
    return out


def display_matrix(frame: av.VideoFrame) -> Matrix:
    """How a frame is to be turned. To be asked once a video: the answer ties the frame to itself until the next gc."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    return a, b, c, d


def is_transposed(matrix: Matrix) -> bool:
    """Whether a display matrix is closer to a quarter turn than to none, so that width and height change places."""
    return abs(matrix[1]) > abs(matrix[0])


def orient(rgb: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Turn and mirror [H, W, 3] by a display matrix, to the nearest quarter turn."""
    a, b, c, d = matrix
    along_x, along_y = a, d
    if is_transposed(matrix):
        rgb, along_x, along_y = cv2.transpose(rgb), c, b
    if along_x < 0 and along_y < 0:
        return cv2.flip(rgb, -1)
    if along_x < 0:
        return cv2.flip(rgb, 1)
    return cv2.flip(rgb, 0) if along_y < 0 else rgb

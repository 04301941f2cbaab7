"""The picture in the README: one frame of a run as filmed, and in three styles.

ddp-video infer examples/people.mp4 --smooth
python examples/make_picture.py runs/people examples/people.jpg
"""

import sys

import cv2
import numpy as np

from ddp_video.decode import decode
from ddp_video.render import STYLES, RenderOptions
from ddp_video.runs import RunFolder

FRAME = 60
WIDTH = 640  # px of one panel


def main(run_folder: str, out: str) -> None:
    run = RunFolder.open(run_folder)
    prediction = run.predictions[FRAME]
    frame = next(frame.rgb for frame in run.reader() if frame.index == FRAME)
    pose = decode(prediction)
    panels = [frame]
    panels += [STYLES[name](frame, pose, prediction, RenderOptions()) for name in ("isocontour", "parts", "instances")]
    size = WIDTH, round(WIDTH * frame.shape[0] / frame.shape[1])
    panels = [cv2.resize(panel, size, interpolation=cv2.INTER_AREA) for panel in panels]
    sheet = np.vstack([np.hstack(panels[:2]), np.hstack(panels[2:])])
    cv2.imwrite(out, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(*sys.argv[1:])

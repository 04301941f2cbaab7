"""The script that gathers again what the weights learnt from."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

SCRIPT = Path(__file__).parents[1] / "examples/gather_pictures.py"


def test_files_and_frames_of_clones_become_pictures(tmp_path, make_video):
    clone = tmp_path / "clones/somebody+things"
    (clone / "a b").mkdir(parents=True)
    cv2.imwrite(str(clone / "a b/wide.png"), np.full((30, 2560, 3), 77, np.uint8))
    video, frames = make_video("clip.mp4")
    video.rename(clone / "clip.mp4")
    git = ["git", "-C", clone, "-c", "user.name=me", "-c", "user.email=me@here"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    rows = ["source\tfile\tframe", "somebody/things\ta b/wide.png\t"]
    rows += [f"somebody/things\tclip.mp4\t{number}" for number in (1, 3)] + ["somebody/things\tgone.jpg\t"]
    (tmp_path / "list.tsv").write_text("\n".join(rows) + "\n")

    command = [sys.executable, SCRIPT, tmp_path / "list.tsv", tmp_path / "clones", tmp_path / "out"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "not there: somebody/things: gone.jpg" in said
    assert "3 of 4 pictures" in said
    found = {p.name: cv2.imread(str(p)) for p in (tmp_path / "out").iterdir()}
    wide = found.pop("somebody__things__a_b__wide-png.jpg")
    assert wide.shape == (15, 1280, 3)
    assert abs(wide.mean() - 77) < 2
    assert sorted(found) == [f"somebody__things__clip-mp4_{number:05d}.jpg" for number in (1, 3)]
    for number in (1, 3):
        errors = [
            np.abs(found[f"somebody__things__clip-mp4_{number:05d}.jpg"][..., ::-1] - 1.0 * f).mean() for f in frames
        ]
        assert np.argmin(errors) == number

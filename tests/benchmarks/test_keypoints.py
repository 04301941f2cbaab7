"""Joints that people marked: which charts count as right."""

import csv
import json

import cv2
import numpy as np
from click.testing import CliRunner

from benchmarks.keypoints import APART, JOINTS, LEARNT_FROM, look, main
from ddp_video.charts import PART_NAMES
from ddp_video.teachers.annotated import AnnotatedPerson

BOX = np.array([0.0, 0, 100, 240])
LEFT_KNEE, RIGHT_KNEE, RIGHT_WRIST = 13, 14, 10


def person(**marks):
    points = np.zeros((17, 3))
    points[[5, 6, 7, 8]] = (3, 3, 1)  # guessed: they do not count
    for keypoint, place in marks.items():
        points[int(keypoint[1:])] = (*place, 2)
    return AnnotatedPerson(BOX, points)


def test_charts_about_a_joint_are_right_swapped_or_neither():
    part = np.zeros((240, 100), np.uint8)
    for name, rows, columns in (("left upper leg", (40, 60), (10, 30)), ("right lower leg", (40, 60), (60, 80))):
        part[slice(*rows), slice(*columns)] = PART_NAMES.index(name)
    part[100:120, 10:30] = PART_NAMES.index("torso")
    marked = {f"k{LEFT_KNEE}": (20, 50), f"k{RIGHT_KNEE}": (70, 50), f"k{RIGHT_WRIST}": (20, 110)}
    tally = look(part, person(**marked))
    assert [tally["knee", what] for what in ("joints", "found", "right", "swapped")] == [2, 2, 2, 0]
    assert [tally["wrist", what] for what in ("joints", "found", "right", "swapped")] == [1, 1, 0, 0]
    assert "elbow" not in {kind for kind, _ in tally}
    exchanged = marked | {f"k{LEFT_KNEE}": (70, 50), f"k{RIGHT_KNEE}": (20, 50)}
    assert look(part, person(**exchanged))["knee", "swapped"] == 2
    assert look(np.zeros_like(part), person(**marked))["knee", "found"] == 0
    assert tally[APART, "joints"] == 3
    beside = look(part, person(**marked | {f"k{RIGHT_KNEE}": (25, 50)}))  # behind the left one, within 24 px
    assert (beside["knee", "joints"], beside["knee", "swapped"], beside[APART, "joints"]) == (2, 1, 1)


def test_pictures_that_were_learnt_from_do_not_count(tmp_path):
    with LEARNT_FROM.open(newline="") as file:
        learnt = next(csv.DictReader(file, delimiter="\t"))["file"]
    keypoints = np.tile([30.0, 40, 2], 17).tolist()
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for number, name in enumerate((learnt, "other.jpg")):
        cv2.imwrite(str(tmp_path / name), np.full((96, 64, 3), 90, np.uint8))
        content["images"].append({"id": number, "file_name": name, "height": 96, "width": 64})
        annotation = {"id": number, "image_id": number, "category_id": 1, "bbox": [5, 5, 50, 85], "area": 99.0}
        content["annotations"].append(annotation | {"keypoints": keypoints})
    file = tmp_path / "k.json"
    file.write_text(json.dumps(content))
    said = CliRunner().invoke(main, [str(file), str(tmp_path)], catch_exceptions=False).output
    assert "in 1 pictures" in said and f"| all | {2 * len(JOINTS)} |" in said
    (tmp_path / "other.jpg").unlink()
    refused = CliRunner().invoke(main, [str(file), str(tmp_path)])
    assert refused.exit_code == 2 and "no pictures" in refused.output

"""The published evaluator's own figures (published_scores.json, made by make_published_scores.py) on invented people."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from ddp_video import rle
from ddp_video.metrics.geodesics import SMPL_FILES, load_smpl
from ddp_video.metrics.gps import METRICS, AccuracyEvaluator
from ddp_video.metrics.labels import CocoLabels
from ddp_video.structures import DensePose

HEIGHT, WIDTH, NUM_IMAGES = 200, 240, 30
GOLDEN = Path(__file__).with_name("published_scores.json")


def write_smpl(folder, rng):
    """The three official files, for a made-up body of 80 vertices."""
    count, vertices = 600, 80
    charts = np.concatenate([np.arange(1, 25), rng.integers(1, 25, count - 24)])
    surface = {"U_subdiv": rng.random((count, 1)), "V_subdiv": rng.random((count, 1)), "Part_ID_subdiv": charts[None]}
    savemat(folder / SMPL_FILES[0], surface)
    savemat(folder / SMPL_FILES[1], {"index": rng.integers(1, vertices + 1, (count, 1))})
    distances = 0.3 * rng.random((vertices * (vertices - 1) // 2, 1))
    with (folder / SMPL_FILES[2]).open("wb") as file:
        pickle.dump({"Pdist_matrix": distances.astype(np.float32)}, file, protocol=2)


def write_annotations(file, rng):
    """DensePose-COCO's JSON: people with dense pose, without it, and crowds; some images without anybody."""
    annotations = []
    for image in range(NUM_IMAGES):
        for _ in range(rng.integers(0, 4) if image % 6 else 0):
            w, h = 20 + 150 * rng.random(2)
            x, y = rng.random() * (WIDTH - w), rng.random() * (HEIGHT - h)
            person = {
                "id": len(annotations) + 1,
                "image_id": image + 1,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [x, y, w, h],
                "area": w * h * (0.6 + 0.4 * rng.random()),
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            }
            kind = rng.random()
            if kind < 0.65:
                count = int(rng.integers(1, 40))
                person["dp_masks"] = [random_part_mask(rng) if rng.random() < 0.7 else [] for _ in range(14)]
                person |= {f"dp_{axis}": list(255 * rng.random(count)) for axis in "xy"}
                person |= {f"dp_{axis}": list(rng.random(count)) for axis in "UV"}
                person["dp_I"] = [float(chart) for chart in rng.integers(1, 25, count)]
            elif kind < 0.75:
                person["iscrowd"] = 1
            annotations.append(person)
    images = [{"id": i + 1, "file_name": f"{i:03d}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(NUM_IMAGES)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    file.write_text(json.dumps(content))
    return content


def random_part_mask(rng):
    mask = np.zeros((256, 256), bool)
    mask[rng.integers(0, 80) : rng.integers(170, 256), rng.integers(0, 80) : rng.integers(170, 256)] = True
    return {"size": [256, 256], "counts": rle.encode(mask).tolist()}


def random_detections(annotations, rng):
    """Instance, part, uv maps, whole-pixel boxes and scores of one image: good, bad, missing and false detections."""
    instance, part = np.zeros((HEIGHT, WIDTH), np.int32), np.zeros((HEIGHT, WIDTH), np.uint8)
    uv, boxes = rng.random((2, HEIGHT, WIDTH)).astype(np.float32), []
    for person in annotations:
        if rng.random() < 0.15:
            continue
        x, y, w, h = person["bbox"]
        x0, y0, x1, y1 = (round(edge) + int(rng.integers(-2, 3)) for edge in (x, y, x + w, y + h))
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, WIDTH), min(y1, HEIGHT)
        boxes.append([x0, y0, x1, y1])
        region = slice(y0, y1), slice(x0, x1)
        instance[region] = len(boxes)
        size = part[region].shape
        part[region] = rng.integers(0, 25, size) * (rng.random(size) < 0.95)
        quality = 0.3 + 0.7 * rng.random()
        for px, py, chart, u, v in zip(*(person.get(f"dp_{axis}", []) for axis in "xyIUV"), strict=True):
            column, row = int(px * w / 255 + x), int(py * h / 255 + y)
            if rng.random() < quality and instance[min(row, HEIGHT - 1), min(column, WIDTH - 1)] == len(boxes):
                part[row, column], uv[:, row, column] = chart, (u, v)
    for _ in range(rng.integers(0, 3)):
        w, h = rng.integers(15, 80, 2)
        x, y = int(rng.integers(0, WIDTH - w)), int(rng.integers(0, HEIGHT - h))
        boxes.append([x, y, x + int(w), y + int(h)])
        free = np.zeros_like(instance, bool)
        free[y : y + h, x : x + w] = instance[y : y + h, x : x + w] == 0
        instance[free], part[free] = len(boxes), rng.integers(1, 25, free.sum())
    scores = (rng.random(len(boxes)).argsort() + rng.random()) / 100
    return instance, part, uv, np.array(boxes, float).reshape(-1, 4), scores


def make_scene(folder):
    """Writes the SMPL files and the JSON; returns the annotations and each image's detections."""
    rng = np.random.default_rng(2022)
    write_smpl(folder, rng)
    content = write_annotations(folder / "people.json", rng)
    of_image = [[a for a in content["annotations"] if a["image_id"] == image + 1] for image in range(NUM_IMAGES)]
    return content, [random_detections(people, rng) for people in of_image]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    _, detections = make_scene(folder)
    labels, smpl, out = CocoLabels(folder / "people.json"), load_smpl(folder), {}
    for published in (True, False):
        evaluator = AccuracyEvaluator(smpl, published)
        for index, (instance, part, uv, boxes, scores) in enumerate(detections):
            maps = DensePose(torch.from_numpy(part), torch.from_numpy(uv), torch.from_numpy(instance))
            evaluator.add(maps, boxes, scores, labels.people(index))
        out[published] = evaluator.table()
    return out


@pytest.mark.parametrize("metric", METRICS)
def test_equals_the_published_evaluator(tables, metric):
    golden = json.loads(GOLDEN.read_text())[metric]
    assert tables[True][metric] == pytest.approx(golden, abs=1e-9)


def test_its_quirks_change_the_figures(tables):
    assert tables[True]["GPS"]["AP"] > tables[False]["GPS"]["AP"] + 0.01

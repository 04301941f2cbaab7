"""Sources of training pictures, their mixture, and what is said when they are missing or damaged."""

import json
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from ddp_video.data.densepose_coco import (
    DensePoseCoco,
    annotated_points,
    dense_pose_mask,
    segmentation_mask,
)
from ddp_video.data.folder import DenseFolder, Photographs
from ddp_video.data.mixture import Mixture, Numbers, batches
from ddp_video.data.sample import IGNORE, UNKNOWN_UV, UNLABELLED, collate
from ddp_video.data.sources import SourceSpec, held_out, open_source, parse_source
from ddp_video.data.transforms import Augmentation, train_crop
from ddp_video.errors import DataError
from ddp_video.train.criterion import active_sites, iuv_terms


@pytest.fixture
def folder(tmp_path):
    """Eighty little pictures with one person each."""
    for i in range(80):
        instance = np.zeros((48, 64), np.uint8)
        instance[8:40, 16:48] = 1
        part = instance * (1 + i % 24)
        cv2.imwrite(str(tmp_path / f"{i:03}.jpg"), np.full((48, 64, 3), (200, 100, i), np.uint8))
        cv2.imwrite(str(tmp_path / f"{i:03}_iuv.png"), np.stack([part, instance * 100, instance * 50], -1))
        cv2.imwrite(str(tmp_path / f"{i:03}_inst.png"), instance)
    return tmp_path


def test_dense_folder_reads_rgb_and_charts(folder):
    sample = DenseFolder(folder, held_out=None)[5]
    assert np.abs(sample.image[0, 0].astype(int) - (5, 100, 200)).max() < 8
    assert sample.part.max() == 6 and sample.instance.max() == 1
    assert sample.uv[20, 20].tolist() == [100, 50]
    assert sample.has_dense.tolist() == [True]


def test_gaps_in_the_labels_stay_gaps(folder):
    """Neither a chart nor a person is made of what is unlabelled."""
    iuv, instance = (cv2.imread(str(folder / f"005_{name}.png"), cv2.IMREAD_UNCHANGED) for name in ("iuv", "inst"))
    iuv[8:24, 16:48, 0] = UNLABELLED
    instance[0:8], instance[40:48] = IGNORE, IGNORE
    for name, maps in (("iuv", iuv), ("inst", instance)):
        cv2.imwrite(str(folder / f"005_{name}.png"), maps)
    source = DenseFolder(folder, held_out=None)
    assert source[5].has_dense.tolist() == [True]
    keep = Augmentation(
        mirror=1.0, hide=0.0, mosaic=0.0, around=0.0, zoom=(1.0, 1.0), stretch=0.0, rotation_degrees=0.0, any_angle=0.0
    )
    batch = collate([train_crop([source[5]], 64, keep, np.random.default_rng(0))])
    part, instance = batch.part[0].numpy(), batch.instance[0].numpy()
    assert set(np.unique(part)) == {0, 5, UNLABELLED} and set(np.unique(instance)) == {0, 1, IGNORE}
    assert batch.dense[0].numpy()[(part == UNLABELLED) & (instance == 1)].all()  # covered, by an unknown chart
    assert not batch.owner[0].numpy()[instance == IGNORE].any()
    with torch.no_grad():
        sites, owner = active_sites(batch)
        logits = torch.randn(len(sites), 75)
        terms = iuv_terms(logits, sites, owner, batch, smooth=False)
        unlabelled = batch.part[tuple(sites.unbind(1))] == UNLABELLED
        logits[unlabelled] += 100 * torch.randn(int(unlabelled.sum()), 75)
        assert iuv_terms(logits, sites, owner, batch, smooth=False) == terms


def test_unknown_coordinates_are_not_learnt(folder):
    """On the torso too, where a mirror turns u round."""
    iuv = cv2.imread(str(folder / "005_iuv.png"))
    iuv[iuv[..., 0] > 0] = (1, 100, 50)
    iuv[:, 32:][iuv[:, 32:, 0] > 0] = (1, UNKNOWN_UV, UNKNOWN_UV)
    cv2.imwrite(str(folder / "005_iuv.png"), iuv)
    mirror = Augmentation(
        mirror=1.0,
        hide=0.0,
        mosaic=0.0,
        around=0.0,
        zoom=(1.0, 1.0),
        stretch=0.0,
        rotation_degrees=0.0,
        any_angle=0.0,
        ragged=0.0,
    )
    batch = collate([train_crop([DenseFolder(folder, held_out=None)[5]], 64, mirror, np.random.default_rng(0))])
    unknown = (batch.part[0] == 1) & (batch.uv[0] == UNKNOWN_UV).all(0)
    known = (batch.part[0] == 1) & ~unknown
    assert unknown.any() and known.any() and torch.allclose(batch.uv[0, 0][known], torch.tensor(155 / 255))
    with torch.no_grad():
        sites, owner = active_sites(batch)
        logits = torch.randn(len(sites), 75)
        learnt = iuv_terms(logits, sites, owner, batch, smooth=False)["uv"]
        logits[unknown[tuple(sites.unbind(1)[1:])], 25:] = 100
        assert iuv_terms(logits, sites, owner, batch, smooth=False)["uv"] == learnt


def test_held_out_pictures_are_the_others(folder):
    everything = DenseFolder(folder, held_out=None).names
    training, kept = DenseFolder(folder).names, DenseFolder(folder, held_out=True).names
    assert sorted(training + kept) == everything and 0 < len(kept) < 10


def test_damaged_and_missing_data(folder, tmp_path):
    (folder / "000_iuv.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"000_iuv\.png"):
        DenseFolder(folder, held_out=None)[0]
    cv2.imwrite(str(folder / "000_iuv.png"), np.full_like(cv2.imread(str(folder / "001_iuv.png")), 28))
    with pytest.raises(DataError, match="names chart 28"):
        DenseFolder(folder, held_out=None)[0]
    with pytest.raises(DataError, match="no such data folder"):
        DenseFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    for source in (DenseFolder, Photographs):
        with pytest.raises(DataError, match=r"no .*(pictures|photographs)"):
            source(tmp_path / "empty")


def test_mixture_is_a_function_of_seed_and_number(folder):
    mixture = Mixture([DenseFolder(folder), Photographs(folder)], [1, 1], 64, Augmentation(), seed=3)
    crops = [mixture[n] for n in range(12)]
    for n in (7, 2):
        assert np.array_equal(mixture[n].image, crops[n].image)
    assert {len(crop.boxes) > 0 for crop in crops} == {True, False}  # both sources are drawn from
    other = Mixture([DenseFolder(folder)], [1], 64, Augmentation(), seed=4)
    assert not np.array_equal(other[0].image, crops[0].image)


def test_processes_share_the_numbers():
    """Two processes of 2 see in every step what one of 4 sees, and a run that starts at step 3 goes on where it was."""
    one = list(Numbers(0, 5, 4))
    two = [list(Numbers(0, 5, 2, rank, 2)) for rank in range(2)]
    assert [a + b for a, b in zip(*two, strict=True)] == one
    assert list(Numbers(3, 5, 4)) == one[3:]


def test_batches_list_the_people(folder):
    mixture = Mixture([DenseFolder(folder), Photographs(folder)], [1, 1], 64, Augmentation(mosaic=0.5), seed=0)
    batch = next(batches(mixture, Numbers(0, 1, 6), workers=0, pin_memory=False))
    assert batch.images.shape == (6, 3, 64, 64) and batch.uv.shape == (6, 2, 16, 16)
    for image, person in zip(batch.image_index, batch.person, strict=True):
        assert (batch.instance[image] == person).any()
    assert len(batch.boxes) == len(batch.person) == len(batch.has_dense)


def test_generated_pictures_are_the_generators(monkeypatch, tmp_path):
    class Generator:
        def __init__(self, pack, size):
            self.size = size

        def draw(self, seed, index):
            size = (self.size, self.size)
            person = np.full(size, 2, np.uint8)
            uv = np.full((*size, 2), 0.4, np.float32)
            image = np.full((*size, 3), (seed + index) % 256, np.uint8)
            return SimpleNamespace(image=image, person=person, part=person * 3, uv=uv)

    fake = SimpleNamespace(Generator=Generator)
    monkeypatch.setitem(sys.modules, "ddp_video.synthesis.generator", fake)
    pack = tmp_path / "pack.npz"
    pack.touch()
    training, validation = (f(parse_source(f"synthetic:{pack}"), 64) for f in (open_source, held_out))
    assert training.seed != validation.seed
    sample = training[9]
    assert (sample.image == (training.seed + 9) % 256).all() and (sample.part == 6).all() and len(sample.has_dense) == 2
    assert (sample.uv == 102).all()
    with pytest.raises(DataError, match="no asset pack"):
        open_source(parse_source("synthetic:/nowhere"), 64)


# --- DensePose-COCO


def test_run_lengths_and_polygons_equal_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = cv2.GaussianBlur(rng.random((70, 90), np.float32), (0, 0), 3) > 0.5
        packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert np.array_equal(
            segmentation_mask({"size": [70, 90], "counts": packed["counts"].decode()}, (70, 90)), mask
        )
        angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
        polygon = np.stack([45 + 30 * np.cos(angle), 35 + 25 * np.sin(angle)], 1).ravel().tolist()
        theirs = coco.decode(coco.merge(coco.frPyObjects([polygon], 70, 90))).astype(bool)
        ours = segmentation_mask([polygon], (70, 90))
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95  # border pixels are a matter of taste


def part_mask(top, left, bottom, right):
    coco = pytest.importorskip("pycocotools.mask")
    mask = np.zeros((256, 256), np.uint8, order="F")
    mask[top:bottom, left:right] = 1
    return {"size": [256, 256], "counts": coco.encode(mask)["counts"].decode()}


def box_polygon(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


@pytest.fixture
def coco_files(tmp_path):
    image = np.full((120, 160, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    annotated = {
        "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [20, 10, 64, 96], "area": 64 * 96,
        "segmentation": box_polygon(20, 10, 64, 96),
        "dp_masks": [part_mask(0, 0, 128, 256), [], *([[]] * 12)],
        "dp_x": [128.0, 64.0], "dp_y": [128.0, 32.0], "dp_I": [1.0, 23.0], "dp_U": [0.25, 0.5], "dp_V": [0.75, 1.0],
    }  # fmt: skip
    others = [
        {"image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [60, 50, 20, 20], "area": 400, "segmentation": box_polygon(60, 50, 20, 20)},
        {"image_id": 1, "category_id": 1, "iscrowd": 1, "bbox": [120, 0, 40, 120], "area": 4800, "segmentation": {"size": [120, 160], "counts": [120 * 120, 4800]}},
        {"image_id": 1, "category_id": 2, "iscrowd": 0, "bbox": [0, 0, 9, 9], "area": 81, "segmentation": box_polygon(0, 0, 9, 9)},
    ]  # fmt: skip
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "nobody.jpg"}],
        "annotations": [annotated, *others],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    return tmp_path


def test_densepose_coco(coco_files):
    source = DensePoseCoco(coco_files / "train.json", coco_files, held_out=None)
    assert len(source) == 1 and source.charts == "densepose"
    sample = source[0]
    assert sample.has_dense.tolist() == [True, False]  # larger people first; the crowd is nobody
    assert sample.instance[20, 30] == 1 and sample.instance[60, 70] == 2 and sample.instance[5, 5] == 0
    assert (sample.instance[:, 120:] == IGNORE).all()
    # The part mask is the upper half of the box; the small person in front is not covered by it.
    assert sample.dense[12:57, 22:58].all() and not sample.dense[60:].any() and not sample.dense[52, 65]
    assert sample.points[0].tolist() == pytest.approx([20 + 32, 10 + 48, 1, 0.25, 0.75])
    assert sample.points[1].tolist() == pytest.approx([20 + 16, 10 + 12, 23, 0.5, 1])


def test_points_and_masks_of_the_same_place_agree(coco_files):
    """A point at dp_y = 127 / 256 lies inside a mask of the upper 128 rows, one at 129 outside."""
    annotation = json.loads((coco_files / "train.json").read_text())["annotations"][0]
    mask = dense_pose_mask(annotation, (120, 160))
    for dp_y, inside in ((125.0, True), (131.0, False)):
        x, y = annotated_points(annotation | {"dp_y": [dp_y, dp_y]})[0, :2]
        assert mask[int(y), int(x)] == inside


def test_coco_crops_train(coco_files):
    source = DensePoseCoco(coco_files / "train.json", coco_files, held_out=None)
    mixture = Mixture([source], [1], 128, Augmentation(mosaic=0.5), seed=0)
    batch = next(batches(mixture, Numbers(0, 1, 6), workers=0, pin_memory=False))
    labelled = batch.part[(batch.owner > 0) & (batch.part != UNLABELLED)]
    assert {1, 23} <= set(labelled.tolist())
    assert batch.has_dense.any() and not batch.has_dense.all()
    assert (batch.instance == IGNORE).any() and not (batch.dense & (batch.instance == 0)).any()
    assert torch.isfinite(batch.uv).all()


def test_coco_files_say_whose_charts_they_speak(coco_files):
    content = json.loads((coco_files / "train.json").read_text())
    for info, charts in (({"charts": "ddp-video"}, "ddp-video"), ({}, "densepose"), (None, "densepose")):
        (coco_files / "train.json").write_text(json.dumps(content | {"info": info}))
        assert DensePoseCoco(coco_files / "train.json", coco_files, held_out=None).charts == charts
    (coco_files / "train.json").write_text(json.dumps(content | {"info": {"charts": "somebody's"}}))
    with pytest.raises(DataError, match="somebody's"):
        DensePoseCoco(coco_files / "train.json", coco_files)


def test_people_may_lack_any_of_what_dense_pose_adds(coco_files):
    content = json.loads((coco_files / "train.json").read_text())
    annotated, *_ = content["annotations"]
    for lacks in ({"segmentation": None}, {"segmentation": [[]]}, {"dp_masks": None}, {"dp_x": []}):
        (coco_files / "train.json").write_text(json.dumps(content | {"annotations": [annotated | lacks]}))
        sample = DensePoseCoco(coco_files / "train.json", coco_files, held_out=None)[0]
        assert len(sample.points) == (0 if "dp_x" in lacks else 2)
        assert sample.has_dense.tolist() == [lacks.get("dp_masks", 1) is not None]
    (coco_files / "train.json").write_text(json.dumps(content | {"annotations": [annotated | {"dp_I": [0, 1]}]}))
    with pytest.raises(DataError, match="dp_I"):
        DensePoseCoco(coco_files / "train.json", coco_files)


def test_not_a_coco_file(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="not a COCO JSON"):
        DensePoseCoco(tmp_path / "x.json", tmp_path)
    with pytest.raises(DataError, match="cannot read"):
        DensePoseCoco(tmp_path / "y.json", tmp_path)


# --- naming sources


def test_sources_by_name(folder, coco_files):
    assert parse_source("maps:/a/b@2.5") == SourceSpec("maps", "/a/b", 2.5)
    assert parse_source("photos:/a/b") == SourceSpec("photos", "/a/b", 1.0)
    assert isinstance(open_source(parse_source(f"maps:{folder}"), 64), DenseFolder)
    assert held_out(parse_source(f"photos:{folder}"), 64) is None
    assert len(held_out(parse_source(f"maps:{folder}"), 64)) < 10


@pytest.mark.parametrize("text", ["", "maps", "maps:", "films:/a", "maps:/a@zero", "maps:/a@-1"])
def test_wrong_source_names(text):
    with pytest.raises(ValueError, match="data source"):
        parse_source(text)


def test_coco_source_needs_two_paths():
    with pytest.raises(ValueError, match=r"ANNOTATIONS\.json,IMAGES"):
        open_source(parse_source("coco:/a.json"), 64)

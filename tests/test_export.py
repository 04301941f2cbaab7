"""Run folders as other tools read them, against pycocotools and against `decode`."""

import base64
import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ddp_video import rle
from ddp_video.cli.export import export as command
from ddp_video.decode import decode
from ddp_video.errors import OutputError, PredictionsError
from ddp_video.export import export, people
from ddp_video.predictions import PredictionWriter, open_predictions
from ddp_video.quality import expected_quality
from ddp_video.runs import SCHEMA, RunFolder
from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV
from ddp_video.video import VideoInfo

pycocotools = pytest.importorskip("pycocotools.mask", reason="needs pycocotools, of the extra [dev]")

GRID = Grid((60, 90), (60, 90))


def person_mask(y: slice, x: slice) -> torch.Tensor:
    mask = torch.full(GRID.size, -20.0)
    mask[y, x] = 3.0
    return mask


def make_prediction(index: int, masks: list[torch.Tensor], boxes: list[list[float]]) -> FramePrediction:
    count = len(masks)
    generator = torch.Generator().manual_seed(index)
    logits = torch.stack(masks) if masks else torch.zeros(0, *GRID.size)
    claimed = logits > 0
    y, x = claimed.any(dim=0).nonzero(as_tuple=True)
    owner = claimed[:, y, x].byte().argmax(dim=0) if count else y
    values = torch.cat([torch.randn(len(y), 25, generator=generator), torch.rand(len(y), 50, generator=generator)], 1)
    people = Instances(
        torch.tensor(boxes).view(count, 4),
        torch.linspace(0.9, 0.7, count),
        logits,
        logits,
        torch.arange(count) + 10,
    )
    sites = torch.stack([torch.zeros_like(y), y, x], dim=1).int()
    return FramePrediction(index, index * 512, index / 25, GRID, people, SparseIUV(sites, values, owner))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two people, the second of whom reaches past her box; nobody; one."""
    first, second = person_mask(slice(2, 12), slice(1, 8)), person_mask(slice(3, 14), slice(9, 20))
    predictions = [
        make_prediction(0, [first, second], [[3.2, 6.7, 35.9, 50.1], [40.0, 20.0, 70.5, 50.5]]),
        make_prediction(1, [], []),
        make_prediction(2, [second], [[34.0, 10.0, 84.0, 58.0]]),
    ]
    folder = tmp_path_factory.mktemp("runs") / "clip"
    folder.mkdir()
    source = VideoInfo("clip.mp4", GRID.frame_size, Fraction(1, 25), Fraction(25), 3, 0.12, "h264", "yuv420p", False)
    clip = {"start": None, "end": None, "max_frames": None, "stride": 1}
    facts = {
        "schema": SCHEMA,
        "state": "finished",
        "model": {},
        "charts": "ddp-video",
        "smoothing": None,
        "batch_size": 4,
    }
    run = RunFolder(folder, {**facts, "source": {**source.describe(), "fingerprint": "", "clip": clip}})
    run.save()
    with PredictionWriter(run.store, {}) as writer:
        for prediction in predictions:
            writer.append(prediction)
    return run


def test_densepose_holds_the_dumps_fields(run, tmp_path):
    out = tmp_path / "clip.pt"
    seen = []
    export(run, out, "densepose", lambda done, count: seen.append((done, count)))
    frames = torch.load(out, weights_only=True, mmap=True)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [len(frame["scores"]) for frame in frames] == [2, 0, 1]
    assert frames[1]["pred_boxes_XYXY"].shape == (0, 4)
    for frame, prediction in zip(frames, open_predictions(run.path), strict=True):
        dense_pose = decode(prediction)
        assert frame["file_name"] == "clip.mp4"
        assert (frame["frame_index"], frame["pts_seconds"]) == (prediction.index, prediction.pts_seconds)
        assert torch.equal(frame["scores"], prediction.instances.scores)
        assert torch.equal(frame["qualities"], expected_quality(prediction))
        assert torch.equal(frame["track_ids"], prediction.instances.track_id)
        pasted = torch.zeros(3, *GRID.frame_size)
        for box, person in zip(frame["pred_boxes_XYXY"], frame["pred_densepose"], strict=True):
            x0, y0 = box[:2].int().tolist()
            width, height = (box[2:] - box[:2]).int().tolist()
            assert person["labels"].shape == (height, width)
            assert person["uv"].shape == (2, height, width)
            pasted[0, y0 : y0 + height, x0 : x0 + width] += person["labels"]
            pasted[1:, y0 : y0 + height, x0 : x0 + width] += person["uv"]
        assert torch.equal(pasted[0].byte(), dense_pose.part)
        torch.testing.assert_close(pasted[1:], dense_pose.uv, atol=5e-4, rtol=0)


def test_boxes_grow_to_their_people_only_where_needed(run, tmp_path):
    export(run, tmp_path / "clip.pt", "densepose")
    first, second = torch.load(tmp_path / "clip.pt", weights_only=True)[0]["pred_boxes_XYXY"].tolist()
    assert first[2:] == pytest.approx([35.9, 50.1])
    assert second[0] < 40
    assert second[2] > 70.5


@pytest.mark.parametrize("tenths", range(0, 10, 3))
def test_people_are_whole_wherever_their_boxes_begin(tenths):
    masks = [person_mask(slice(2, 12), slice(3, 8))]
    for box in ([9, 6, 37, 48], [14, 9, 32, 48], [9, 6, 30, 44]):  # around the mask, and within it
        prediction = make_prediction(0, masks, [[side + tenths / 10 for side in box]])
        (person,) = people(prediction)
        assert (person.labels > 0).sum() == (decode(prediction).part > 0).sum()


def test_coco_is_read_by_pycocotools(run, tmp_path):
    from pycocotools.coco import COCO

    out = tmp_path / "clip.json"
    export(run, out, "coco")
    coco = COCO(str(out))
    assert [image["id"] for image in coco.loadImgs(coco.getImgIds())] == [0, 1, 2]
    assert len(coco.anns) == 3
    detections = coco.loadRes(json.loads(out.read_text())["annotations"])
    assert len(detections.anns) == 3
    predictions = open_predictions(run.path)
    for index, prediction in enumerate(predictions):
        dense_pose, masks = decode(prediction), predictions.person_masks(index)
        found = coco.loadAnns(coco.getAnnIds(imgIds=[index]))
        for row, annotation in enumerate(found):
            mask = coco.annToMask(annotation)
            np.testing.assert_array_equal(mask, rle.decode(masks[row], GRID.frame_size))
            assert annotation["area"] == mask.sum()
            assert annotation["quality"] == expected_quality(prediction)[row].item()
            assert annotation["track_id"] == 10 + row
            png = base64.b64decode(annotation["densepose"]["labels_uv_str"])
            values = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            assert annotation["densepose"]["shape_chw"] == [3, *values.shape[:2]]
            x0, y0 = (int(value) for value in annotation["bbox"][:2])
            inside = slice(y0, y0 + values.shape[0]), slice(x0, x0 + values.shape[1])
            own = dense_pose.instance[inside].numpy() == row + 1
            np.testing.assert_array_equal(values[..., 0], dense_pose.part[inside].numpy() * own)
            np.testing.assert_array_equal(
                values[..., 1], (dense_pose.uv[0][inside].numpy() * own * 255).astype(np.uint8)
            )


def test_a_run_that_is_not_finished_is_refused(run, tmp_path):
    begun = RunFolder(run.path, {**run.facts, "state": "running"})
    with pytest.raises(PredictionsError, match=r"not finished; .*--resume"):
        export(begun, tmp_path / "a.json", "coco")
    assert list(tmp_path.iterdir()) == []


def test_failures_leave_nothing_behind(run, tmp_path):
    with pytest.raises(ValueError, match="densepose or coco"):
        export(run, tmp_path / "a.pt", "pickle")
    with pytest.raises(OutputError, match="cannot write"):
        export(run, tmp_path / "nowhere" / "a.pt", "densepose")
    with pytest.raises(PredictionsError, match="not a run folder"):
        export(tmp_path, tmp_path / "a.pt", "densepose")

    def stop(done: int, count: int) -> None:
        raise KeyboardInterrupt

    for to in ("densepose", "coco"):
        with pytest.raises(KeyboardInterrupt):
            export(run, tmp_path / "a", to, stop)
    assert list(tmp_path.iterdir()) == []


def test_command(run, tmp_path):
    out = tmp_path / "clip.json"
    result = CliRunner().invoke(command, [str(run.path), "--to", "coco", "-o", str(out), "--quiet"])
    assert result.exit_code == 0, result.output
    assert len(json.loads(out.read_text())["annotations"]) == 3
    assert CliRunner().invoke(command, [str(run.path), "-o", str(out)]).exit_code == 2

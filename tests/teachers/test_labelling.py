"""Folders of pictures to folders of label maps; the real teachers where their files are at hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from figures import SIZE, standing, undecided

from ddp_video.charts import NUM_CLASSES
from ddp_video.cli.main import cli
from ddp_video.data.folder import DenseFolder
from ddp_video.data.sample import UNLABELLED
from ddp_video.errors import DataError, WeightsError
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model
from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV
from ddp_video.teachers.blazepose import COUNT
from ddp_video.teachers.fusion import Sighting, fuse
from ddp_video.teachers.labelling import label_folder
from ddp_video.teachers.opinions import ask_own_model
from ddp_video.teachers.witness import Witness
from ddp_video.video.reader import VideoReader

EXAMPLE = Path(__file__).parents[2] / "examples/people.mp4"
BODYPIX = Path(__file__).parents[3] / "shared/teachers/bodypix_mobilenet_v1_075_720_1280_16_quant.tflite"


class Asked:
    """A labeller that counts its frames; on dark ones there is nobody."""

    def __init__(self):
        self.frames = 0

    def __call__(self, image, people=None):
        self.frames += 1
        own, bodypix = undecided()
        box = own.boxes[0]
        if image.mean() < 50:
            bodypix[...] = np.eye(NUM_CLASSES)[0]
            return fuse(SIZE, own, bodypix, [Sighting(box, looked=True, own=0)])
        return fuse(SIZE, own, bodypix, [Sighting(box, True, Witness(standing(), np.ones(COUNT, bool)), own=0)])


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for name, grey in (("a.jpg", 100), ("b.png", 150), ("dark.jpg", 0)):
        cv2.imwrite(str(folder / name), np.full((*SIZE, 3), grey, np.uint8))
    return folder


def test_maps_are_a_training_folder(frames, tmp_path):
    tally = label_folder(frames, tmp_path / "maps", Asked())
    assert (tally.written, tally.skipped, tally.people) == (2, 1, 2)
    data = DenseFolder(tmp_path / "maps", held_out=None)
    assert data.names == ["a", "b"]
    assert data[0].part[120, 120] == 2 and data[0].has_dense.tolist() == [True]
    assert not list((tmp_path / "maps").glob("*partial*"))


def test_pictures_with_maps_are_not_asked_about_again(frames, tmp_path):
    label_folder(frames, tmp_path / "maps", Asked())
    (tmp_path / "maps" / "a_inst.png").unlink()
    again, reports = Asked(), []
    assert label_folder(frames, tmp_path / "maps", again, lambda *done: reports.append(done)).written == 1
    assert again.frames == 2  # a, and the dark one that has none
    assert reports[-1] == (3, 3)


def test_our_model_names_most_of_the_example_alike_in_the_mirror():
    image = next(iter(VideoReader(EXAMPLE))).rgb
    own = ask_own_model(DDPPredictor(load_model("ddp_lite"), "cpu"), image)
    limbs = (own.charts.argmax(-1) > 2) & (own.charts.max(-1) > 0.5)
    agreed = own.agreed(0.5)
    assert limbs.sum() > 100 and (agreed != UNLABELLED)[limbs].mean() > 0.6
    assert np.array_equal(agreed[agreed != UNLABELLED], own.charts.argmax(-1)[agreed != UNLABELLED])


def test_coordinates_at_an_outline_are_those_of_the_person():
    """Between cells that were looked at and others, on a grid that is not the predictor's."""

    class Alike:
        """Sees one person, all of whom is at U = V = .8 of chart 2."""

        def for_clip(self, sample):
            return self

        def predict(self, frames):
            grid = Grid(frames.frame_size, (96, 144))
            rows, columns = np.mgrid[6:18, 9:21].reshape(2, -1)
            sites = torch.tensor(np.stack([np.zeros_like(rows), rows, columns], 1), dtype=torch.int32)
            logits = torch.full((len(sites), 75), 0.8)
            logits[:, :25] = 9.0 * torch.eye(25)[2]
            people = Instances(
                torch.tensor([[36.0, 24, 84, 72]]), torch.ones(1), *torch.ones(2, 1, *grid.size), torch.ones(1)
            )
            return [FramePrediction(0, 0, 0.0, grid, people, SparseIUV(sites, logits, torch.zeros(len(sites)).long()))]

    opinion = ask_own_model(Alike(), np.zeros((128, 192, 3), np.uint8))
    assert opinion.seen.any() and not opinion.seen.all()
    assert np.allclose(opinion.uv[opinion.seen][:, 2], 0.8, atol=0.01)


def test_no_pictures_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        label_folder(tmp_path / "missing", tmp_path / "maps", Asked())
    with pytest.raises(DataError, match="no pictures"):
        label_folder(tmp_path, tmp_path / "maps", Asked())


def test_a_missing_or_wrong_model_file_is_named(tmp_path):
    pytest.importorskip("ai_edge_litert")
    from ddp_video.teachers.blazepose import BlazePose

    with pytest.raises(WeightsError, match=r"cannot read .*gone\.tflite"):
        BlazePose(tmp_path / "gone.tflite")
    if BODYPIX.exists():
        with pytest.raises(WeightsError, match="not the expected model"):
            BlazePose(BODYPIX)


def test_the_command_says_what_is_missing(frames, tmp_path):
    pytest.importorskip("ai_edge_litert")
    arguments = [
        "label",
        str(frames),
        "-o",
        str(tmp_path / "maps"),
        "--bodypix",
        "no.tflite",
        "--blazepose",
        "no.tflite",
    ]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, WeightsError) and "no.tflite" in str(result.exception)
    result = CliRunner().invoke(cli, [*arguments, "--keypoints", "no.json"])
    assert isinstance(result.exception, DataError) and "cannot read no.json" in str(result.exception)


@pytest.mark.skipif(not BODYPIX.exists(), reason="needs ../shared/teachers")
def test_the_real_bodypix_gives_probabilities_and_sees_nobody_in_grey():
    pytest.importorskip("ai_edge_litert")
    from ddp_video.teachers.bodypix import BodyPix
    from ddp_video.teachers.opinions import ask_bodypix

    charts = ask_bodypix(BodyPix(BODYPIX), np.full((250, 330, 3), 128, np.uint8))
    assert charts.shape == (63, 83, NUM_CLASSES)
    assert np.allclose(charts.sum(-1), 1, atol=1e-4)
    assert (charts[..., 0] > 0.5).all()

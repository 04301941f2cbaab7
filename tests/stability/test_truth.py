"""Against exact labels: a run that is its own truth, one that is not, and labels of something else."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from discs import DiscPredictor, moving_discs, write_video

from ddp_video.cli.evaluate_stability import evaluate_stability as command
from ddp_video.decode import decode
from ddp_video.errors import DataError
from ddp_video.pictures import PictureSettings
from ddp_video.pipeline import infer, smooth
from ddp_video.render import iuv
from ddp_video.stability import evaluate_stability, pool
from ddp_video.stability.truth import FollowedPeople

FRAMES = 6


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with raw/discs, smoothed/discs, and labels/discs, whose labels are what raw says."""
    folder = tmp_path_factory.mktemp("truth")
    large = [cv2.resize(p, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for p in moving_discs(FRAMES)]
    video = write_video(folder / "discs.mkv", large)
    pictures = PictureSettings(styles=("isocontour",))
    raw = infer(video, DiscPredictor(), folder / "raw" / "discs", pictures=pictures)
    smooth(raw, folder / "smoothed" / "discs", pictures=pictures)
    labels = folder / "labels" / "discs"
    labels.mkdir(parents=True)
    for index, (picture, prediction) in enumerate(zip(large, raw.predictions, strict=True)):
        pose = decode(prediction)
        cv2.imwrite(str(labels / f"{index:05d}.png"), picture[..., ::-1])
        cv2.imwrite(str(labels / f"{index:05d}_iuv.png"), iuv(pose))  # I first, as OpenCV reads them
        cv2.imwrite(str(labels / f"{index:05d}_inst.png"), pose.instance.numpy().astype(np.uint8))
    return folder


def test_a_run_that_is_its_own_truth_is_right_everywhere(clips):
    raw, smoothed, labels = evaluate_stability(
        [clips / "raw" / "discs", clips / "smoothed" / "discs"], truth=clips / "labels" / "discs"
    )
    assert raw.accuracy.table()["mask"]["AP"] == raw.accuracy.agreement.rates()["part"] == 1
    assert raw.accuracy.table()["GPS"]["AP"] > 0.99
    assert raw.accuracy.num_people == 2 * FRAMES and raw.id_switches == 0
    assert 0.5 < smoothed.accuracy.agreement.rates()["chart"] < 1
    for name, series in labels.series.items():  # U and V of labels have 8 bits
        assert series.value == pytest.approx(raw.series[name].value, rel=0.01, abs=1e-3), name
    assert labels.frames == FRAMES and labels.accuracy is labels.id_switches is labels.lag is None
    both = pool([raw, smoothed], "both")
    assert both.accuracy.num_people == 4 * FRAMES
    shares = [one.accuracy.agreement.rates()["chart"] for one in (raw, smoothed)]
    assert both.accuracy.agreement.rates()["chart"] == pytest.approx(np.mean(shares))
    assert both.accuracy.table()["mask"]["AR"] <= raw.accuracy.table()["mask"]["AR"]


def test_the_command_finds_the_labels_of_each_clip(clips, tmp_path):
    folders = [str(clips / "raw"), str(clips / "smoothed")]
    report = ["--truth", str(clips / "labels"), "--json", str(tmp_path / "a.json"), "--report", str(tmp_path / "page")]
    done = CliRunner().invoke(command, [*folders, "-q", *report], catch_exceptions=False)
    assert done.exit_code == 0 and "GPS AP" in done.output and "100.0 %" in done.output
    assert '"GPS AP": ' in (tmp_path / "a.json").read_text()
    assert len([line for line in done.output.splitlines() if line.startswith("exact labels")]) == 1
    assert [one["name"] for one in json.loads((tmp_path / "a.json").read_text())["results"]] == [
        *folders,
        "exact labels",
    ]
    page = (tmp_path / "page" / "discs" / "index.html").read_text()
    assert "<th>GPS AP</th>" in page and "exact labels</td>" in page and "<h2>discs | discs</h2>" in page


def test_labels_of_something_else_are_refused(clips, tmp_path):
    video = write_video(tmp_path / "short.mkv", moving_discs(FRAMES - 1))
    short = infer(video, DiscPredictor(), tmp_path / "short", pictures=PictureSettings(styles=("isocontour",)))
    with pytest.raises(DataError, match=f"labels {FRAMES} frames and the run folder holds {FRAMES - 1}"):
        evaluate_stability([short.path], truth=clips / "labels" / "discs")
    small = write_video(tmp_path / "small.mkv", moving_discs(FRAMES))
    small = infer(small, DiscPredictor(), tmp_path / "small", pictures=PictureSettings(styles=("isocontour",)))
    with pytest.raises(DataError, match="are these the labels of that run"):
        evaluate_stability([small.path], truth=clips / "labels" / "discs")
    with pytest.raises(ValueError, match="only run folders"):
        evaluate_stability([video], truth=clips / "labels" / "discs")


def test_a_person_is_followed_through_hiding_and_not_across_a_cut():
    people = np.zeros((60, 60), np.int64)
    people[:, :30], people[:, 30:] = 1, 2
    followed = FollowedPeople()
    followed.push(np.where(people == 1, 7, 9), people)
    followed.push(np.where(people == 1, 7, 0), people)  # nobody for person 2
    followed.push(np.full_like(people, 7), people)  # the track of the other swallows him
    followed.push(np.where(people == 1, 7, 9), people)
    assert followed.switches == 0
    followed.push(np.where(people == 1, 9, 7), people)  # both wrong
    assert followed.switches == 2
    followed.push(np.where(people == 1, 7, 9), people, new_shot=True)
    assert followed.switches == 2

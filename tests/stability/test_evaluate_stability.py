"""evaluate-stability on run folders and videos made here: figures, formats, refusals."""

import base64
import json
import math
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from discs import DiscPredictor, moving_discs, write_video

from ddp_video.cli.evaluate_stability import evaluate_stability as command
from ddp_video.cli.main import cli
from ddp_video.errors import VideoOpenError
from ddp_video.metrics.similarity import luma, psnr, ssim
from ddp_video.pictures import PictureSettings
from ddp_video.pipeline import infer, smooth
from ddp_video.stability import evaluate_stability, pool
from ddp_video.stability.plot import moving_mean, ticks, value_range
from ddp_video.stability.table import METRICS, as_json, table
from ddp_video.video import VideoReader

FRAMES = 12


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(raw, smoothed) run folders of one clip, in folders of their own."""
    folder = tmp_path_factory.mktemp("stability")
    video = write_video(folder / "discs.mkv", moving_discs(FRAMES))
    pictures = PictureSettings(styles=("isocontour",))
    raw = infer(video, DiscPredictor(), folder / "raw" / "discs", pictures=pictures)
    smoothed = smooth(raw, folder / "smoothed" / "discs", pictures=pictures)
    return raw.path, smoothed.path


@pytest.fixture(scope="module")
def results(runs):
    return evaluate_stability(runs)


def test_itf_and_isi_are_means_over_the_isocontour_video(runs, results):
    frames = [luma(frame.rgb) for frame in VideoReader(runs[0] / "isocontour.mp4")]
    pairs = list(pairwise(frames))
    assert results[0].frames == FRAMES
    assert results[0].series["itf"].value == pytest.approx(np.mean([psnr(a, b) for a, b in pairs]))
    assert results[0].series["isi"].value == pytest.approx(np.mean([ssim(a, b) for a, b in pairs]))


def test_smoothing_shows(results):
    raw, smoothed = (result.series for result in results)
    for measure in ("iuv_warp_error", "chart_flips", "uv_drift"):
        assert smoothed[measure].value < raw[measure].value
    assert results[0].lag is None and results[1].lag.changed > 0
    assert results[0].id_switches == results[1].id_switches == 0


def test_the_same_video_under_another_path_is_the_same_video(runs, results, tmp_path):
    elsewhere = tmp_path / "smoothed"
    shutil.copytree(runs[1], elsewhere)
    facts = json.loads((elsewhere / "run.json").read_text())
    source = Path(facts["source"]["path"])
    facts["source"]["path"] = str(source.parent / ".." / source.parent.name / source.name)
    (elsewhere / "run.json").write_text(json.dumps(facts))
    assert evaluate_stability([runs[0], elsewhere])[1].lag.changed == results[1].lag.changed


def test_inputs_do_not_disturb_each_other(runs, results):
    alone = evaluate_stability([runs[1]])[0]
    for name, series in alone.series.items():
        assert series.numerators == results[1].series[name].numerators, name


def test_plain_videos_follow_their_own_flow_or_that_of_a_source(runs, results):
    picture = runs[0] / "isocontour.mp4"
    own, followed = (evaluate_stability([picture], source)[0] for source in (None, runs[0].parents[1] / "discs.mkv"))
    assert own.series["itf"].value == results[0].series["itf"].value
    assert followed.series["warp_error"].value == pytest.approx(results[0].series["warp_error"].value)
    assert own.series["warp_error"].value != followed.series["warp_error"].value
    assert math.isnan(own.series["chart_flips"].value) and own.id_switches is None and own.lag is None


def test_one_frame_and_nobody(tmp_path):
    for name, pictures in (("one", moving_discs(1)), ("nobody", moving_discs(3, people=0))):
        video = write_video(tmp_path / f"{name}.mkv", pictures)
        run = infer(video, DiscPredictor(), tmp_path / name)
        result = evaluate_stability([run.path])[0]
        assert result.frames == len(pictures)
        assert math.isnan(result.series["chart_flips"].value)
        assert math.isfinite(result.series["itf"].value) == (len(pictures) > 1)
        assert name in table([result]) and json.dumps(as_json([result]), allow_nan=False)


def test_frozen_video_is_capped_and_counted(tmp_path):
    video = write_video(tmp_path / "still.mkv", moving_discs(1) * 4)
    result = evaluate_stability([video])[0]
    assert result.series["itf"].value == 100 and result.identical_pairs == 3
    assert result.series["warp_error"].value == 0


def test_cuts_are_not_followed(tmp_path):
    other = [255 - np.roll(picture, 40, axis=1)[::-1] for picture in moving_discs(5, people=1)]
    video = write_video(tmp_path / "cut.mkv", [*moving_discs(5), *other])
    result = evaluate_stability([video])[0]
    assert len(result.series["itf"].numerators) == 9 and len(result.series["warp_error"].numerators) == 8


def test_source_of_another_size_is_refused(runs, tmp_path):
    larger = write_video(tmp_path / "large.mkv", moving_discs(3, 128, 192))
    with pytest.raises(ValueError, match="same size"):
        evaluate_stability([runs[0] / "isocontour.mp4"], source=larger)


def test_odd_sizes_padded_by_the_encoder(tmp_path):
    video = write_video(tmp_path / "odd.mkv", moving_discs(3, 63, 95))
    run = infer(video, DiscPredictor(), tmp_path / "odd")
    assert evaluate_stability([run.path])[0].frames == 3


@pytest.mark.parametrize("pictures", [PictureSettings(styles=("iuv",)), PictureSettings(formats=("png",))])
def test_run_without_isocontours_says_how_to_draw_them(tmp_path, pictures):
    video = write_video(tmp_path / "a.mkv", moving_discs(2))
    run = infer(video, DiscPredictor(), tmp_path / "run", pictures=pictures)
    with pytest.raises(VideoOpenError, match=r"ddp-video render .* --style isocontour") as refused:
        evaluate_stability([run.path])
    advice = str(refused.value).split("`")[1].split()[1:]
    assert CliRunner().invoke(cli, advice).exit_code == 0
    assert evaluate_stability([run.path])[0].frames == 2


def test_pooling_weighs_pairs(results):
    both = pool(results, "both")
    itf = [result.series["itf"].value for result in results]
    assert both.frames == 2 * FRAMES and both.series["itf"].value == pytest.approx(np.mean(itf))
    assert both.lag.changed == results[1].lag.changed


def test_table_is_aligned_and_tells_the_change(results):
    lines = table(results).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == 4
    gain = results[1].series["itf"].value - results[0].series["itf"].value
    assert f"{gain:+.2f}" in lines[3] and "x 0." in lines[3]


class Tags(HTMLParser):
    """Fails on tags that do not close, and gathers what is referred to."""

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_command_writes_json_plot_and_report(runs, tmp_path):
    raw, smoothed = map(str, runs)
    files = [
        "--json",
        str(tmp_path / "a.json"),
        "--plot",
        str(tmp_path / "a.png"),
        "--report",
        str(tmp_path / "report"),
    ]
    done = CliRunner().invoke(command, [raw, smoothed, "--quiet", *files], catch_exceptions=False)
    assert done.exit_code == 0 and "ITF [dB]" in done.output
    figures = json.loads((tmp_path / "a.json").read_text())
    assert [result["frames"] for result in figures["results"]] == [FRAMES, FRAMES]
    for result in figures["results"]:
        for key in METRICS:
            assert result[key]["low"] <= result[key]["value"] <= result[key]["high"]
            assert len(result[key]["curve"]) == FRAMES - 1
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape == (800, 1400, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    tags = Tags()
    tags.feed((tmp_path / "report" / "index.html").read_text())
    (inside,) = tags.links  # nothing beside the page is needed
    assert not tags.open and inside.startswith("data:video/mp4;base64,")
    beside = tmp_path / "report" / "side_by_side.mp4"
    assert base64.b64decode(inside.partition(",")[2]) == beside.read_bytes()
    video = VideoReader(beside)
    assert video.info.size == (64, 192) and len(list(video)) == FRAMES


def test_command_compares_folders_of_clips(runs, tmp_path):
    folders = [str(path.parent) for path in runs]
    second = write_video(tmp_path / "second.mkv", moving_discs(3))
    for folder in folders:
        infer(
            second,
            DiscPredictor(),
            f"{folder}/second",
            pictures=PictureSettings(styles=("isocontour",)),
            overwrite=True,
        )
    infer(
        second, DiscPredictor(), f"{folders[0]}/alone", pictures=PictureSettings(styles=("isocontour",)), overwrite=True
    )
    done = CliRunner().invoke(command, [*folders, "-q", "--json", str(tmp_path / "a.json")], catch_exceptions=False)
    assert done.exit_code == 0 and "all 2 clips" in done.output and "alone has no counterpart" in done.output
    figures = json.loads((tmp_path / "a.json").read_text())
    assert set(figures["clips"]) == {"discs", "second"} and figures["results"][0]["frames"] == FRAMES + 3


def test_plot_helpers():
    assert ticks(0.13, 0.97) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert ticks(-1, 39, 8) == pytest.approx([0, 5, 10, 15, 20, 25, 30, 35])
    curve = np.array([30.0, 100, np.nan, 34])
    low, high = value_range([curve], cap=100)
    assert 29 < low < 30 and 34 < high < 35
    assert all(
        a < b for a, b in (value_range([np.zeros(0)]), value_range([np.full(3, 100.0)], 100), value_range([np.ones(2)]))
    )
    assert np.nanmax(np.abs(moving_mean(np.full(300, 2.0)) - 2)) < 1e-12
    assert moving_mean(curve)[0] == pytest.approx(65)
    assert len(moving_mean(np.zeros(0))) == 0  # a clip of one frame

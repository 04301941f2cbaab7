from dataclasses import replace

import numpy as np
import pytest
import torch

from ddp_video.structures import Flow, Grid
from ddp_video.temporal.smoothing import COLOUR_TOLERANCE, Smoother, SmoothingSettings
from ddp_video.temporal.warp import inside

ROBUST, PAPER = SmoothingSettings(radius=2), SmoothingSettings(mode="paper")


class KnownFlow:
    """An estimator for tests: the whole picture moves by `step` cells a frame. Frames carry their number in pixel 0."""

    def __init__(self, step=(0.0, 0.0)):
        self.step, self.pairs_asked = step, []

    def describe(self):
        return "known"

    def prepare(self, frame_rgb):
        return int(frame_rgb[0, 0, 0])

    def pairs(self, t, s, grid):
        self.pairs_asked += list(zip(t, s, strict=True))
        gap = torch.tensor([b - a for a, b in zip(t, s, strict=True)]).float()
        flow = gap[:, None, None, None] * torch.tensor(self.step)[:, None, None].expand(1, 2, *grid.size)
        return Flow(flow, inside(flow))


def numbered(index, size=(128, 160), colour=(0, 0, 0)):
    frame = np.full((*size, 3), colour, np.uint8)
    frame[0, 0, 0] = index
    return frame


def smooth(predictions, settings, estimator=None, frames=None):
    if frames is None:
        frames = [numbered(i, p.grid.frame_size) for i, p in enumerate(predictions)]
    smoother = Smoother(settings, estimator or KnownFlow())
    out = []
    for prediction, frame in zip(predictions, frames, strict=True):
        out += smoother.push(prediction, frame)
    return out + smoother.flush()


def same(a, b, exact=True):
    assert torch.equal(a.iuv.sites, b.iuv.sites) and torch.equal(a.iuv.owner, b.iuv.owner)
    for x, y in (
        (a.iuv.logits, b.iuv.logits),
        (a.instances.mask_logits, b.instances.mask_logits),
        (a.instances.dense_mask_logits, b.instances.dense_mask_logits),
    ):
        assert torch.equal(x, y) if exact else torch.allclose(x, y, atol=1e-3, rtol=1e-3)


@pytest.fixture
def noisy(make_prediction, grid):
    """A function giving n frames of one still person with noise on all logits."""

    def make(count, box=(6, 8, 26, 30), sigma=1.0, step=(0, 0), **kwargs):
        predictions = []
        for i in range(count):
            torch.manual_seed(i)
            dy, dx = i * step[1], i * step[0]
            person = (box[0] + dy, box[1] + dx, box[2] + dy, box[3] + dx)
            clean = make_prediction(grid, [person], index=i, track_ids=[7], **kwargs)
            masks = clean.instances.mask_logits + sigma * torch.randn(1, *grid.size)
            predictions.append(
                replace(
                    clean,
                    instances=replace(clean.instances, mask_logits=masks.half().float()),
                    iuv=replace(
                        clean.iuv,
                        logits=(clean.iuv.logits + sigma * torch.randn(clean.iuv.logits.shape)).half().float(),
                    ),
                )
            )
        return predictions

    return make


@pytest.mark.parametrize("mode", ["robust", "paper"])
@pytest.mark.parametrize("count", [1, 2, 4, 9])
@pytest.mark.parametrize("causal", [False, True])
def test_every_frame_comes_out_once_in_order(noisy, mode, count, causal):
    out = smooth(noisy(count), SmoothingSettings(mode=mode, causal=causal))
    assert [p.index for p in out] == list(range(count))
    assert [p.pts for p in out] == [512 * i for i in range(count)]


@pytest.mark.parametrize("mode", ["robust", "paper"])
def test_a_window_of_one_is_the_input(noisy, mode):
    predictions = noisy(3)
    for before, after in zip(predictions, smooth(predictions, SmoothingSettings(mode=mode, radius=0)), strict=True):
        same(before, after)
    same(noisy(1)[0], smooth(noisy(1), SmoothingSettings(mode=mode))[0])


@pytest.mark.parametrize("mode", ["robust", "paper"])
def test_a_still_clip_equals_its_input_within_rounding(noisy, texture, mode):
    predictions = [replace(noisy(1)[0], index=i) for i in range(6)]
    frame = texture(128, 160)
    smoother = Smoother(SmoothingSettings(mode=mode))  # with real DIS
    out = [p for prediction in predictions for p in smoother.push(prediction, frame)] + smoother.flush()
    for before, after in zip(predictions, out, strict=True):
        same(before, after, exact=False)


def test_paper_mode_is_equation_6_in_numpy(noisy):
    """Against a dense float64 loop over pixels, with fractional flow and given alphas."""
    step, alphas = (0.75, -0.5), (0.1, 0.2, 0.3, 0.25, 0.15)
    predictions = noisy(5)
    out = smooth(predictions, replace(PAPER, alphas=alphas), KnownFlow(step))[2]
    rows, columns = predictions[0].grid.size
    dense = [p.iuv.dense((rows, columns)).double().numpy() for p in predictions]
    expected = np.zeros_like(dense[0])
    for s, alpha in enumerate(alphas):
        dx, dy = (s - 2) * step[0], (s - 2) * step[1]
        for y in range(rows):
            for x in range(columns):
                left, top = int(np.floor(x + dx)), int(np.floor(y + dy))
                for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                    weight = (1 - abs(x + dx - column)) * (1 - abs(y + dy - row))
                    if 0 <= row < rows and 0 <= column < columns:
                        expected[:, y, x] += alpha * weight * dense[s][:, row, column]
    assert np.abs(out.iuv.dense((rows, columns)).numpy() - expected).max() < 4e-3  # half an ulp of float16 at 5
    assert torch.equal(out.instances.mask_logits, predictions[2].instances.mask_logits)


@pytest.mark.parametrize("mode", ["robust", "paper"])
def test_windows_shrink_at_the_ends_with_weights_renormalised(noisy, mode):
    predictions = noisy(3)
    charts = [p.iuv.logits[:, :25] for p in predictions]
    first, last = (smooth(predictions, SmoothingSettings(mode=mode, radius=1))[i] for i in (0, 2))
    assert torch.allclose(first.iuv.logits[:, :25], (charts[0] + charts[1]) / 2, atol=4e-3)
    assert torch.allclose(last.iuv.logits[:, :25], (charts[1] + charts[2]) / 2, atol=4e-3)
    causal = smooth(predictions, SmoothingSettings(mode=mode, radius=1, causal=True))
    assert torch.equal(causal[0].iuv.logits, predictions[0].iuv.logits)
    assert torch.allclose(causal[1].iuv.logits[:, :25], (charts[0] + charts[1]) / 2, atol=4e-3)


def test_u_and_v_count_by_the_probability_of_their_chart(noisy):
    """Against a plain loop over the charts."""
    predictions = noisy(3)
    out = smooth(predictions, replace(ROBUST, radius=1, alphas=(0.2, 0.5, 0.3)))[1].iuv.logits
    probability = [p.iuv.logits[:, :25].softmax(1) for p in predictions]
    for chart in range(25):
        for channel in (25 + chart, 50 + chart):
            total = weight = 0
            for alpha, p, prediction in zip((0.2, 0.5, 0.3), probability, predictions, strict=True):
                share = alpha * (p[:, chart] + 1e-3)
                total, weight = total + share * prediction.iuv.logits[:, channel], weight + share
            assert torch.allclose(out[:, channel], total / weight, atol=4e-3)


def test_moving_noise_is_averaged_along_the_motion(noisy):
    """Noise falls by sqrt(5), and nothing is smeared over the moving edge."""
    predictions = noisy(9, step=(1, 0), logits=torch.zeros(75, 32, 40))
    out = smooth(predictions, ROBUST, KnownFlow((1.0, 0.0)))
    for before, after in zip(predictions[2:-2], out[2:-2], strict=True):
        assert torch.equal(before.iuv.sites, after.iuv.sites)
        assert after.iuv.logits[:, :25].std() < 0.5 * before.iuv.logits[:, :25].std()


def test_chained_flow_equals_direct_flow_of_uniform_motion(noisy):
    predictions = noisy(6, step=(1, 0))
    direct, chained = KnownFlow((1.0, 0.0)), KnownFlow((1.0, 0.0))
    a = smooth(predictions, replace(ROBUST, chain=False), direct)
    b = smooth(predictions, ROBUST, chained)
    rows, columns = predictions[0].grid.size
    for before, after in zip(a, b, strict=True):
        x, y = before.iuv.dense((rows, columns)), after.iuv.dense((rows, columns))
        assert torch.allclose(x[:, :, :-2], y[:, :, :-2], atol=4e-3)
    assert len(direct.pairs_asked) == len(set(direct.pairs_asked)) == 2 * (5 + 4)
    assert len(chained.pairs_asked) == len(set(chained.pairs_asked)) == 2 * 5


def test_a_flickering_hole_is_filled_and_a_lone_blob_is_masked(make_prediction, grid):
    person = (6, 8, 26, 30)
    predictions = [make_prediction(grid, [person], index=i, track_ids=[3]) for i in range(5)]
    whole = predictions[2]
    hole = (whole.iuv.sites[:, 1] < 12) & (whole.iuv.sites[:, 2] < 14)
    holed_mask = whole.instances.mask_logits.clone()
    holed_mask[0, 6:12, 8:14] = -4
    holed_mask[0, 28:31, 2:5] = 4  # the blob
    predictions[2] = replace(
        whole,
        instances=replace(whole.instances, mask_logits=holed_mask),
        iuv=replace(
            whole.iuv, sites=whole.iuv.sites[~hole], logits=whole.iuv.logits[~hole], owner=whole.iuv.owner[~hole]
        ),
    )
    out = smooth(predictions, ROBUST)[2]
    same(whole, replace(out, instances=whole.instances), exact=False)
    assert torch.equal(out.instances.mask_logits > 0, whole.instances.mask_logits > 0)


@pytest.mark.parametrize("missed", [(2,), (2, 3)])
def test_somebody_missed_for_a_moment_is_put_back(make_prediction, grid, missed):
    """Walking; sites, masks, box and track of the missed frames equal those of a clip without the miss."""
    step = (1.0, 0.0)

    def clip(missing):
        out = []
        for i in range(7):
            people = [(4, 24, 12, 34), (6, 4 + i, 26, 14 + i)]
            ids = [8, 5]
            if i in missing:
                people, ids = people[:1], ids[:1]
            predictions = make_prediction(
                grid, people, index=i, track_ids=ids, logits=torch.full((75, *grid.size), 2.0)
            )
            out.append(predictions)
        return out

    whole = smooth(clip(()), ROBUST, KnownFlow(step))
    for i, out in enumerate(smooth(clip(missed), ROBUST, KnownFlow(step))):
        assert sorted(out.instances.track_id.tolist()) == [5, 8]
        assert (out.instances.scores.diff() <= 0).all()
        row, expected = (p.instances.track_id.tolist().index(5) for p in (out, whole[i]))
        assert torch.equal(out.instances.mask_logits[row] > 0, whole[i].instances.mask_logits[expected] > 0)
        assert torch.allclose(out.instances.boxes_xyxy[row], whole[i].instances.boxes_xyxy[expected])
        assert torch.equal(out.iuv.sites, whole[i].iuv.sites)
        assert torch.equal(out.instances.track_id[out.iuv.owner], whole[i].instances.track_id[whole[i].iuv.owner])


def test_nobody_is_put_back_where_he_came_or_left(make_prediction, grid):
    there, gone = [(6, 8, 26, 18)], []
    predictions = [
        make_prediction(grid, there if i in (2, 3, 4) else gone, index=i, track_ids=[5] if i in (2, 3, 4) else [])
        for i in range(7)
    ]
    assert [len(p.instances) for p in smooth(predictions, ROBUST)] == [0, 0, 1, 1, 1, 0, 0]
    causal = smooth(predictions, replace(ROBUST, causal=True))
    assert [len(p.instances) for p in causal] == [0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("causal", "people"), [(False, [1, 1, 1, 1, 1, 1, 2]), (True, [1, 1, 1, 2, 1, 1, 2])])
def test_who_is_seen_for_one_frame_only_is_nobody_unless_it_is_the_last(make_prediction, grid, causal, people):
    boxes = [(4, 24, 12, 34), (6, 4, 26, 14)]
    predictions = [
        make_prediction(grid, boxes[: 1 + (i in (3, 6))], index=i, track_ids=[8, 9 + i][: 1 + (i in (3, 6))])
        for i in range(7)
    ]
    outs = smooth(predictions, replace(ROBUST, causal=causal))
    assert [len(out.instances) for out in outs] == people
    assert all((out.iuv.owner < len(out.instances)).all() for out in outs)


def test_whom_the_tracker_loses_in_every_frame_stays(make_prediction, grid):
    predictions = [make_prediction(grid, [(6, 3 * i, 26, 3 * i + 8)], index=i, track_ids=[i + 1]) for i in range(7)]
    assert [out.instances.track_id.tolist() for out in smooth(predictions, ROBUST)] == [[i + 1] for i in range(7)]


@pytest.mark.parametrize("other_lost", [False, True])
def test_a_mask_that_swallows_somebody_for_a_moment_is_outvoted(make_prediction, grid, other_lost):
    """Masks, boxes, sites and owners of that frame equal those of a clip without the accident."""
    left, right, both = (6, 4, 26, 14), (6, 14, 26, 25), (6, 4, 26, 25)
    clip = [make_prediction(grid, [left, right], index=i, track_ids=[1, 2]) for i in range(7)]
    whole = smooth(clip, ROBUST)[3]
    people, ids = ([both], [1]) if other_lost else ([both, (6, 22, 8, 25)], [1, 2])
    clip[3] = make_prediction(grid, people, index=3, track_ids=ids)
    out = smooth(clip, ROBUST)[3]
    assert out.instances.track_id.tolist() == whole.instances.track_id.tolist()
    assert torch.equal(out.instances.mask_logits > 0, whole.instances.mask_logits > 0)
    assert torch.allclose(out.instances.boxes_xyxy, whole.instances.boxes_xyxy)
    assert torch.equal(out.iuv.sites, whole.iuv.sites) and torch.equal(out.iuv.owner, whole.iuv.owner)


def test_people_who_swallow_each_other_in_turn_keep_their_charts(make_prediction, grid):
    """The left one swallows the right one in frame 3, the right one the left one in frames 2, 4 and 6."""
    left, right, both = (6, 4, 26, 14), (6, 14, 26, 25), (6, 4, 26, 25)
    clip = [make_prediction(grid, [left, right], index=i, track_ids=[1, 2]) for i in range(7)]
    whole = smooth(clip, ROBUST)[3]
    for i, people, ids in ((2, [both, left], [2, 1]), (3, [both, right], [1, 2])):
        clip[i] = make_prediction(grid, people, index=i, track_ids=ids)
    clip[4], clip[6] = (replace(clip[2], index=i) for i in (4, 6))
    out = smooth(clip, ROBUST)[3]
    tracks = [p.instances.track_id[p.iuv.owner] for p in (out, whole)]
    assert torch.equal(out.iuv.sites, whole.iuv.sites) and torch.equal(*tracks)


def test_who_was_swallowed_when_first_seen_is_there(make_prediction, grid):
    """The right one comes into sight in frame 3, where the left one's mask holds both."""
    left, right, both = (6, 4, 26, 14), (6, 14, 26, 25), (6, 4, 26, 25)
    clip = [make_prediction(grid, [left], index=i, track_ids=[1]) for i in range(3)]
    clip += [make_prediction(grid, [both], index=3, track_ids=[1])]
    clip += [make_prediction(grid, [left, right], index=i, track_ids=[1, 2]) for i in range(4, 7)]
    out, whole = smooth(clip, ROBUST)[3], clip[4]
    assert out.instances.track_id.tolist() == [1, 2]
    assert torch.equal(out.instances.mask_logits > 0, whole.instances.mask_logits > 0)
    assert torch.equal(out.iuv.sites, whole.iuv.sites) and torch.equal(out.iuv.owner, whole.iuv.owner)
    clip[3] = make_prediction(grid, [left], index=3, track_ids=[1])
    assert smooth(clip, ROBUST)[3].instances.track_id.tolist() == [1]


def test_where_the_picture_changed_a_neighbour_counts_less(noisy):
    """Flow that lost somebody leads to another colour. Against the weights by hand; in paper mode colour means nothing."""
    predictions, grey = noisy(3), (90, 90, 90)
    frames = [numbered(0, colour=grey), numbered(1, colour=grey), numbered(2, colour=(110, 70, 100))]
    charts = [p.iuv.logits[:, :25] for p in predictions]
    share = np.exp(-(20**2 + 20**2 + 10**2) / (2 * COLOUR_TOLERANCE**2))
    for settings, weight in ((ROBUST, share), (PAPER, 1)):
        out = smooth(predictions, replace(settings, radius=1), frames=frames)[1].iuv.logits[:, :25]
        assert torch.allclose(out, (charts[0] + charts[1] + weight * charts[2]) / (2 + weight), atol=4e-3)


def test_a_limb_that_neighbours_lost_stays(make_prediction, grid):
    """The flow of both neighbours missed the arm and reads ground in its place, of another colour: frame t keeps it."""
    arm = slice(10, 12), slice(30, 36)
    frames, predictions = [], []
    for i in range(3):
        prediction = make_prediction(grid, [(6, 8, 26, 30)], index=i, track_ids=[7])
        frame = numbered(i, colour=(60, 60, 60))
        if i == 1:
            masks = prediction.instances.mask_logits.clone()
            masks[0][arm] = 1.5
            instances = replace(prediction.instances, mask_logits=masks, dense_mask_logits=masks)
            prediction = replace(prediction, instances=instances)
            frame[4 * arm[0].start : 4 * arm[0].stop, 4 * arm[1].start : 4 * arm[1].stop] = 200
        frames.append(frame)
        predictions.append(prediction)
    out = smooth(predictions, ROBUST, frames=frames)[1]
    assert (out.instances.mask_logits[0][arm] > 0).all() and (out.instances.dense_mask_logits[0][arm] > 0).all()


def test_people_are_not_mixed(make_prediction, grid):
    """A person in front moves over one behind; at the same place, each averages only with himself."""
    one, other = torch.full((75, *grid.size), 1.0), torch.full((75, *grid.size), 3.0)
    predictions = []
    for i in range(5):
        edge = 10 + 2 * i
        logits = torch.where(torch.arange(grid.size[1]) < edge, one, other)
        people = [(4, 2, 28, edge), (4, edge, 28, 36)]
        ids = [5, 9]
        if i % 2:  # the order of the rows says nothing
            people, ids = people[::-1], ids[::-1]
        predictions.append(make_prediction(grid, people, index=i, track_ids=ids, logits=logits))
    for out in smooth(predictions, ROBUST):
        ids = out.instances.track_id[out.iuv.owner]
        assert torch.equal(out.iuv.logits[ids == 5], one[:, 0, 0].expand(int((ids == 5).sum()), -1))
        assert torch.equal(out.iuv.logits[ids == 9], other[:, 0, 0].expand(int((ids == 9).sum()), -1))


def test_nothing_crosses_a_cut(noisy, make_prediction, grid, texture):
    predictions = noisy(8)
    frames = [texture(128, 160, seed=1)] * 4 + [texture(128, 160, seed=2)] * 4
    whole = smooth(predictions, ROBUST, frames=frames)
    halves = smooth(predictions[:4], ROBUST, frames=frames[:4]) + smooth(predictions[4:], ROBUST, frames=frames[4:])
    for a, b in zip(whole, halves, strict=True):
        same(a, b)


def test_another_size_in_mid_clip_starts_anew(noisy, make_prediction):
    larger = Grid((160, 160), (160, 160))
    predictions = noisy(3) + [make_prediction(larger, [(2, 2, 9, 9)], index=i, track_ids=[7]) for i in (3, 4)]
    out = smooth(predictions, ROBUST)
    assert [p.grid for p in out] == [p.grid for p in predictions]


@pytest.mark.parametrize("mode", ["robust", "paper"])
def test_frames_without_people(make_prediction, noisy, grid, mode):
    empty = make_prediction(grid, [], index=1)
    first = noisy(1)[0]
    out = smooth([first, first, empty, empty], SmoothingSettings(mode=mode))
    assert len(out[2].instances) == len(out[2].iuv) == 0
    out = smooth([replace(empty, index=i) for i in range(4)], SmoothingSettings(mode=mode))
    assert [len(p.iuv) for p in out] == [0] * 4


def test_resuming_gives_what_an_uninterrupted_run_gives(noisy, texture):
    scene = texture(128, 260)
    frames = [np.ascontiguousarray(scene[:, 2 * i : 2 * i + 160]) for i in range(24)]
    predictions = noisy(24)
    whole = Smoother(ROBUST)
    expected = [p for pair in zip(predictions, frames, strict=True) for p in whole.push(*pair)] + whole.flush()
    resumed = Smoother(ROBUST)
    start = 20 - resumed.warm_up
    out = [p for pair in zip(predictions[start:], frames[start:], strict=True) for p in resumed.push(*pair)]
    out = [p for p in out + resumed.flush() if p.index >= 20]
    for a, b in zip(expected[20:], out, strict=True):
        same(a, b)


def test_the_ring_does_not_grow(noisy):
    smoother = Smoother(ROBUST, KnownFlow())
    for i, prediction in enumerate(noisy(12)):
        smoother.push(prediction, numbered(i))
        assert len(smoother._ring) <= 5 and len(smoother._paths) <= 20


def test_the_radius_follows_the_mode():
    assert (SmoothingSettings().radius, PAPER.radius) == (3, 2)
    assert SmoothingSettings(mode="paper", radius=4).radius == 4


def test_wrong_use_is_told(noisy, make_prediction, grid):
    for settings in ({"mode": "best"}, {"radius": -1}, {"alphas": (1, 1)}, {"alphas": (1, 1, 0, 1, 1)}):
        with pytest.raises(ValueError):
            SmoothingSettings(**settings)
    with pytest.raises(ValueError, match="predicted on"):
        Smoother().push(noisy(1)[0], np.zeros((64, 64, 3), np.uint8))
    untracked = [make_prediction(grid, [(2, 2, 9, 9)], index=i) for i in range(3)]
    with pytest.raises(ValueError, match="track_id"):
        smooth(untracked, ROBUST)

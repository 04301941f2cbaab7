"""decode() against a literal float64 reference, and at the edges of what a frame can be."""

import math

import numpy as np
import pytest
import torch

from ddp_video import decode as decode_module
from ddp_video.charts import IUV_CHANNELS
from ddp_video.decode import decode
from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV


def random_prediction(seed: int, frame_size, input_size, people: int, half=False) -> FramePrediction:
    """Overlapping smooth masks; every site under a mask is active, owned by the best-scoring person there."""
    generator = torch.Generator().manual_seed(seed)
    grid = Grid(frame_size, input_size)
    noise = torch.randn(people, 2, *[max(2, -(-n // 3)) for n in grid.size], generator=generator)
    masks = (
        torch.nn.functional.interpolate(noise, grid.size, mode="bilinear", align_corners=False) * 4 if people else noise
    )
    masks = masks.reshape(people, 2, *grid.size)
    instances = Instances(
        torch.zeros(people, 4),
        torch.linspace(0.9, 0.3, people),
        masks[:, 0],
        masks[:, 1],
        torch.full((people,), -1),
    )
    covered = masks[:, 0] > 0
    sites = covered.any(0).nonzero() if people else torch.zeros(0, 2)
    owner = covered.to(torch.uint8).argmax(0)[covered.any(0)] if people else torch.zeros(0, dtype=torch.int64)
    logits = torch.randn(len(sites), IUV_CHANNELS, generator=generator)
    logits[:, :25] *= 2
    logits[:, 25:] += 0.5
    sites = torch.cat([torch.zeros(len(sites), 1), sites], 1).int()
    return FramePrediction(0, 0, 0.0, grid, instances, SparseIUV(sites, logits.half() if half else logits, owner))


def interpolate(value, y: float, x: float, rows: int, columns: int):
    """Sum of weight * value(row, column) over the four cells around (y, x), clamped to the grid."""
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    total = 0.0
    for row in {math.floor(y), math.ceil(y)}:
        for column in {math.floor(x), math.ceil(x)}:
            total = total + (1 - abs(y - row)) * (1 - abs(x - column)) * value(row, column)
    return total


def reference(prediction: FramePrediction):
    """Pixel by pixel, float64; also the margin by which each decision was taken."""
    (height, width), (rows, columns) = prediction.grid.frame_size, prediction.grid.size
    step_y, step_x = prediction.grid.pixels_per_cell
    people, iuv = prediction.instances, prediction.iuv
    person, dense = people.mask_logits.double().numpy(), people.dense_mask_logits.double().numpy()
    site = {(int(y), int(x)): index for index, (_, y, x) in enumerate(iuv.sites.tolist())}
    logits, scores = iuv.logits.double().numpy(), people.scores.double().tolist()
    person_of = {  # every active site lies under a mask
        (y, x): max(
            (score / (1 + math.exp(-mask[y, x])), -row)
            for row, (score, mask) in enumerate(zip(scores, person, strict=True))
            if mask[y, x] > 0
        )
        for y, x in site
    }
    part, uv = np.zeros((height, width), np.uint8), np.zeros((2, height, width))
    instance, margin = np.zeros((height, width), np.int32), np.full((height, width), np.inf)
    for py in range(height):
        for px in range(width):
            at = (py + 0.5) / step_y - 0.5, (px + 0.5) / step_x - 0.5, rows, columns
            claims = []
            for row, score in enumerate(scores):
                logit = interpolate(lambda y, x, m=person[row]: m[y, x], *at)
                margin[py, px] = min(margin[py, px], abs(logit))
                if logit > 0:
                    claims.append((score / (1 + math.exp(-logit)), -row))
            if not claims:
                continue
            claims.sort(reverse=True)
            if len(claims) > 1:
                margin[py, px] = min(margin[py, px], claims[0][0] - claims[1][0])
            row = -claims[0][1]
            instance[py, px] = row + 1
            covered = interpolate(lambda y, x, m=dense[row]: m[y, x], *at)
            margin[py, px] = min(margin[py, px], abs(covered))
            if covered <= 0:
                continue

            def trusted(y, x, row=row):
                if (y, x) not in site:
                    return np.zeros(IUV_CHANNELS + 1)
                k = site[y, x]
                return np.append(logits[k], 1.0) * (1.0 if person_of[y, x][1] == -row else 1e-6)

            total = interpolate(trusted, *at)
            if total[-1] > 0:
                total = total[:-1] / total[-1]
                best = np.sort(total[1:25])
                margin[py, px] = min(margin[py, px], best[-1] - best[-2])
                chart = 1 + int(total[1:25].argmax())
                part[py, px] = chart
                uv[:, py, px] = np.clip(total[[25 + chart, 50 + chart]], 0, 1)
    return part, uv, instance, margin


@pytest.mark.parametrize(
    ("frame_size", "input_size", "people", "half"),
    [
        ((40, 56), (40, 56), 3, False),  # never resized: 4 px a cell
        ((61, 47), (33, 25), 2, False),  # ratios that are not whole, a grid larger than the frame
        ((30, 90), (20, 60), 4, True),
        ((9, 7), (9, 7), 1, False),
    ],
)
def test_equals_the_pixel_by_pixel_reference(frame_size, input_size, people, half):
    prediction = random_prediction(7, frame_size, input_size, people, half)
    pose = decode(prediction)
    part, uv, instance, margin = reference(prediction)
    clear = margin > 1e-4
    assert clear.mean() > 0.98 and (part > 0).mean() > 0.05
    assert np.array_equal(pose.instance.numpy()[clear], instance[clear])
    assert np.array_equal(pose.part.numpy()[clear], part[clear])
    assert np.abs(pose.uv.numpy() - uv)[:, clear].max() < 1e-4


@pytest.mark.parametrize("frame_size", [(1, 1), (1, 300), (17, 1), (36, 48)])
@pytest.mark.parametrize("people", [0, 1, 2])
def test_any_frame_size_and_number_of_people(frame_size, people):
    prediction = random_prediction(1, frame_size, frame_size, people)
    pose = decode(prediction)
    assert pose.part.shape == frame_size and pose.uv.shape == (2, *frame_size)
    assert bool(((pose.instance > 0) | (pose.part == 0)).all())
    assert bool((pose.uv[:, pose.part == 0] == 0).all())
    if people == 0:
        assert not pose.instance.any()


def one_person(logits_of_site, mask, dense=None, owner=None, scores=(0.9,)):
    """A person on a 4 x 4 grid of a 16 x 16 frame."""
    grid = Grid((16, 16), (16, 16))
    mask = torch.as_tensor(mask, dtype=torch.float32).reshape(-1, 4, 4)
    dense = mask if dense is None else torch.as_tensor(dense, dtype=torch.float32).reshape(-1, 4, 4)
    count = len(mask)
    sites = (mask > 0).any(0).nonzero()
    logits = torch.stack([logits_of_site(int(y), int(x)) for y, x in sites])
    owner = torch.zeros(len(sites), dtype=torch.int64) if owner is None else owner
    people = Instances(torch.zeros(count, 4), torch.tensor(scores), mask, dense, torch.full((count,), -1))
    return FramePrediction(
        0, 0, 0.0, grid, people, SparseIUV(torch.cat([sites[:, :1] * 0, sites], 1).int(), logits, owner)
    )


def site_logits(chart, u, v):
    logits = torch.zeros(IUV_CHANNELS)
    logits[chart], logits[25 + chart], logits[50 + chart] = 5, u, v
    return logits


def test_coordinates_do_not_fade_towards_inactive_sites():
    mask = -torch.ones(4, 4)
    mask[1:3, 1:3] = 1
    pose = decode(one_person(lambda y, x: site_logits(2, 0.8, 0.3), mask))
    assert int((pose.part == 2).sum()) == int((pose.instance == 1).sum()) > 36
    assert torch.allclose(pose.uv[:, pose.part == 2], torch.tensor([[0.8], [0.3]]))


def test_two_people_never_mix_their_coordinates():
    masks = torch.full((2, 4, 4), -3.0)
    masks[0, :, :2], masks[1, :, 2:] = 3, 3
    owner = torch.tensor([0, 0, 1, 1] * 4)
    prediction = one_person(
        lambda y, x: site_logits(1, 0.1 if x < 2 else 0.9, 0.5), masks, owner=owner, scores=(0.9, 0.9)
    )
    pose = decode(prediction)
    left, right = pose.instance == 1, pose.instance == 2
    assert int(left.sum()) == int(right.sum()) == 128
    assert torch.allclose(pose.uv[0][left], torch.tensor(0.1)) and torch.allclose(pose.uv[0][right], torch.tensor(0.9))


def test_equal_claims_go_to_the_first_and_scores_break_in():
    masks = torch.ones(2, 4, 4)
    tie = decode(one_person(lambda y, x: site_logits(1, 0.5, 0.5), masks, scores=(0.7, 0.7)))
    assert bool((tie.instance == 1).all())
    weaker = decode(one_person(lambda y, x: site_logits(1, 0.5, 0.5), masks, scores=(0.5, 0.9)))
    assert bool((weaker.instance == 2).all())
    masks[0], masks[1] = 3, 0.1
    stronger = decode(one_person(lambda y, x: site_logits(1, 0.5, 0.5), masks, scores=(0.5, 0.9)))
    assert bool((stronger.instance == 1).all())


@pytest.mark.filterwarnings("error")
def test_masks_may_be_as_sure_as_they_like():
    mask = torch.full((4, 4), -1000.0)
    mask[:, 2:] = 1000
    pose = decode(one_person(lambda y, x: site_logits(1, 0.5, 0.5), mask))
    assert int((pose.instance == 1).sum()) == 128


def test_hair_belongs_to_the_person_without_a_chart():
    dense = torch.ones(4, 4)
    dense[0] = -1
    pose = decode(one_person(lambda y, x: site_logits(23, 2.0, -1.0), torch.ones(4, 4), dense))
    assert bool((pose.instance == 1).all())
    assert not pose.part[:3].any() and bool((pose.part[4:] == 23).all())
    assert bool((pose.uv[0][4:] == 1).all()) and bool((pose.uv[1] == 0).all())  # clamped


def test_background_class_may_be_let_in(monkeypatch):
    monkeypatch.setattr(decode_module, "FIRST_CLASS", 0)
    pose = decode(one_person(lambda y, x: site_logits(0 if y < 2 else 4, 0.5, 0.5), torch.ones(4, 4)))
    assert not pose.part[:8].any() and bool((pose.part[8:] == 4).all())
    assert bool((pose.uv[:, :8] == 0).all())

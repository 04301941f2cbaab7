"""Each loss equals a float64 loop that follows its formula, and its gradient equals finite differences."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from ddp_video.charts import MIRROR, NAMES
from ddp_video.data.choices import choice
from ddp_video.train import losses


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_focal_loss():
    logits, targets = torch.randn(5, 7, dtype=torch.float64) * 3, (torch.rand(5, 7) < 0.3).double()
    expected = 0.0
    for x, y in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        p = sigmoid(x)
        expected -= 0.25 * (1 - p) ** 2 * math.log(p) if y else 0.75 * p**2 * math.log(1 - p)
    assert losses.focal_loss(logits, targets).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: losses.focal_loss(x, targets), logits.requires_grad_())


def random_ltrb(count):
    return torch.rand(count, 4, dtype=torch.float64) * 50 + 1


def test_giou_loss():
    predicted, target = random_ltrb(20), random_ltrb(20)
    for row, (p, t) in enumerate(zip(predicted.tolist(), target.tolist(), strict=True)):
        # As boxes around the origin, x0 y0 x1 y1.
        a, b = (-p[0], -p[1], p[2], p[3]), (-t[0], -t[1], t[2], t[3])
        inter = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
        hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
        expected = 1 - (inter / union - (hull - union) / hull)
        assert losses.giou_loss(predicted, target)[row].item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: losses.giou_loss(x, target), predicted.requires_grad_())


def test_giou_loss_of_equal_and_of_empty_boxes():
    boxes = random_ltrb(3)
    assert losses.giou_loss(boxes, boxes).abs().max() < 1e-12
    assert torch.isfinite(losses.giou_loss(torch.zeros(1, 4), torch.zeros(1, 4))).all()


def test_dice_loss():
    logits, targets = torch.randn(3, 4, 5, dtype=torch.float64), (torch.rand(3, 4, 5) < 0.4).double()
    counted = torch.rand(3, 4, 5) < 0.8
    for k in range(3):
        xy = xx = yy = 0.0
        for x, y in zip(logits[k][counted[k]].tolist(), targets[k][counted[k]].tolist(), strict=True):
            xy, xx, yy = xy + sigmoid(x) * y, xx + sigmoid(x) ** 2, yy + y * y
        expected = 1 - 2 * xy / (xx + yy + 1e-5)
        assert losses.dice_loss(logits, targets, counted)[k].item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: losses.dice_loss(x, targets, counted), logits.requires_grad_())


def test_part_loss():
    """Literally: each chart of each person apart, weighed by the root of its sites."""
    logits, part = torch.randn(200, 25, dtype=torch.float64), torch.randint(0, 25, (200,)) // 3
    owner, groups = torch.randint(0, 3, (200,)), {}
    for row, chart, person in zip(logits.tolist(), part.tolist(), owner.tolist(), strict=True):
        groups.setdefault((person, chart), []).append(math.log(sum(math.exp(x) for x in row)) - row[chart])
    weights = [math.sqrt(len(values)) for values in groups.values()]
    means = [sum(values) / len(values) for values in groups.values()]
    expected = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    assert losses.part_loss(logits, part, owner).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: losses.part_loss(x, part[:20], owner[:20]), logits[:20].requires_grad_())
    nothing = losses.part_loss(logits[:0], part[:0], owner[:0])
    assert nothing == 0


def test_part_loss_of_a_choice_is_that_of_any_of_its_charts():
    logits = torch.randn(2, 25, dtype=torch.float64)
    arms = [15, 16, 17, 18]
    probability = logits.softmax(1)
    expected = -(probability[0, arms].sum().log() + probability[1, 3].log()) / 2
    part, owner = torch.tensor([choice(arms), 3]), torch.tensor([0, 0])
    assert losses.part_loss(logits, part, owner).item() == pytest.approx(expected.item(), rel=1e-12)
    assert gradcheck(lambda x: losses.part_loss(x, part, owner), logits.requires_grad_())


def test_side_loss_of_choices():
    """An arm whose front is not told from its back counts as the arm; an elbow by both limbs that meet; others have no side."""
    logits = torch.randn(4, 25, dtype=torch.float64)
    right_arm, left_elbow, either = choice([16, 18]), choice([15, 17, 19, 21]), choice([15, 16, 17, 18])
    part, owner = torch.tensor([right_arm, left_elbow, either, 16]), torch.tensor([0, 0, 0, 0])
    p = logits.softmax(1)
    arm = [-(p[n, [16, 18]].sum() / p[n, [15, 16, 17, 18]].sum()).log() for n in (0, 3)]
    elbow = -(p[1, [15, 17, 19, 21]].sum() / p[1, 15:23].sum()).log()
    expected = (math.sqrt(2) * sum(arm) / 2 + elbow) / (math.sqrt(2) + 1)
    assert losses.side_loss(logits, part, owner).item() == pytest.approx(expected.item(), rel=1e-12)


def test_side_loss():
    """Literally: the limb's charts by name, the other side's by the mirror table; heads and trunks have no part in it."""
    logits, part = torch.randn(600, 25, dtype=torch.float64) * 2, torch.randint(0, 25, (600,))
    owner = torch.randint(0, 3, (600,))
    limbs = {}
    for row, chart, person in zip(logits.tolist(), part.tolist(), owner.tolist(), strict=True):
        name = NAMES[chart].removesuffix(" back").removesuffix(" front")
        if name.split()[0] in ("left", "right"):
            own = [c for c in range(1, 25) if NAMES[c].startswith(name)]
            here, there = (sum(math.exp(row[c]) for c in charts) for charts in (own, [MIRROR[c] for c in own]))
            limbs.setdefault((person, name), []).append(-math.log(here / (here + there)))
    assert len(limbs) == 3 * 12
    weights = [math.sqrt(len(values)) for values in limbs.values()]
    means = [sum(values) / len(values) for values in limbs.values()]
    expected = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    assert losses.side_loss(logits, part, owner).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: losses.side_loss(x, part[:30], owner[:30]), logits[:30].requires_grad_())


def test_side_loss_is_zero_without_limbs():
    trunk = torch.tensor([0, 1, 2, 23, 24])
    logits = torch.randn(5, 25, requires_grad=True)
    loss = losses.side_loss(logits, trunk, torch.zeros(5, dtype=torch.int64))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_uv_loss_looks_at_the_true_chart_only():
    u, v = torch.randn(6, 25, dtype=torch.float64) * 2, torch.randn(6, 25, dtype=torch.float64) * 2
    part, uv = torch.randint(1, 25, (6,)), torch.rand(6, 2, dtype=torch.float64)
    expected = 0.0
    for row in range(6):
        for predicted, true in ((u[row, part[row]], uv[row, 0]), (v[row, part[row]], uv[row, 1])):
            d = abs(float(predicted - true))
            expected += (d * d / 2 if d < 1 else d - 0.5) / 6
    assert losses.uv_loss(u, v, part, uv).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda a, b: losses.uv_loss(a, b, part, uv), (u.requires_grad_(), v.requires_grad_()))
    losses.uv_loss(u, v, part, uv).backward()
    assert int((u.grad != 0).sum()) == 6


def test_smoothness_loss():
    """Equation 12 on a 3 x 4 grid of which some cells are active, people 0 and 1 side by side, person 2 elsewhere."""
    owner_map = [[0, 0, 1, -1], [0, -1, 1, 1], [-1, 2, 2, -1]]
    cells = [(y, x) for y in range(3) for x in range(4) if owner_map[y][x] >= 0]
    row = {cell: i for i, cell in enumerate(cells)}
    logits = torch.randn(len(cells), 75, dtype=torch.float64)
    owner = torch.tensor([owner_map[y][x] for y, x in cells])
    pairs, sums, counts = [], [0.0] * 3, [0] * 3
    for y, x in cells:
        for below in ((y, x + 1), (y + 1, x)):
            if below in row:
                i, j = row[y, x], row[below]
                pairs.append((i, j))
                change = sum(abs(a - b) for a, b in zip(logits[i].tolist(), logits[j].tolist(), strict=True)) / 75
                person = owner_map[y][x]
                sums[person] += change * math.exp(-(1.0 if person != owner_map[below[0]][below[1]] else 0.0))
                counts[person] += 1
    first, second = torch.tensor(pairs).T
    expected = sum(s / n for s, n in zip(sums, counts, strict=True)) / 3
    # A fourth person without sites changes nothing.
    for people in (3, 4):
        got = losses.smoothness_loss(logits, first, second, owner, people)
        assert got.item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda x: losses.smoothness_loss(x, first, second, owner, 3), logits.requires_grad_())


def test_smoothness_loss_without_neighbours_is_zero():
    nothing = torch.zeros(0, dtype=torch.int64)
    assert losses.smoothness_loss(torch.randn(1, 75), nothing, nothing, torch.zeros(1, dtype=torch.int64), 1) == 0

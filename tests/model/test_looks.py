"""Two looks joined: people of known masks and charts, so that what comes from which look can be told."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ddp_video.model.looks import Look, _resize, join_looks
from ddp_video.model.scale import SMALL, TALL
from ddp_video.structures import Grid, Instances, SparseIUV

FRAME = 400, 800  # px, as is the usual look's input
USUAL, LARGER = Grid(FRAME, FRAME), Grid(FRAME, (600, 1200))
MIDDLE = (SMALL + TALL) // 2


def look(grid, *people, logit=2.0):
    """People (left, top, right, bottom, chart), best score first, whose masks fill their boxes (frame px); U = chart / 100."""
    rows, columns = grid.size
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    y, x = y * grid.pixels_per_cell[0], x * grid.pixels_per_cell[1]
    boxes = torch.tensor([person[:4] for person in people], dtype=torch.float32).view(-1, 4)
    inside = [(y > top) & (y < bottom) & (x > left) & (x < right) for left, top, right, bottom, _ in people]
    masks = torch.stack([torch.where(i, logit, -logit) for i in inside]) if people else torch.zeros(0, rows, columns)
    cells = [mask.nonzero() for mask in inside]
    order = [F.pad(at, (1, 0)).int() for at in cells] or [torch.zeros(0, 3).int()]
    logits = [torch.zeros(len(at), 75) for at in cells] or [torch.zeros(0, 75)]
    for values, (*_, chart) in zip(logits, people, strict=False):
        values[:, chart], values[:, 25:50] = 8.0, chart / 100
    owner = [torch.full((len(at),), row) for row, at in enumerate(cells)] or [torch.zeros(0).long()]
    scores = torch.linspace(0.9, 0.6, len(people))
    instances = Instances(boxes, scores, masks, masks - 1, torch.full((len(people),), -1))
    return Look(grid, instances, SparseIUV(torch.cat(order), torch.cat(logits), torch.cat(owner)))


def charts(joined):
    """By person, left to right: the charts of his sites."""
    rows = joined.instances.boxes_xyxy[:, 0].argsort().tolist()
    best = joined.iuv.logits[:, :25].argmax(1)
    return [sorted(set(best[joined.iuv.owner == row].tolist())) for row in rows]


def test_everybody_is_taken_from_the_look_that_suits_his_size():
    tall, small = (50, 50, 150, 50 + TALL), (300, 50, 350, 50 + SMALL)
    usual, larger = look(USUAL, (*tall, 1), (*small, 2)), look(LARGER, (*tall, 3), (*small, 4))
    joined = join_looks(usual, larger)
    assert charts(joined) == [[1], [4]]
    assert joined.grid == USUAL
    assert torch.equal(joined.instances.mask_logits[0], usual.instances.mask_logits[0])
    assert joined.iuv.logits[:, 25].unique() == pytest.approx([0.01, 0.04])


def test_between_the_sizes_the_two_are_mixed_steadily():
    """A person who grows goes over from one look to the other without a jump."""
    before = 0.0
    for height in range(SMALL - 5, TALL + 6, 10):
        box = 50, 50, 150, 50 + height
        joined = join_looks(look(USUAL, (*box, 1)), look(LARGER, (*box, 3)))
        share = (0.03 - joined.iuv.logits[0, 25].item()) / 0.02
        assert share == pytest.approx(min(max((height - SMALL) / (TALL - SMALL), 0), 1), abs=1e-5)
        assert before <= share <= before + 0.11
        before = share
    assert before == pytest.approx(1)


def test_the_same_seen_twice_is_the_same():
    people = (50, 50, 150, 50 + MIDDLE, 1), (300, 50, 350, 150, 2), (420, 20, 500, 390, 7)
    once = look(USUAL, *people)
    joined = join_looks(once, once)
    assert torch.equal(joined.iuv.sites, once.iuv.sites[once.iuv.cells(USUAL.size[1]).argsort()])
    for name in ("boxes_xyxy", "scores", "mask_logits", "dense_mask_logits"):
        torch.testing.assert_close(getattr(joined.instances, name), getattr(once.instances, name))
    assert charts(joined) == charts(once) == [[1], [2], [7]]


def test_who_is_seen_once_is_kept():
    tall, small = (50, 50, 150, 50 + TALL, 1), (300, 50, 350, 50 + SMALL, 2)
    nobody = look(USUAL), look(LARGER)
    for people in ((tall,), (small,), (tall, small)):
        expected = [[chart] for *_, chart in people]
        assert charts(join_looks(look(USUAL, *people), nobody[1])) == expected
        assert charts(join_looks(nobody[0], look(LARGER, *people))) == expected
    joined = join_looks(*nobody)
    assert len(joined.instances) == len(joined.iuv) == 0 and joined.instances.mask_logits.shape == (0, *USUAL.size)


def test_a_tall_person_stays_in_one_piece_and_a_small_crowd_falls_into_people():
    pieces = (50, 50, 150, 190, 3), (50, 190, 150, 330, 4)
    assert charts(join_looks(look(USUAL, (50, 50, 150, 330, 1)), look(LARGER, *pieces))) == [[1]]
    crowd = (300, 50, 350, 150, 3), (350, 50, 400, 150, 4)
    assert charts(join_looks(look(USUAL, (300, 50, 400, 150, 1)), look(LARGER, *crowd))) == [[3], [4]]


def test_people_who_touch_share_nothing():
    """Cells of the larger look that lie across a border give each of the two his own charts only."""
    left, right = (302, 50, 333, 150), (333, 50, 361, 150)
    joined = join_looks(look(USUAL, (*left, 1), (*right, 2)), look(LARGER, (*left, 3), (*right, 4)))
    assert charts(joined) == [[3], [4]]
    assert joined.iuv.logits[:, 25].unique() == pytest.approx([0.03, 0.04])


def test_the_best_comes_first_and_only_one_person_owns_a_site():
    usual = look(USUAL, (50, 50, 150, 390, 1), (300, 50, 350, 150, 2))
    larger = look(LARGER, (300, 50, 350, 150, 4))
    surer = replace(larger.instances, scores=torch.tensor([0.95]))
    joined = join_looks(usual, larger._replace(instances=surer))
    assert joined.instances.scores.tolist() == pytest.approx([0.95, 0.9])
    assert joined.instances.boxes_xyxy[:, 0].tolist() == [300, 50]
    cells = joined.iuv.cells(USUAL.size[1])
    assert torch.equal(cells, cells.unique())
    assert (joined.instances.mask_logits[joined.iuv.owner, cells // USUAL.size[1], cells % USUAL.size[1]] > -1).all()


@pytest.mark.parametrize("frame", [(64, 96), (65, 91), (30, 50)])
def test_maps_lie_on_the_frame_as_they_did(frame):
    """A map that is linear in px of the frame stays that map on another grid, but for half a cell at its rim."""
    usual, larger = Grid(frame, (128, 190)), Grid(frame, (192, 285))

    def plane(grid):
        down, across = ((torch.arange(n) + 0.5) * size for n, size in zip(grid.size, grid.pixels_per_cell, strict=True))
        return (3 * down[:, None] - 2 * across)[None]

    for source, grid in ((larger, usual), (usual, larger)):
        found = _resize(plane(source), source, grid)[:, 1:-1, 1:-1]
        torch.testing.assert_close(found, plane(grid)[:, 1:-1, 1:-1], rtol=0, atol=1e-3)
    assert torch.equal(_resize(plane(usual), usual, usual), plane(usual))

"""Rotations, rig, charts and clothes: what must hold whatever the pictures look like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ddp_video.charts import MIRROR, MIRROR_FLIPS_U
from ddp_video.synthesis import pose, resting, rotation, scene
from ddp_video.synthesis.charts import PARTS, chart_points
from ddp_video.synthesis.pose import PoseMaker
from ddp_video.synthesis.rig import KEY, KEYS, mirror, skinning_matrices
from ddp_video.synthesis.tailor import Cut, Skirt, Tailor

SWAPPED = np.array(
    [PARTS.index(p[:-1] + {"L": "R", "R": "L"}[p[-1]]) if p[-1] in "LR" else i for i, p in enumerate(PARTS)]
)


def test_rotation_vectors_survive_the_round_trip():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 3))
    vectors *= (rng.uniform(0, np.pi, 200) / np.linalg.norm(vectors, axis=1))[:, None]
    assert np.allclose(rotation.to_vector(rotation.from_vector(vectors)), vectors, atol=1e-9)
    half_turn = rotation.from_vector(np.array([0, np.pi, 0]))
    assert np.allclose(rotation.from_vector(rotation.to_vector(half_turn)), half_turn, atol=1e-9)


def test_swing_is_the_smallest_turn_and_twist_is_the_rest():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 50, 3))
    turned = np.einsum("nij,nj->ni", rotation.swing(a, b), a / np.linalg.norm(a, axis=1, keepdims=True))
    assert np.allclose(turned, b / np.linalg.norm(b, axis=1, keepdims=True))
    opposite = rotation.swing(np.array([0, 0, 1.0]), np.array([0, 0, -2.0]))
    assert np.allclose(opposite @ [0, 0, 1], [0, 0, -1])
    axis = np.array([0, 0.6, 0.8])
    twist = rotation.from_vector(0.7 * axis)
    assert np.allclose(rotation.twist_about(rotation.swing(axis, b[0]) @ twist, axis), twist)


def test_spreading_keys_keeps_every_limbs_total_turn(toy):
    rig = toy.model.rig
    keys = np.random.default_rng(2).normal(0, 0.5, (4, len(KEYS), 3))
    local = rig.spread(keys, np.zeros((10, 3)))
    assert np.allclose(local @ np.swapaxes(local, -1, -2), np.eye(3))
    for chain, wanted in (
        (("upperarm01.L", "upperarm02.L"), ("arm.L",)),
        (("lowerarm01.R", "lowerarm02.R", "wrist.R"), ("forearm.R", "hand.R")),
        (("spine05", "spine04"), ("abdomen",)),
    ):
        total, expected = np.eye(3), np.eye(3)
        for bone in chain:
            total = total @ local[:, rig.index[bone]]
        for key in wanted:
            expected = expected @ rotation.from_vector(keys[:, KEY[key]])
        assert np.allclose(total, expected)


def test_skinning_matrices_equal_a_plain_chain(toy):
    rig = toy.model.rig
    local = rig.spread(np.random.default_rng(3).normal(0, 0.4, (len(KEYS), 3)), np.zeros((10, 3)))
    matrices = skinning_matrices(local, rig.heads, rig.parents)
    world = {-1: np.eye(4)}
    for b, parent in enumerate(rig.parents):
        about_head = np.eye(4)
        about_head[:3, :3] = local[b]
        about_head[:3, 3] = rig.heads[b] - local[b] @ rig.heads[b]
        world[b] = world[parent] @ about_head
        assert np.allclose(matrices[b], world[b][:3], atol=1e-5)


def test_mirrored_keys_mirror_the_skeleton(toy):
    rig = toy.model.rig
    keys = np.random.default_rng(4).normal(0, 0.4, (len(KEYS), 3))

    def heads(keys):
        matrices = skinning_matrices(rig.spread(keys, np.zeros((10, 3))), rig.heads, rig.parents)
        return np.einsum("bij,bj->bi", matrices[:, :, :3], rig.heads) + matrices[:, :, 3]

    other = [rig.index[n[:-1] + {"L": "R", "R": "L"}[n[-1]]] if n[-2:-1] == "." else rig.index[n] for n in rig.bones]
    moved = [i for i, n in enumerate(rig.bones) if not n.startswith("finger")]
    assert np.allclose(heads(mirror(keys))[moved], heads(keys)[other][moved] * [-1, 1, 1], atol=1e-5)


@pytest.mark.parametrize("source", ["toy", "real"])
def test_charts_mirror_as_documented(source, request):
    model = request.getfixturevalue(source).model
    points = model.data.canonical[model.visible]
    part = model.data.part_weights[model.visible].argmax(1)
    inside = np.abs(points[:, 0]) > 0.004  # on the seam itself either side is right
    if source == "toy":  # whose trunk is no mirror image of itself
        inside &= part >= PARTS.index("uarmL")
    points, part = points[inside], part[inside]
    if source == "real":  # points within the faces as well
        corners = model.faces[inside[model.faces].all(1)]
        middles = model.data.canonical[model.visible][corners].mean(1)
        weights = model.data.part_weights[model.visible][corners].mean(1)
        points, part = np.concatenate([points, middles]), np.concatenate([part, weights.argmax(1)])
    chart, u, v = chart_points(model.charts, part, points)
    other, other_u, other_v = chart_points(model.charts, SWAPPED[part], points * np.array([-1, 1, 1], np.float32))
    same = np.array(MIRROR)[chart] == other  # points where front meets back may fall either way
    assert same.mean() > (0.9995 if source == "real" else 0.99)
    expected_u = np.where(np.isin(chart, MIRROR_FLIPS_U), 1 - u, u)
    assert np.abs(expected_u - other_u)[same].max() < 1e-3
    assert np.abs(v - other_v)[same].max() < 1e-3


def test_charts_cover_the_body_with_all_24(toy):
    model = toy.model
    part = model.data.part_weights[model.visible].argmax(1)
    chart, u, v = chart_points(model.charts, part, model.data.canonical[model.visible])
    assert set(chart) == set(range(1, 25))
    assert min(u.min(), v.min()) >= 0
    assert max(u.max(), v.max()) <= 1


@pytest.mark.parametrize(("resting_odds", "clearance"), [(0.0, pose._CLEARANCE), (1.0, pose._TOUCHING)])
def test_made_up_arms_stay_out_of_the_trunk_and_elbows_bend_forward(real, monkeypatch, resting_odds, clearance):
    monkeypatch.setattr(pose, "_RESTING", resting_odds)
    poses = PoseMaker(real.model.rig)
    clear = 0
    for k in range(40):
        keys = np.zeros((len(KEYS), 3))
        poses.random_arms(keys, np.random.default_rng([5, k]))
        clear += poses._arms_are_clear(keys, clearance)
        for side in "LR":
            hinge, at_rest = real.model.rig.elbow(side)
            bend = keys[KEY[f"forearm.{side}"]] @ hinge + at_rest
            assert 0.02 < bend < 2.7
    assert clear >= 38


def _palm(rig, keys: np.ndarray, side: str) -> np.ndarray:
    """[3] where the palm of a straight hand is, by skinning."""
    matrices = skinning_matrices(rig.spread(keys, np.zeros((10, 3))), rig.heads, rig.parents)
    elbow, wrist = (
        matrices[rig.index[bone], :, :3] @ rig.head(bone) + matrices[rig.index[bone], :, 3]
        for bone in (f"lowerarm01.{side}", f"wrist.{side}")
    )
    return wrist + (wrist - elbow) / np.linalg.norm(wrist - elbow) * resting._PALM


@pytest.mark.parametrize("source", ["toy", "real"])
def test_a_hand_comes_to_rest_where_it_should(source, request):
    rig = request.getfixturevalue(source).model.rig
    hands, rng = resting.RestingHands(rig), np.random.default_rng(6)
    reached = 0
    for k in range(80):
        side, sign = ("L", 1) if k % 2 else ("R", -1)
        keys = rng.normal(0, 0.2, (len(KEYS), 3))
        before = keys.copy()
        target = np.array([sign, 1, 1]) * rng.uniform((-0.15, -0.35, 0.0), (0.25, 0.0, 0.5))
        if not hands.reach(keys, side, target, np.array([0.7 * sign, 0.35, -0.7])):
            assert np.array_equal(keys, before)
            continue
        reached += 1
        chest = skinning_matrices(rig.spread(keys, np.zeros((10, 3))), rig.heads, rig.parents)[rig.index["spine01"]]
        assert np.abs(_palm(rig, keys, side) - (chest[:, :3] @ target + chest[:, 3])).max() < 0.005
        untouched = [KEY[name] for name in KEYS if not name.endswith(f".{side}")]
        assert np.array_equal(keys[untouched], before[untouched])
    assert reached > 60
    assert not hands.reach(keys, "L", np.array([0.0, -2.0, 0.3]), np.array([0.7, 0.35, -0.7]))


def test_either_hand_rests_as_the_other_in_a_mirror(toy):
    hands = resting.RestingHands(toy.model.rig)
    left, right = np.zeros((2, len(KEYS), 3))
    target, pole = np.array([-0.1, -0.2, 0.25]), np.array([0.7, 0.35, -0.7])
    assert hands.reach(left, "L", target, pole, 0.4)
    assert hands.reach(right, "R", target * [-1, 1, 1], pole * [-1, 1, 1], 0.4)
    assert np.allclose(mirror(left), right, atol=1e-6)


def test_people_in_rows_stand_close_and_touch_nobody(toy, monkeypatch):
    monkeypatch.setattr(scene, "_IN_ROWS", 1.0)
    nearest = []
    for seed in range(4):
        actors = toy.scenes.draw(np.random.default_rng(seed), framing="group").actors
        points = [actor.points(0, toy.model) for actor in actors]
        gaps = [[cdist(a, b).min() if a is not b else np.inf for b in points] for a in points]
        nearest += [min(row) for row in gaps if len(row) > 1]
    assert len(nearest) > 8
    assert min(nearest) > 0.0199  # 2 cm
    assert np.median(nearest) < 0.12


def test_people_are_too_close_where_any_points_are_at_one_moment():
    rng = np.random.default_rng(0)
    first, found = rng.normal(size=(3, 20, 3)), []
    for away in np.linspace(0, 6, 40):
        second = rng.normal((0, away, 0), 1, (3, 30, 3))
        nearest = min(cdist(a, b).min() for a, b in zip(first, second, strict=True))
        found.append(scene.too_close(first, second, 0.4))
        assert found[-1] == (nearest <= 0.4)
    assert {True, False} == set(found)


def test_clothes_lie_outside_the_body(real):
    model = real.model
    tailor = Tailor(model)
    cut = Cut(top=0.5, bottom=0.0, sleeves=0.8, legs=0, ease=0.02, flare=0.01, folds=10)
    piece = tailor.make(model.data.canonical, cut)
    body = model.data.canonical[model.visible][piece.lies_on]
    away = np.linalg.norm(piece.rest - body, axis=1)
    assert np.median(away) > 0.01
    assert away.max() < 0.12
    assert piece.faces.max() < len(piece.rest)
    skirt = tailor.make(model.data.canonical, Skirt(bottom=-0.3, top=0.15, flare=0.3))
    assert skirt.rest[:, 2].min() < -0.2

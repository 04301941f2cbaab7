"""Things in hands, motion blur, made-up streets, and captured motion on our rig."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from ddp_video.cli.main import main
from ddp_video.errors import DataError
from ddp_video.synthesis import accessories, furnishing, greenery, litter, props, vehicles, wardrobe
from ddp_video.synthesis import materials as m
from ddp_video.synthesis.assets import build_pack, build_wardrobe, read_backgrounds
from ddp_video.synthesis.camera import Camera
from ddp_video.synthesis.lamps import Lighting
from ddp_video.synthesis.materials import noise_volume
from ddp_video.synthesis.occlusion import openness
from ddp_video.synthesis.planes import Backdrop, draw_planes
from ddp_video.synthesis.post import metered
from ddp_video.synthesis.rig import KEY, KEYS, skinning_matrices
from ddp_video.synthesis.rotation import from_vector
from ddp_video.synthesis.shade import Surface, material_colour
from ddp_video.synthesis.shutter import smear

TEXTURES = {finish: [0] for finish in ("wood", "cloth", "photo")}

# ---------------------------------------------------------------- things in hands


def test_who_holds_nothing_has_free_fingers(toy, monkeypatch):
    monkeypatch.setattr(wardrobe, "_HOLDS", 0.0)
    for seed in range(4):
        person = toy.scenes.wardrobe.draw(np.random.default_rng(seed))
        assert person.own.all()
        assert np.isnan(person.grip).all()


def test_held_things_follow_the_hand_and_fingers_close_around_them(toy, monkeypatch):
    monkeypatch.setattr(wardrobe, "_HOLDS", 1.0)
    rig = toy.model.rig
    for seed in range(12):
        person = toy.scenes.wardrobe.draw(np.random.default_rng(seed))
        assert np.isfinite(person.grip).all()
        assert (person.grip[:, :2] > 0.2).all()
        held = np.unique(person.faces[~person.own])
        assert not person.dense[held].any()
        wrists = [rig.index["wrist.L"], rig.index["wrist.R"]]
        assert set(person.bone_index[held, 0]) == set(wrists)
        assert (person.weights[held, 0] == 1).all()
        for wrist, side in zip(wrists, "LR", strict=True):
            thing = person.rest[held[person.bone_index[held, 0] == wrist]]
            knuckle = person.heads[rig.index[f"finger3-1.{side}"]]
            assert (thing.min(0) - 0.06 < knuckle).all()
            assert (thing.max(0) + 0.06 > knuckle).all()


def test_things_in_both_hands_mirror_each_other(toy):
    from ddp_video.synthesis.held import KINDS, draw_held

    rig = toy.model.rig
    for seed in range(len(KINDS) * 3):
        left, right = (draw_held(rig, rig.heads, side, np.random.default_rng(seed)) for side in "LR")
        assert np.allclose(left.shape.vertices, right.shape.vertices * [-1, 1, 1], atol=1e-6)
        assert volume(left.shape) == pytest.approx(volume(right.shape), abs=1e-9)


def test_held_things_belong_to_nobody_in_the_labels(toy, monkeypatch):
    monkeypatch.setattr(wardrobe, "_HOLDS", 1.0)
    monkeypatch.setattr("ddp_video.synthesis.held._ODDS", (0, 0, 0, 1, 0, 0, 0))  # bags, which are large
    seen = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scene = toy.scenes.draw(rng, framing="full")
        stage = toy.renderer.stage(scene)
        frame, view = toy.renderer.render(scene, stage, rng)
        owner = np.concatenate(
            [np.full(len(a.person.faces), k + 1) * a.person.own for k, a in enumerate(scene.actors)]
            + [np.zeros(len(p.faces)) for p in scene.props]
        )
        thing = (view.ids >= 0) & (owner[view.ids] == 0)
        seen += thing.sum()
        assert not frame.person[thing].any()
        assert not frame.part[thing].any()
        assert np.array_equal(frame.person[view.ids >= 0], owner[view.ids[view.ids >= 0]])
    assert seen > 200


# ---------------------------------------------------------------- motion blur


def test_what_stands_still_is_not_smeared():
    rng = np.random.default_rng(0)
    light = rng.random((50, 70, 3), np.float32)
    depth = rng.uniform(1, 5, (50, 70)).astype(np.float32)
    assert np.array_equal(smear(light, depth, np.zeros((50, 70, 2), np.float32)), light)


@pytest.mark.parametrize("length", [4, 8, 16])
def test_a_moving_edge_smears_by_its_length(length):
    light, depth = np.zeros((64, 96, 3), np.float32), np.full((64, 96), 5, np.float32)
    motion = np.zeros((64, 96, 2), np.float32)
    light[:, 40:72], depth[:, 40:72], motion[:, 40:72, 0] = 1, 2, length  # near and moving, over what stands still
    row = smear(light, depth, motion)[32, :, 0]
    assert (row[: 40 - length // 2 - 1] == 0).all()
    assert (row[40 + length // 2 + 1 : 72 - length // 2 - 1] == 1).all()
    rise = row[40 - length // 2 - 1 : 40 + length // 2 + 2]
    assert (np.diff(rise) >= -1e-6).all()
    assert row[39:41].mean() == pytest.approx(0.5, abs=0.1)
    assert ((rise > 0.02) & (rise < 0.98)).sum() == pytest.approx(length, abs=2)


def test_labels_are_those_of_the_middle_of_the_exposure(toy):
    rng = np.random.default_rng(3)
    scene = toy.scenes.draw(rng, frames=2, framing="full")
    sharp, blurred = (
        toy.renderer.render(
            replace(scene, look=replace(scene.look, shutter=shutter)),
            toy.renderer.stage(scene),
            np.random.default_rng(0),
        )[0]
        for shutter in (0.0, 0.9)
    )
    for name in ("person", "part", "uv", "depth", "keypoints"):
        assert np.array_equal(getattr(sharp, name), getattr(blurred, name))


def test_the_camera_meters_light():
    dark = np.full((32, 32, 3), 0.01, np.float32)
    assert metered(dark) > 1 > metered(40 * dark)
    assert 0.01 * metered(dark) < 0.4 * metered(40 * dark)  # what is darker stays darker


# ---------------------------------------------------------------- shapes


def test_who_stands_before_a_photograph_darkens_its_ground():
    camera = Camera.looking(np.array([0, 0, 1.6]), np.array([0, 4, 0.6]), 0.1, 1.2, 1.0)
    backdrop = Backdrop("photograph", np.zeros((2, 3)))
    backdrop.add(np.full((32, 32, 3), 255, np.uint8), (-20, 10, -20), (1, 0, 0), (0, 0, 1), 40, 40, lit=False)
    shadow_map = np.zeros((1, 1), np.float32)
    lamp = np.array([[0, 0, 1, 1, 1, 1, 0]], np.float32)
    lighting = Lighting(lamp, np.ones((2, 3), np.float32), shadow_map, np.zeros((3, 4)), 0.02, 0.0, shadow_map, 0.0)
    contact = np.zeros((20, 20), np.float32)
    contact[8:12, 8:12] = 0.5  # 40 cm around (0, 4)
    light = np.zeros((96, 96, 3), np.float32)
    draw_planes(
        backdrop.planes(), backdrop.sky, lighting, contact, np.array([-1, 3, 10.0]), camera.rotation, camera.position,
        96 * camera.focal, np.full((288, 288), -1, np.int32), False, light, np.zeros((96, 96), np.float32),
    )  # fmt: skip

    def at(*point):
        right, down, away = (np.array(point) - camera.position) @ camera.rotation
        return light[int(48 + 96 * camera.focal * down / away), int(48 + 96 * camera.focal * right / away)]

    assert at(0, 4, 0) == pytest.approx(0.5, abs=0.01)
    for elsewhere in ((0, 4, 1.2), (1, 4, 0), (0, 2.5, 0)):  # above it, beside it, before it
        assert at(*elsewhere) == pytest.approx(1.0, abs=0.01)


def test_hair_changes_colour_from_the_roots_to_the_ends(toy):
    row = np.zeros(m.COLUMNS, np.float32)
    row[m.KIND], row[m.TINT], row[m.MEAN_LUMINANCE], row[m.WAIST] = m.HAIR, 1, 0.5, 0.6
    row[m.UPPER : m.UPPER + 6] = 0.1, 0.2, 0.3, 0.6, 0.5, 0.4
    found = []
    for height in (0.75, 0.6, 0.45):
        canonical = np.full((3, 3), height, np.float32)
        surface = Surface(
            canonical, canonical, np.zeros((3, 14), np.float32), np.zeros(3, np.uint8), row[None], noise_volume()
        )
        colour = np.full(3, 0.5)  # the texture's mean: no strand, no shade between
        material_colour(row, surface, toy.model.charts, 0, 1, 2, 1 / 3, 1 / 3, 1 / 3, colour)
        found.append(colour)
    assert np.allclose(found, [(0.1, 0.2, 0.3), (0.35, 0.35, 0.35), (0.6, 0.5, 0.4)], atol=1e-3)


def volume(shape) -> float:
    corners = shape.vertices[shape.faces].astype(float)
    return np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6


def _openness_beside_a_step(height: float) -> np.ndarray:
    """[W / 2] on a wall at 3 m that faces the camera, left of another one that stands `height` m before it."""
    focal, size = 300.0, 101
    depth = np.full((size, size), 1 / 3.0, np.float32)
    depth[:, size // 2 :] = 1 / (3.0 - height)
    middle = size / 2

    def at(column: int) -> float:
        x = (column + 0.5 - middle) / focal * 3.0
        return openness(depth, column + 0.5, middle, x, 0.0, 3.0, 0.0, 0.0, -1.0, focal, middle, middle)

    return np.array([at(column) for column in range(size // 2)])


def test_seams_are_dark_and_flat_or_distant_things_are_not():
    assert (_openness_beside_a_step(0.0) == 1).all()
    beside = _openness_beside_a_step(0.06)
    assert beside[-1] < 0.9
    assert (beside[:25] == 1).all()  # further than the reach
    assert (_openness_beside_a_step(1.0) == 1).all()  # no halo around somebody before a wall


def test_closed_shapes_face_outwards():
    rng = np.random.default_rng(1)
    for _ in range(5):
        lying = [
            thing
            for kind in ("clothes", "heap", "bag", "stone", "paper")
            for thing in litter.lying_about(rng, kind, (0, 0), TEXTURES, [props.ball(0.5)])
        ]
        for thing in (*vehicles.car(rng, (0, 0), 0.0), *greenery.bush(rng, (0, 0), [0]), *lying):
            assert volume(thing) > 0
        assert all(volume(thing) > 0 for thing in greenery.tree(rng, (0, 0), [0], [0]))
        back, top = np.array([0, 0.1, 1.6]), np.array([0, 0, 1.7])
        for tied in (accessories.bun(back, top, rng), accessories.tail(back, top, rng)):
            assert volume(tied.shape.moved(-back)) > 0
        assert all(volume(props.furniture(kind, rng)) > 0 for kind in props.KINDS)


def test_cars_are_as_large_as_cars():
    rng = np.random.default_rng(2)
    for _ in range(8):
        corners = np.concatenate([p.vertices for p in vehicles.car(rng, (3.0, 9.0), 0.7)])
        assert 1.3 < np.ptp(corners[:, 2]) < 2.4
        assert abs(corners[:, 2].min()) < 0.02
        assert np.linalg.norm(corners[:, :2].mean(0) - [3, 9]) < 0.6


@pytest.mark.parametrize("kind", litter.KINDS)
def test_what_lies_about_lies_on_the_ground(kind, toy):
    """Where it was put, resting on the ground or sunk into it, and no larger than somebody who lies or stands."""
    rng = np.random.default_rng(3)
    for _ in range(12):
        thing = litter.lying_about(rng, kind, (3.0, 9.0), TEXTURES, toy.scenes.furnisher.garments)
        corners = np.concatenate([p.vertices for p in thing])
        assert -0.4 < corners[:, 2].min() < 0.03 < corners[:, 2].max() < 2.5
        low, high = corners[:, :2].min(0), corners[:, :2].max(0)
        assert (low < [3, 9]).all() and (high > [3, 9]).all() and (high - low < 4).all()


def test_what_lies_about_touches_nobody(toy):
    """However much lies about: nothing stands where somebody is."""
    rng, things = np.random.default_rng(4), 0
    for _ in range(8):
        scene = toy.scenes.draw(rng, framing="above", backdrop="outdoors")
        furnisher, camera = toy.scenes.furnisher, scene.camera
        taken = furnisher._taken(scene.actors)
        around = furnishing._fitting(rng, furnisher._litter(rng, camera, 8.0), taken, scene.actors, camera, 8.0)
        things += len(around)
        for prop in around:
            low, high = prop.vertices.min(0)[:2], prop.vertices.max(0)[:2]
            for actor in scene.actors:
                points = actor.points(0, toy.model)[:, :2]
                assert not ((points > low) & (points < high)).all(1).any()
    assert things > 15


# ---------------------------------------------------------------- captured motion


def test_captured_knees_and_elbows_bend_the_right_way(real):
    director, rig = real.scenes.director, real.model.rig
    motion = director.motion
    used = np.repeat(director._clip_odds > 0, np.diff(motion.start))
    assert used.mean() > 0.9
    for side in "LR":
        turn = from_vector(motion.keys[used, KEY[f"shin.{side}"]].astype(np.float64))
        shin = turn @ rig.limb_axis(f"shin.{side}")
        assert (shin[:, 1] - rig.limb_axis(f"shin.{side}")[1] > -0.12).mean() > 0.999  # backwards is +y
        upper, fore = rig.limb_axis(f"arm.{side}"), rig.limb_axis(f"forearm.{side}")
        inwards = fore - upper * (fore @ upper)  # where a bent forearm points, in the upper arm's own axes
        turn = from_vector(motion.keys[used, KEY[f"forearm.{side}"]].astype(np.float64))
        assert (turn @ fore @ inwards / np.linalg.norm(inwards) > -0.12).mean() > 0.995


def test_captured_walkers_keep_their_feet_on_the_ground(real):
    director, rig = real.scenes.director, real.model.rig
    motion, body = director.motion, real.model.data
    walks = [k for k, name in enumerate(motion.names) if str(name).startswith(("07_", "08_"))]
    assert len(walks) > 10
    bone = body.bone_index[body.landmarks, 0]
    is_foot = np.char.startswith(body.bones[bone], "foot")
    lowest_is_foot, clearance = [], []
    for clip in walks:
        frames = np.arange(motion.start[clip], motion.start[clip + 1], 20)
        clearance.append(motion.clearance[frames].mean())
        for keys in motion.keys[frames].astype(np.float64):
            matrices = skinning_matrices(rig.spread(keys, np.zeros((10, 3))), rig.heads, rig.parents)[bone]
            height = np.einsum("nj,nj->n", matrices[:, 2, :3], body.canonical[body.landmarks]) + matrices[:, 2, 3]
            lowest_is_foot.append(is_foot[height.argmin()])
    assert np.mean(lowest_is_foot) > 0.99
    assert np.mean(clearance) < 0.01  # leg lengths


def test_everyday_actions_weigh_most(real):
    director = real.scenes.director
    subject = np.array([str(name).split("_")[0] for name in director.motion.names])
    odds = {s: director._clip_odds[subject == s].sum() for s in np.unique(subject)}
    everyday = odds["13"] + odds["14"] + odds["07"] + odds["08"] + odds["12"]
    assert everyday > 0.55
    assert odds["01"] < 0.03
    assert sum(odds.values()) == pytest.approx(1)


def test_hands_are_plausible(toy):
    for seed in range(30):
        performance = toy.scenes.director.draw(np.random.default_rng(seed), 2)
        curls = performance.curls.reshape(2, 5, 3)
        assert performance.keys.shape == (2, len(KEYS), 3)
        assert curls[..., :2].min() > -0.2  # fingers do not bend back
        assert curls[..., :2].max() < math.radians(100)
        assert np.abs(curls[:, 1:, 2]).max() < 0.5


# ---------------------------------------------------------------- error lines


def test_partial_asset_folders_are_told_in_one_line(tmp_path, toy_pack_file):
    (tmp_path / "clothes").mkdir()
    archive, photographs = tmp_path / "mocap.npz", tmp_path / "photographs"
    with pytest.raises(DataError, match="motion archive not found"):
        build_pack(tmp_path, archive, photographs)
    np.savez(archive, nothing=np.zeros(1))
    with pytest.raises(DataError, match="backgrounds not found"):
        build_pack(tmp_path, archive, photographs)
    photographs.mkdir()
    with pytest.raises(DataError, match="no photographs"):
        read_backgrounds(photographs)
    with pytest.raises(DataError, match=r"no suit found under .* partial"):
        build_wardrobe(tmp_path, None, print)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["images", "--pack", "PACK", "--size", "8", "-o", "TMP/out"], 2, "size 8x8"),
        (["images", "--pack", "PACK", "--size", "0x64", "-o", "TMP/out"], 2, "size"),
        (["images", "--pack", "PACK", "--size", "64", "-o", "TMP/file/out", "-q"], 1, "choose another -o"),
        (["video", "--pack", "PACK", "--size", "64", "--frames", "2", "-o", "TMP/file/out", "-q"], 1, "choose another"),
        (["images", "--pack", "TMP/none.pack", "-o", "TMP/out"], 1, "synthesize assets"),
        (
            ["assets", "--makehuman", "TMP/no", "--mocap", "TMP/no", "--backgrounds", "TMP", "-o", "TMP/p"],
            1,
            "not found",
        ),
    ],
)
def test_commands_fail_in_one_line(toy_pack_file, tmp_path, monkeypatch, capsys, arguments, code, expected):
    (tmp_path / "file").write_text("")
    arguments = [a.replace("PACK", str(toy_pack_file)).replace("TMP", str(tmp_path)) for a in arguments]
    monkeypatch.setattr(sys, "argv", ["ddp-video", "synthesize", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    errors = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert stop.value.code == code
    assert len(errors) == 1
    assert expected in errors[0]
    assert not (tmp_path / "out").exists()

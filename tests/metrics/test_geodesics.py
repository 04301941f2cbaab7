"""Distances over the skin: the table's arithmetic, our shipped body, and the official files of SMPL (faked here)."""

import pickle

import numpy as np
import pytest
from scipy.io import savemat

from ddp_video.charts import MIRROR, MIRROR_FLIPS_U
from ddp_video.errors import DataError
from ddp_video.metrics.geodesics import OFF_BODY, SMPL_FILES, Geodesics, load_body, load_smpl


def condensed(table):
    return np.concatenate([table[row, :row] for row in range(len(table))])


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    table = rng.random((7, 7)) + rng.random((7, 7)).T
    table = (table + table.T) * (1 - np.eye(7))
    chart = np.array([1, 1, 1, 2, 2, 5, 5, 5])
    return table, Geodesics(chart, rng.random((8, 2)), rng.integers(0, 7, 8), condensed(table))


def test_distance_is_the_table_entry(small):
    table, geodesics = small
    first, second = np.indices((7, 7)).reshape(2, -1)
    np.testing.assert_allclose(geodesics.between(first, second), table.ravel())


def test_background_is_infinitely_far(small):
    _, geodesics = small
    off, on = np.full(2, OFF_BODY), np.array([3, OFF_BODY])
    assert np.isinf(geodesics.between(off, on)).all()
    assert np.isinf(geodesics.between(on, off)).all()


def test_landmark_is_that_of_the_nearest_sample_of_the_chart(small):
    _, geodesics = small
    rng = np.random.default_rng(1)
    part, uv = rng.choice([0, 1, 2, 5], 40), rng.random((40, 2))
    for p, point, got in zip(part, uv, geodesics.landmarks(part, uv), strict=True):
        rows = np.flatnonzero(geodesics.chart == p)
        if p == 0:
            assert got == OFF_BODY
        else:
            assert got == geodesics.landmark[rows[np.linalg.norm(geodesics.uv[rows] - point, axis=1).argmin()]]


def on_body(geodesics, part, u, v):
    return geodesics.landmarks(np.array([part]), np.array([[u, v]]))


def body_distance(geodesics, first, second):
    return geodesics.between(on_body(geodesics, *first), on_body(geodesics, *second))[0]


def test_our_body_has_human_measures():
    body = load_body()
    assert body_distance(body, (9, 0.5, 0.5), (9, 0.5, 0.5)) == 0
    assert 0.25 < body_distance(body, (10, 0.5, 0.1), (10, 0.5, 0.9)) < 0.45  # along a thigh
    assert 0.4 < body_distance(body, (2, 0.5, 0.05), (2, 0.5, 0.95)) < 0.75  # crotch to neck
    assert 0.15 < body_distance(body, (1, 0.5, 0.6), (2, 0.5, 0.6)) < 0.6  # through to the back, around the waist
    assert body_distance(body, (3, 0.5, 0.5), (4, 0.5, 0.5)) > 1.27  # hand to hand: beyond the table's end


@pytest.mark.parametrize(
    ("back", "front"), [(1, 2), (7, 9), (8, 10), (11, 13), (12, 14), (15, 17), (16, 18), (19, 21), (20, 22), (23, 24)]
)
def test_our_charts_meet_at_their_seams(back, front):
    body = load_body()
    for u in (0.0, 1.0):
        for v in (0.25, 0.5, 0.75) if back != 23 else (0.2, 0.4):
            assert body_distance(body, (back, u, v), (front, u, v)) < 0.06


def test_our_body_is_symmetric():
    body, rng = load_body(), np.random.default_rng(0)

    def mirrored(part, uv):
        flips = np.isin(part, MIRROR_FLIPS_U)
        return np.array(MIRROR)[part], np.stack([np.where(flips, 1 - uv[:, 0], uv[:, 0]), uv[:, 1]], axis=1)

    first, second = rng.integers(0, len(body.chart), (2, 3000))
    points = [(body.chart[rows].astype(int), body.uv[rows]) for rows in (first, second)]
    straight = body.between(*(body.landmarks(*point) for point in points))
    across = body.between(*(body.landmarks(*mirrored(*point)) for point in points))
    error = np.abs(straight - across)
    assert error.mean() < 0.02
    assert np.percentile(error, 99) < 0.08


def smpl_folder(folder, surface=None, distances=None):
    rng = np.random.default_rng(0)
    vertices, subdivided = 5, 40
    table = np.abs(np.subtract.outer(np.arange(vertices), np.arange(vertices))) / 10.0
    surface = surface or {
        "U_subdiv": rng.random((subdivided, 1)),
        "V_subdiv": rng.random((subdivided, 1)),
        "Part_ID_subdiv": rng.integers(1, 25, (1, subdivided)),
    }
    savemat(folder / SMPL_FILES[0], surface)
    savemat(folder / SMPL_FILES[1], {"index": rng.integers(1, vertices + 1, (subdivided, 1))})
    with (folder / SMPL_FILES[2]).open("wb") as file:
        pickle.dump(distances or {"Pdist_matrix": condensed(table)[:, None].astype(np.float32)}, file, protocol=2)
    return table


def test_official_files_give_their_table(tmp_path):
    table = smpl_folder(tmp_path)
    smpl = load_smpl(tmp_path)
    rows = np.arange(40)
    found = smpl.landmarks(smpl.chart[rows], smpl.uv[rows])
    assert (found == smpl.landmark[rows]).all() and found.min() == 0
    np.testing.assert_allclose(smpl.between(found[:20], found[20:]), table[found[:20], found[20:]], rtol=1e-6)


def test_missing_official_file_is_named_with_its_source(tmp_path):
    smpl_folder(tmp_path)
    (tmp_path / "Pdist_matrix.pkl").unlink()
    with pytest.raises(DataError, match=r"lacks Pdist_matrix.pkl; fetch from https://dl.fbaipublicfiles"):
        load_smpl(tmp_path)


def test_wrong_official_file_is_a_data_error(tmp_path):
    smpl_folder(tmp_path, surface={"something": np.zeros(3)})
    with pytest.raises(DataError, match="does not hold"):
        load_smpl(tmp_path)


def test_official_pickle_cannot_run_code(tmp_path):
    smpl_folder(tmp_path)
    (tmp_path / SMPL_FILES[2]).write_bytes(b"cos\nsystem\n(S'echo harm'\ntR.")
    with pytest.raises(DataError, match="no place among arrays"):
        load_smpl(tmp_path)

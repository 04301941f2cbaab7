"""Makes body_geodesics.npz, the distances over our body's skin that the package ships.

    python -m ddp_video.metrics.make_body_table PACK      (PACK: the asset pack of `ddp_video.synthesis`; 2 minutes)

The canonical rest body is covered by landmarks, denser where k of the GPS is small (hands 1.7 cm, torso 5.5 cm apart). Every
cell of a 64 x 64 raster of each chart is given the landmark nearest to what a camera sees there: the inside of the mouth and
the eye sockets, which share coordinates with the face, stay out, and where a chart is many to one (between fingers), the
point nearest to the middle stands for all. Distances are stored in steps of 5 mm up to 1.275 m, where every GPS is 0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ddp_video.metrics.geodesics import BODY_TABLE
from ddp_video.metrics.gps import SCALE_OF_CHART
from ddp_video.metrics.surface import (
    distances_from,
    nearest,
    refined_graph,
    sample_surface,
    spread_points,
    visibility,
)
from ddp_video.synthesis.body import BodyModel
from ddp_video.synthesis.charts import chart_points
from ddp_video.synthesis.pack import SKIN_VERTICES, load_pack

NUM_LANDMARKS = 2000
NUM_SAMPLES = 1_500_000
CELLS = 64  # per side of a chart
STEP = 0.005  # metres
LEAST_VISIBLE = 0.05  # share of all directions
SEED = 0

ChartsOf = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def make_table(vertices: np.ndarray, faces: np.ndarray, part_weights: np.ndarray, charts_of: ChartsOf) -> dict:
    """The arrays of `geodesics.Geodesics` for one body.

    Args:
        vertices: [V, 3] metres, the outer skin only. faces: [F, 3]. part_weights: [V, parts]. charts_of: (part [P],
            position [P, 3]) -> chart [P], u [P], v [P].
    """
    rng = np.random.default_rng(SEED)
    face, weight = sample_surface(vertices, faces, NUM_SAMPLES, rng)
    corners = faces[face]
    points = np.einsum("pcx,pc->px", vertices[corners], weight)
    part = np.einsum("pcx,pc->px", part_weights[corners], weight).argmax(axis=1)
    seen = visibility(points, points) >= LEAST_VISIBLE
    points, part = points[seen], part[seen]
    chart, u, v = charts_of(part, points)

    few = rng.choice(len(points), 60_000, replace=False)
    landmarks = points[few][spread_points(points[few], NUM_LANDMARKS, SCALE_OF_CHART[chart[few]])]
    landmarks = landmarks[np.lexsort(landmarks.T)]  # neighbours in the table look alike: it compresses better
    positions, graph = refined_graph(vertices, faces)
    node = nearest(landmarks, positions)

    cell_u, cell_v = (np.minimum(c * CELLS, CELLS - 1).astype(np.int64) for c in (u, v))
    cells, of_cell, count = np.unique(
        (chart * CELLS + cell_v) * CELLS + cell_u, return_inverse=True, return_counts=True
    )
    middle = np.stack([np.bincount(of_cell, points[:, axis]) / count for axis in range(3)], axis=1)
    order = np.lexsort((((points - middle[of_cell]) ** 2).sum(axis=1), of_cell))
    typical = points[order[np.cumsum(count) - count]]  # of each cell the sample nearest to its middle
    typical_node = nearest(typical, positions)

    closest = np.full(len(cells), np.inf, np.float32)
    landmark = np.zeros(len(cells), np.uint16)
    table = np.empty((NUM_LANDMARKS, NUM_LANDMARKS), np.float32)
    for row in range(NUM_LANDMARKS):  # one at a time: a row over all nodes is large
        reach = distances_from(graph, node[row], limit=256 * STEP)
        table[row] = reach[node]
        nearer = reach[typical_node] < closest
        closest[nearer], landmark[nearer] = reach[typical_node][nearer], row
    low = np.tril_indices(NUM_LANDMARKS, -1)
    raster = np.stack([cells % CELLS, cells // CELLS % CELLS], axis=1)
    return {
        "chart": (cells // CELLS**2).astype(np.uint8),
        "uv": np.round((raster + 0.5) / CELLS * 255).astype(np.uint8),
        "landmark": landmark,
        "distances": np.minimum(np.round(table[low] / STEP), 255).astype(np.uint8),
        "metres": np.float64(STEP),
    }


def main(pack: str) -> None:
    body = load_pack(Path(pack)).body
    skin = body.faces[(body.faces < SKIN_VERTICES).all(axis=1)]
    used, faces = np.unique(skin, return_inverse=True)
    tables = BodyModel(body).charts

    def charts_of(part, points):
        return chart_points(tables, part, points.astype(np.float32))

    vertices = body.canonical[used].astype(np.float64)
    table = make_table(vertices, faces.reshape(skin.shape), body.part_weights[used], charts_of)
    np.savez_compressed(Path(__file__).with_name(BODY_TABLE), **table)


if __name__ == "__main__":
    main(sys.argv[1])

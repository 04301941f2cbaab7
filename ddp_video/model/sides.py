"""Left or right, decided by whole limbs: what a thigh knows about its side, the foot at its end learns from it.

The network names the kind of a limb surely and its side less so, worst at hands and feet, far from the trunk that tells the
sides apart. Here the evidence for a side is carried along the limb: over the sites of one person's arms, and of the legs, the
log odds z of left against right minimise

    sum_i w_i (z_i - e_i)^2 + lambda sum_ij w_i w_j (z_i - z_j)^2        (i, j neighbours)

with e the network's own log odds, limited, and w the probability of being on such a limb at all, so that nothing flows over
a trunk that an arm crosses. lambda grows with the person's area: evidence travels a share of a body, whatever its size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import cg

from ddp_video.charts import ARM, LEG, NUM_CLASSES, SIDES, side_charts
from ddp_video.sparse import ActiveSites
from ddp_video.structures import SparseIUV

SPREAD = 0.02  # lambda of a site of the person
MOST_ODDS = 4.0  # of the evidence, in nats: the surest site may err
LEAST_WEIGHT = 0.02  # sites that are on such a limb with less probability take no part
PRECISION, MOST_STEPS = 1e-3, 80  # of the solver

CHAINS = tuple(tuple(side_charts(side, *limbs) for side in SIDES) for limbs in (ARM, LEG))


def agree_on_sides(iuv: SparseIUV, size: tuple[int, int]) -> SparseIUV:
    """The same prediction of one frame on a grid of `size` (rows, columns), with sides that agree along arms and legs.

    Only the I logits of limbs change: those of the left by half of what the log odds changed, those of the right by minus that.
    """
    if not len(iuv):
        return iuv
    logits = iuv.logits.float().numpy().copy()
    charts = logits[:, :NUM_CLASSES]
    owner = iuv.owner.numpy()
    first, second = (rows.numpy() for rows in ActiveSites(iuv.sites, (1, *size)).adjacent())
    same = owner[first] == owner[second]
    first, second = first[same], second[same]
    stiffness = SPREAD * np.bincount(owner)[owner]
    probability = np.exp(charts[:, 1:] - charts[:, 1:].max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    sums = np.array([[probability[:, np.array(side) - 1].sum(1) + 1e-6 for side in sides] for sides in CHAINS])
    own, weight = np.log(sums[:, 0] / sums[:, 1]), sums.sum(1)  # [chains, sites]
    counts = weight > LEAST_WEIGHT
    if not counts.any():
        return iuv
    row = np.cumsum(counts).reshape(counts.shape) - 1  # both chains in one system
    both = counts[:, first] & counts[:, second]
    agreed = _solve(
        weight[counts],
        np.clip(own[counts], -MOST_ODDS, MOST_ODDS),
        row[:, first][both],
        row[:, second][both],
        (stiffness[first] * weight[:, first] * weight[:, second])[both],
    )
    changes = np.zeros_like(own)
    changes[counts] = (agreed - own[counts]) / 2
    for (left, right), change in zip(CHAINS, changes, strict=True):
        charts[:, left] += change[:, None]
        charts[:, right] -= change[:, None]
    return replace(iuv, logits=torch.from_numpy(logits).to(iuv.logits.dtype))


def _solve(
    weight: np.ndarray, evidence: np.ndarray, first: np.ndarray, second: np.ndarray, bond: np.ndarray
) -> np.ndarray:
    """The minimum of sum w (z - e)^2 + sum bond (z_first - z_second)^2, by conjugate gradients."""
    count = len(weight)
    diagonal = weight + np.bincount(first, bond, count) + np.bincount(second, bond, count)
    off = sparse.coo_matrix((-bond, (first, second)), (count, count))
    matrix = (off + off.T + sparse.diags(diagonal)).tocsr()
    preconditioner = sparse.diags(1 / diagonal)
    agreed, _ = cg(matrix, weight * evidence, x0=evidence, rtol=PRECISION, maxiter=MOST_STEPS, M=preconditioner)
    return agreed

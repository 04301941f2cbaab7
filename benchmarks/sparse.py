"""The sparse branch beside a dense one (paper Table 2), and its one operation beside conv2d."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.report import Table
from benchmarks.scenes import make_scene
from benchmarks.settings import SIZE, Settings
from benchmarks.timing import compare
from ddp_video.hardware import DTYPES, autocast, choose_precision
from ddp_video.model.config import CONFIGS
from ddp_video.model.iuv_branch import IUVBranch
from ddp_video.sparse import ActiveSites, submanifold_conv
from ddp_video.structures import STRIDE

SHARES = (0.05, 0.1, 0.25, 0.5)
GOAL_SHARE = 0.25
PEOPLE = 5
CONV = (200, 200, 256)  # rows, columns, channels


def _precisions(device: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(("fp32", choose_precision(torch.device(device)))))


def branch(settings: Settings) -> Table:
    """The paper's IUV branch (ddp_r50) on the same sites with the sparse and the dense convolution."""
    rows = []
    for precision in _precisions(settings.device):
        for share in SHARES if precision != "fp32" else (GOAL_SHARE,):
            rows.append(_one_branch(settings, precision, *_sites(settings.sides(*SIZE), share)))
    return Table(
        "Sparse IUV branch against dense",
        (
            "active",
            "precision",
            *(f"{n}, CPU s" for n in ("sparse", "dense", "8 x conv2d alone")),
            "dense / sparse",
            "conv2d alone / sparse",
            "dense / sparse, wall",
            "error",
        ),
        rows,
        f"The branch of ddp_r50 with random weights (256 channels, 8 convolutions and normalisations, 75 logits) on the "
        f"stride-4 grid of a {SIZE[0]} x {SIZE[1]} px picture of {PEOPLE} people. dense: the branch without sparsity "
        "(paper Table 2). conv2d alone: only its eight convolutions, without norms and logits, the least that any dense "
        "branch could take. error: largest difference to the same branch on conv2d times mask, of the largest logit.",
    )


def _one_branch(settings: Settings, precision: str, sites: Tensor, owner: Tensor, grid: tuple[int, int]) -> tuple:
    torch.manual_seed(0)
    config, dtype = CONFIGS["ddp_r50"], DTYPES[precision]
    sparse = IUVBranch(config).to(settings.device).eval()
    dense = IUVBranch(replace(config, sparse=False)).to(settings.device).eval()
    dense.load_state_dict(sparse.state_dict())
    for weight in (block.weight for of in (sparse, dense) for block in of.modules() if hasattr(block, "weight")):
        if weight.ndim == 4:
            weight.data = weight.data.to(dtype)
    agg = torch.rand(1, config.channels, *grid, device=settings.device, dtype=dtype)
    agg = agg.contiguous(memory_format=torch.channels_last)
    sites, owner = sites.to(settings.device), owner.to(settings.device)
    kernels = [
        weight.contiguous(memory_format=torch.channels_last) for weight in sparse.parameters() if weight.ndim == 4
    ]

    def run(of: nn.Module) -> Tensor:
        return of(agg, sites, owner, PEOPLE)

    def convolve() -> Tensor:
        x = agg
        for kernel in kernels:
            x = F.conv2d(x, kernel, padding=1)
        return x

    with torch.inference_mode(), autocast(agg.device, dtype):
        found = compare(
            {"sparse": lambda: run(sparse), "dense": lambda: run(dense), "conv2d": convolve}, settings.rounds
        )
        logits = run(sparse)
        sparse.backend = "dense"
        error = _error(logits, run(sparse))
    a, b, c = found["sparse"], found["dense"], found["conv2d"]
    share = len(sites) / (grid[0] * grid[1])
    return (round(share, 3), precision, a.cpu, b.cpu, c.cpu, b.cpu / a.cpu, c.cpu / a.cpu, b.wall / a.wall, error)


def one_conv(settings: Settings) -> Table:
    """One submanifold convolution and one conv2d."""
    height, width = settings.sides(*CONV[:2])
    sites, _, _ = _sites((STRIDE * height, STRIDE * width), GOAL_SHARE)
    return Table(
        f"3x3 {CONV[2]}->{CONV[2]} at {height} x {width}, {len(sites) / (height * width):.0%} active",
        (
            "precision",
            *(f"{n}, {kind} ms" for kind in ("CPU", "wall") for n in ("sparse", "dense")),
            "dense / sparse",
            "error",
        ),
        [_one_conv(settings, precision, sites, height, width) for precision in _precisions(settings.device)],
        "The neighbour table is made once a frame and not timed. error: of the largest value.",
    )


def _one_conv(settings: Settings, precision: str, sites: Tensor, height: int, width: int) -> tuple:
    torch.manual_seed(0)
    channels = CONV[2]
    active = ActiveSites(sites.to(settings.device), (1, height, width))
    tensor = {"device": settings.device, "dtype": DTYPES[precision]}
    weight = torch.randn(channels, channels, 3, 3, **tensor) / (9 * channels) ** 0.5
    image = active.scatter(torch.randn(len(sites), channels, **tensor)).contiguous(memory_format=torch.channels_last)
    kernel = weight.contiguous(memory_format=torch.channels_last)
    features = active.gather(image)
    calls = {
        "sparse": lambda: submanifold_conv(features, weight, None, active),
        "dense": lambda: F.conv2d(image, kernel, padding=1),
    }
    with torch.inference_mode():
        found = compare(calls, 5 * settings.rounds)
        error = _error(calls["sparse"](), active.gather(calls["dense"]()))
    a, b = found["sparse"], found["dense"]
    return (precision, 1e3 * a.cpu, 1e3 * b.cpu, 1e3 * a.wall, 1e3 * b.wall, b.cpu / a.cpu, error)


def _error(found: Tensor, reference: Tensor) -> float:
    return float((found - reference).abs().max() / reference.abs().max())


def _sites(size: tuple[int, int], share: float) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Sites [M, 3], owners [M] and the grid of a picture (H, W) px of `PEOPLE` people on `share` of it."""
    scene = make_scene(size, PEOPLE, share)
    masks = torch.from_numpy(scene.masks)[:, ::STRIDE, ::STRIDE]
    y, x = masks.any(0).nonzero().unbind(1)
    owner = masks.int().argmax(0)[y, x]
    return torch.stack([torch.zeros_like(y), y, x], 1).int(), owner, tuple(masks.shape[1:])

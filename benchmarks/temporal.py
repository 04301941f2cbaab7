"""Optical flow with what can be shared shared, beside stock calls; and smoothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torchvision.models.optical_flow import raft_small

from benchmarks.report import Table
from benchmarks.settings import CLIP, Settings
from benchmarks.timing import compare
from ddp_video.hardware import DTYPES, choose_precision
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model
from ddp_video.pipeline import Clip, infer, smooth
from ddp_video.structures import Grid
from ddp_video.temporal.flow import DISFlow, RAFTFlow
from ddp_video.temporal.raft import SharedRAFT
from ddp_video.temporal.smoothing import SmoothingSettings
from ddp_video.video import VideoReader

SIZE = (360, 640)  # px, what RAFT sees of a 16:9 video
RADIUS = 2
TOLERANCE = 0.1  # px, RAFTFlow's
FRAMES = 48


def flow(settings: Settings) -> Table:
    """2r flows of one frame: torchvision's calls, and ours, which compute a frame's maps once."""
    size = tuple(max(-(-side // 8) * 8, 128) for side in settings.sides(*SIZE))
    torch.manual_seed(0)
    stock = raft_small(weights=None).eval()
    if settings.flow_weights:
        stock.load_state_dict(torch.load(settings.flow_weights, weights_only=True))
    stock.to(settings.device)
    precisions = dict.fromkeys(("fp32", choose_precision(torch.device(settings.device))))
    shared = {
        name: SharedRAFT.from_state_dict(stock.state_dict(), DTYPES[name]).to(settings.device) for name in precisions
    }
    pictures = [frame.rgb for frame in _frames(2 * RADIUS + 1)]
    images = torch.nn.functional.interpolate(
        torch.stack([torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]).float(), size, mode="area"
    )
    images = (images / 127.5 - 1).to(settings.device)
    middle, others = images[RADIUS : RADIUS + 1], [k for k in range(2 * RADIUS + 1) if k != RADIUS]
    with torch.inference_mode():
        known = shared["fp32"].encode(images[others])

        @torch.inference_mode()
        def call_stock():
            return torch.cat([stock(middle, images[k : k + 1])[-1] for k in others])

        def call_shared(raft: SharedRAFT, tolerance: float) -> Callable:
            return lambda: raft.match(raft.encode(middle) * len(others), known, tolerance)

        calls = {"4 stock calls": call_stock}
        for name, raft in shared.items():
            calls[f"shared, {name}, all 12 updates"] = call_shared(raft, 0.0)
            if settings.flow_weights:  # random weights never settle
                calls[f"shared, {name}, until an update is below {TOLERANCE} px"] = call_shared(raft, TOLERANCE)
        dis, grid = DISFlow(), Grid(pictures[0].shape[:2], pictures[0].shape[:2])
        prepared = [dis.prepare(picture) for picture in pictures]
        calls["DIS"] = lambda: dis.pairs([prepared[RADIUS]] * len(others), [prepared[k] for k in others], grid)
        found = compare(calls, settings.rounds)
        expected = call_stock()
        errors = [f"{name} {(expected - call_shared(raft, 0.0)()).abs().max():.1e} px" for name, raft in shared.items()]
    base = found["4 stock calls"]
    return Table(
        f"{len(others)} flows a frame",
        ("estimator", "CPU s", "wall s", "of the first"),
        [(name, t.cpu, t.wall, t.cpu / base.cpu) for name, t in found.items()],
        f"RAFT small at {size[0]} x {size[1]} px, {'real' if settings.flow_weights else 'random'} weights; largest "
        f"difference of shared to stock {', '.join(errors)}. DIS at its own size.",
    )


def smoothing(settings: Settings) -> Table:
    """`smooth` on the example clip's predictions: reading, flow, averaging, drawing, encoding."""
    frames = max(settings.sides(FRAMES)[0], 2)
    estimators = {"DIS": DISFlow()}
    if settings.flow_weights:
        estimators["RAFT small"] = RAFTFlow(settings.flow_weights, settings.device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = infer(
            settings.clip,
            DDPPredictor(load_model("ddp_lite"), settings.device),
            Path(folder) / "run",
            clip=Clip(max_frames=frames),
        )
        for name, estimator in estimators.items():
            wall, cpu = time.perf_counter(), time.process_time()
            smooth(run, Path(folder) / "smooth", flow=estimator, overwrite=True)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rows.append((name, frames / wall, cpu / frames, frames / cpu))
    return Table(
        "Smoothing a finished run",
        ("flow", "frames/s", "CPU s a frame", "frames per CPU second"),
        rows,
        f"{frames} frames of {settings.clip.name}, radius {SmoothingSettings().radius}, its three videos encoded again.",
    )


def _frames(count: int) -> list:
    return list(VideoReader(CLIP, max_frames=count))

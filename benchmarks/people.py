"""Time against the number of people and against the foreground (paper Figure 4): ours and the top-down network, in one run."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.forced import on, random_ddp, random_rcnn
from benchmarks.peer import Detectron2, recorded
from benchmarks.report import Table
from benchmarks.scenes import make_scene
from benchmarks.settings import SIZE, Settings
from benchmarks.timing import Timing, compare
from ddp_video.decode import decode
from ddp_video.model.densepose_rcnn import DenseposeRCNNPredictor
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model
from ddp_video.structures import FramePrediction

PEOPLE = (1, 2, 5, 10, 20)
SHARE = 0.08  # of the picture, whatever the number of people
SHARES = (0.02, 0.1, 0.25, 0.5)
PEOPLE_OF_SHARES = 5


def people(settings: Settings) -> dict[str, Table]:
    size, rcnn = settings.sides(*SIZE), random_rcnn()
    peer = Detectron2(settings.detectron2, rcnn.state_dict(), settings.device) if settings.detectron2 else None
    # Of its own, since it moves the model's weights to channels_last, which the peer does not.
    predictors = _ours(settings) | {
        "densepose-rcnn": DenseposeRCNNPredictor(random_rcnn(), settings.device, size=size[0])
    }
    first, found = {}, []
    for count in PEOPLE:
        scene = make_scene(size, count, SHARE)
        latest: dict[str, FramePrediction] = {}
        calls = {}
        for name, predictor in predictors.items():
            calls[name] = _keeping(latest, name, on(scene, predictor))
            calls[f"{name}, to full size"] = lambda name=name, of=latest: decode(of[name])
        if peer:
            calls["detectron2"] = peer.on(scene)
        found.append(compare(calls, settings.rounds))
        print(f"{count} people:", found[-1], file=sys.stderr, flush=True)  # the whole table takes minutes
        first[count] = round(scene.share, 3)
    notes = (
        f"A picture of {size[0]} x {size[1]} px, the people forced; ddp_lite shrinks it as it always does. "
        "Weights of ddp_r50, and of densepose-rcnn (R50, DeepLab head, as densepose_rcnn_R_50_FPN_DL_s1x) are random. "
        "to full size: from stride 4 to a chart and coordinates a pixel, what our network's seconds do not contain."
    )
    notes += "" if peer else f"\n\n{recorded()}"
    return {
        "people": _table("Time against the number of people, CPU s", first, found, "cpu", notes),
        "people, wall": _table("Time against the number of people, wall s", first, found, "wall", ""),
    }


def _keeping(results: dict[str, FramePrediction], name: str, call: Callable[[], FramePrediction]) -> Callable:
    def keep():
        results[name] = call()

    return keep


def _table(title: str, shares: dict[int, float], found: list[dict[str, Timing]], kind: str, notes: str) -> Table:
    rows = [
        (count, share, *(getattr(timing, kind) for timing in of.values()))
        for (count, share), of in zip(shares.items(), found, strict=True)
    ]
    growth = (f"{PEOPLE[-1]} / {PEOPLE[0]}", None, *(b / a for a, b in zip(rows[0][2:], rows[-1][2:], strict=True)))
    return Table(title, ("people", "foreground", *found[0]), [*rows, growth], notes)


def foreground(settings: Settings) -> Table:
    predictors, rows = _ours(settings), []
    for share in SHARES:
        scene = make_scene(settings.sides(*SIZE), PEOPLE_OF_SHARES, share)
        found = compare({name: on(scene, predictor) for name, predictor in predictors.items()}, settings.rounds)
        rows.append((round(scene.share, 3), *(t for name in predictors for t in (found[name].cpu, found[name].wall))))
    return Table(
        "Time against the foreground",
        ("foreground", *(f"{name}, {kind} s" for name in predictors for kind in ("CPU", "wall"))),
        rows,
        f"{PEOPLE_OF_SHARES} people forced, as in the table above.",
    )


def _ours(settings: Settings) -> dict[str, DDPPredictor]:
    return {
        "ddp_lite": DDPPredictor(load_model("ddp_lite"), settings.device),
        "ddp_r50": DDPPredictor(random_ddp("ddp_r50"), settings.device),
    }

"""Time against the number of people and against the foreground (paper Figure 4): ours and the top-down network, in one run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.forced import on, random_ddp, random_rcnn
from benchmarks.peer import Detectron2, recorded
from benchmarks.report import Table
from benchmarks.scenes import make_scene
from benchmarks.timing import compare
from ddp_video.decode import decode
from ddp_video.model.densepose_rcnn import DenseposeRCNNPredictor
from ddp_video.model.predictor import DDPPredictor
from ddp_video.model.weights import load_model

SIZE = (800, 1333)  # px, the paper's input
PEOPLE = (1, 2, 5, 10, 20)
SHARE = 0.08  # of the picture, whatever the number of people
SHARES = (0.02, 0.1, 0.25, 0.5)
PEOPLE_OF_SHARES = 5


def number_of_people(device: str, rounds: int, detectron2: Path | None) -> Table:
    rcnn = random_rcnn()
    peer = Detectron2(detectron2, rcnn.state_dict(), device) if detectron2 else None
    predictors = {
        "ddp_lite": DDPPredictor(load_model("ddp_lite"), device),
        "ddp_r50": DDPPredictor(random_ddp("ddp_r50"), device),
        "densepose-rcnn": DenseposeRCNNPredictor(rcnn, device),
    }
    rows = []
    for people in PEOPLE:
        scene = make_scene(SIZE, people, SHARE)
        calls = {name: on(scene, predictor) for name, predictor in predictors.items()}
        predictions = {name: call() for name, call in calls.items()}
        calls |= {f"{name}, to full size": lambda p=p: decode(p) for name, p in predictions.items()}
        if peer:
            calls["detectron2"] = peer.on(scene)
        found = compare(calls, rounds)
        rows.append(
            (people, round(scene.share, 3), *(t for name in calls for t in (found[name].wall, found[name].cpu)))
        )
    first, last = rows[0], rows[-1]
    columns = tuple(f"{name}, {kind} s" for name in calls for kind in ("wall", "CPU"))
    growth = ("20 / 1", None, *(b / a for a, b in zip(first[2:], last[2:], strict=True)))
    notes = (
        f"Seconds for a picture of {SIZE[0]} x {SIZE[1]} px, people forced; ddp_lite shrinks it to 480 px as it always "
        "does. Weights of ddp_r50 and of the R-CNN (densepose_rcnn_R_50_FPN_DL_s1x) are random."
    )
    if not peer:
        notes += "\n\n" + recorded()
    return Table("Time against the number of people", ("people", "foreground", *columns), [*rows, growth], notes)


def foreground(device: str, rounds: int) -> Table:
    predictors = {
        "ddp_lite": DDPPredictor(load_model("ddp_lite"), device),
        "ddp_r50": DDPPredictor(random_ddp("ddp_r50"), device),
    }
    rows = []
    for share in SHARES:
        scene = make_scene(SIZE, PEOPLE_OF_SHARES, share)
        found = compare({name: on(scene, predictor) for name, predictor in predictors.items()}, rounds)
        rows.append((round(scene.share, 3), *(t for name in predictors for t in (found[name].wall, found[name].cpu))))
    columns = tuple(f"{name}, {kind} s" for name in predictors for kind in ("wall", "CPU"))
    return Table(
        "Time against the foreground",
        ("foreground", *columns),
        rows,
        f"{PEOPLE_OF_SHARES} people, as in the table above.",
    )

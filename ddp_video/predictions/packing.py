"""Between predictions and the flat arrays of a block (see `schema`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import safetensors.numpy
import torch

from ddp_video.predictions.masks import person_runs
from ddp_video.predictions.rounding import OUTSIDE
from ddp_video.structures import FramePrediction, Grid, Instances, SparseIUV

Arrays = dict[str, np.ndarray]

# What `pack_frame` gives as lengths and a block holds as offsets.
_OFFSETS = ("site_offsets", "instance_offsets", "rle_offsets")


def pack_frame(prediction: FramePrediction) -> Arrays:
    """The rows that one frame adds to each array of its block. Logits that are no float16 values are rounded."""
    instances, iuv = prediction.instances, prediction.iuv
    person, dense = (logits.half().numpy() for logits in (instances.mask_logits, instances.dense_mask_logits))
    crops = _bounding_boxes((person != OUTSIDE) | (dense != OUTSIDE))
    inside = _inside(crops, prediction.grid)
    runs = person_runs(instances, prediction.grid)
    return {
        "pts": np.array([prediction.pts], np.int64),
        "pts_seconds": np.array([prediction.pts_seconds], np.float64),
        "site_offsets": np.array([len(iuv)], np.int64),
        "sites": iuv.sites[:, 1:].numpy().astype(np.uint16),
        "owner": iuv.owner.numpy().astype(np.uint16),
        "logits": iuv.logits.half().numpy(),
        "instance_offsets": np.array([len(instances)], np.int64),
        "boxes_xyxy": instances.boxes_xyxy.float().numpy(),
        "scores": instances.scores.float().numpy(),
        "track_id": instances.track_id.numpy(),
        "crops_xyxy": crops,
        "crop_logits": np.stack([person[inside], dense[inside]], axis=1),
        "rle_offsets": np.array([len(counts) for counts in runs], np.int64),
        "rle_counts": np.concatenate([np.zeros(0, np.uint32), *runs]),
    }


def pack_block(frames: Sequence[Arrays]) -> Arrays:
    """The arrays of a block from those of its frames."""
    block = {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}
    return block | {name: np.concatenate([[0], np.cumsum(block[name])]) for name in _OFFSETS}


def check_block(block: Arrays, grid: Grid) -> None:
    """ValueError where the arrays of a block do not belong together, so that no reader has to look."""
    frames, (rows, columns) = len(block["pts"]), grid.size
    crops = block["crops_xyxy"].astype(np.int64)
    sizes = (crops[:, 2:] - crops[:, :2]).prod(1)
    for name, count, end in (
        ("site_offsets", frames, len(block["sites"])),
        ("instance_offsets", frames, len(block["scores"])),
        ("rle_offsets", len(block["scores"]), len(block["rle_counts"])),
    ):
        offsets = block[name]
        if len(offsets) != count + 1 or offsets[0] != 0 or offsets[-1] != end or (np.diff(offsets) < 0).any():
            raise ValueError(f"{name} do not fit")
    people_of_site = np.repeat(np.diff(block["instance_offsets"]), np.diff(block["site_offsets"]))
    if not (
        len(block["pts_seconds"]) == frames
        and len(block["sites"]) == len(block["logits"]) == len(block["owner"])
        and len(block["scores"]) == len(block["boxes_xyxy"]) == len(block["track_id"]) == len(crops)
        and len(block["crop_logits"]) == sizes.sum()
        and (crops[:, :2] <= crops[:, 2:]).all()
        and (crops[:, 2:] <= [columns, rows]).all()
        and (block["sites"] < [rows, columns]).all()
        and (block["owner"] < people_of_site).all()
    ):
        raise ValueError("the arrays do not fit each other")


def unpack_frame(block: Arrays, row: int, index: int, grid: Grid) -> FramePrediction:
    """Frame `row` of a block, which is frame `index` of the run. Tensors are float32 and copies."""
    sites = slice(*block["site_offsets"][row : row + 2])
    people = slice(*block["instance_offsets"][row : row + 2])
    yx = torch.from_numpy(block["sites"][sites].astype(np.int32))
    person, dense = _unpack_masks(block, people, grid)
    return FramePrediction(
        index=index,
        pts=int(block["pts"][row]),
        pts_seconds=float(block["pts_seconds"][row]),
        grid=grid,
        instances=Instances(
            boxes_xyxy=torch.from_numpy(block["boxes_xyxy"][people].copy()),
            scores=torch.from_numpy(block["scores"][people].copy()),
            mask_logits=person,
            dense_mask_logits=dense,
            track_id=torch.from_numpy(block["track_id"][people].copy()),
        ),
        iuv=SparseIUV(
            sites=torch.nn.functional.pad(yx, (1, 0)),  # the frame's number within its batch of one
            logits=torch.from_numpy(block["logits"][sites].astype(np.float32)),
            owner=torch.from_numpy(block["owner"][sites].astype(np.int64)),
        ),
    )


def unpack_runs(block: Arrays, row: int) -> list[np.ndarray]:
    """COCO run lengths of the people of frame `row` of a block."""
    first, end = block["instance_offsets"][row : row + 2]
    offsets = block["rle_offsets"]
    return [block["rle_counts"][offsets[person] : offsets[person + 1]] for person in range(first, end)]


def pack_states(states: dict[int, Arrays]) -> np.ndarray:
    """[S] uint8, one safetensors file of the arrays kept with some frames."""
    named = {
        f"{index}/{name}": np.asarray(array, order="C")  # keeps scalars scalar, unlike ascontiguousarray
        for index, state in states.items()
        for name, array in state.items()
    }
    return np.frombuffer(safetensors.numpy.save(named), np.uint8)


def unpack_states(block: Arrays) -> dict[int, Arrays]:
    """The states kept with frames of a block, by frame."""
    states: dict[int, Arrays] = {}
    for key, array in safetensors.numpy.load(block["states"].tobytes()).items():
        index, name = key.split("/", 1)
        states.setdefault(int(index), {})[name] = array
    return states


def _unpack_masks(block: Arrays, people: slice, grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """Both mask logits, [N, rows, columns] float32 each, of some people of a block."""
    crops = block["crops_xyxy"].astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum((crops[:, 2] - crops[:, 0]) * (crops[:, 3] - crops[:, 1]))])
    logits = block["crop_logits"][offsets[people.start] : offsets[people.stop]].astype(np.float32)
    inside = _inside(crops[people], grid)
    masks = np.full((2, *inside.shape), OUTSIDE, np.float32)
    masks[:, inside] = logits.T
    person, dense = torch.from_numpy(masks)
    return person, dense


def _bounding_boxes(wanted: np.ndarray) -> np.ndarray:
    """[N, 4] uint16 (x0, y0, x1, y1), end excluded, of the True cells of each plane; all 0 where there are none."""
    rows, columns = wanted.any(2), wanted.any(1)
    sizes = wanted.shape[1:]
    ends = [size - line[:, ::-1].argmax(1) for size, line in zip(sizes, (rows, columns), strict=True)]
    boxes = np.stack([columns.argmax(1), rows.argmax(1), ends[1], ends[0]], axis=1)
    return (boxes * rows.any(1, keepdims=True)).astype(np.uint16)


def _inside(crops: np.ndarray, grid: Grid) -> np.ndarray:
    """[N, rows, columns] bool, the cells of each crop."""
    x0, y0, x1, y1 = crops.astype(np.int64).T[..., None]
    y, x = (np.arange(size) for size in grid.size)
    return ((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None, :]

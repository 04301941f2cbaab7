"""The store: exact, continued after anything, damage found and named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from ddp_video import rle
from ddp_video.errors import OutputError, PredictionsError
from ddp_video.predictions import PredictionWriter, blocks, open_predictions, round_to_half
from ddp_video.predictions.rounding import OUTSIDE
from ddp_video.predictions.schema import ARRAYS, BLOCK_FRAMES
from ddp_video.structures import Grid

HEADER = {"charts": "ddp-video", "video": {"time_base": "1/15360"}}
LENGTH = 2 * BLOCK_FRAMES + 5


@pytest.fixture
def frames(predict):
    return [round_to_half(predict(index)) for index in range(LENGTH)]


def write(path, frames, header=HEADER, resume=False):
    with PredictionWriter(path, header, resume) as writer:
        for frame in frames[writer.frames_done :]:
            if frame.index % 8 == 0:
                writer.keep_state(
                    frame.index, {"boxes": frame.instances.boxes_xyxy.numpy(), "n": np.array(frame.index)}
                )
            writer.append(frame)
    return writer


@pytest.fixture
def store(tmp_path, frames):
    write(tmp_path / "run" / "predictions.zarr", frames)
    return tmp_path / "run" / "predictions.zarr"


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_round_trip_is_exact(store, frames, assert_same):
    predictions = open_predictions(store.parent)
    assert len(predictions) == LENGTH and predictions.finished and predictions.header == HEADER
    assert predictions.grid == frames[0].grid
    for stored, frame in zip(predictions, frames, strict=True):
        assert_same(stored, frame)


def test_access(store, frames, assert_same):
    predictions = open_predictions(store)
    for index in (0, 17, LENGTH - 1, -1, -LENGTH):
        assert_same(predictions[index], frames[index])
    part = predictions[10:30:3]
    assert [frame.index for frame in part] == list(range(10, 30, 3))
    assert [frame.index for frame in part[::-2]] == [28, 22, 16, 10]
    assert len(predictions[100:]) == 0
    for index in (LENGTH, -LENGTH - 1):
        with pytest.raises(IndexError):
            predictions[index]


def test_arbitrary_half_logits_survive(tmp_path, predict, assert_same):
    frame = round_to_half(predict(0, people=3))
    bits = np.random.default_rng(0).integers(0, 1 << 16, frame.iuv.logits.shape, np.uint16).view(np.float16)
    bits[np.isnan(bits)] = 0  # NaN differs from itself
    frame.iuv.logits.copy_(torch.from_numpy(bits.astype(np.float32)))
    frame.instances.mask_logits[1] = (100 * torch.randn(frame.grid.size)).half().float()  # no crop at all
    write(tmp_path / "predictions.zarr", [frame])
    assert_same(open_predictions(tmp_path)[0], frame)


def test_rounding(predict):
    frame = predict(0, people=4)
    rounded = round_to_half(frame)
    assert torch.equal(rounded.iuv.logits, frame.iuv.logits.half().float())
    for name in ("mask_logits", "dense_mask_logits"):
        before, after = getattr(frame.instances, name), getattr(rounded.instances, name)
        kept = after != OUTSIDE
        assert torch.equal(after[kept], before[kept].half().float())
        assert (before[~kept] < -4).all() and 0 < kept.float().mean() < 0.8
    again = round_to_half(rounded)
    assert torch.equal(again.instances.mask_logits, rounded.instances.mask_logits)
    nobody = round_to_half(predict(0, people=0))
    assert len(nobody.instances) == len(nobody.iuv) == 0


def test_masks_for_other_tools(store, frames):
    predictions = open_predictions(store)
    for index in (3, 20):
        counts = predictions.person_masks(index)
        assert len(counts) == len(frames[index].instances)
        for runs, logits in zip(counts, frames[index].instances.mask_logits, strict=True):
            mask = rle.decode(runs, frames[index].grid.frame_size)
            assert mask.mean() == pytest.approx(float((logits > 0).float().mean()), abs=0.03)


def test_it_is_ordinary_zarr(store, frames):
    root = zarr.open_group(store, mode="r")
    assert root.attrs["schema_version"] == 1 and root.attrs["num_frames"] == LENGTH
    block = root["blocks/000001"]
    assert set(block.array_keys()) == set(ARRAYS)
    assert block.attrs["first_frame"] == BLOCK_FRAMES
    first, end = block["site_offsets"][3:5]
    np.testing.assert_array_equal(block["logits"][first:end], frames[BLOCK_FRAMES + 3].iuv.logits.half().numpy())
    assert not any(b"pickle" in content for content in files(store).values())


@pytest.mark.parametrize("count", [0, 1, BLOCK_FRAMES - 1, BLOCK_FRAMES, BLOCK_FRAMES + 1, LENGTH])
def test_resuming_equals_never_stopping(tmp_path, store, frames, assert_same, count):
    path = tmp_path / "predictions.zarr"
    stopped = PredictionWriter(path, HEADER)  # killed: never closed
    for frame in frames[:count]:
        if frame.index % 8 == 0:
            stopped.keep_state(frame.index, {"boxes": frame.instances.boxes_xyxy.numpy(), "n": np.array(frame.index)})
        stopped.append(frame)
    del stopped
    assert len(open_predictions(path)) == count // BLOCK_FRAMES * BLOCK_FRAMES
    assert not open_predictions(path).finished

    resumed = PredictionWriter(path, HEADER, resume=True)
    assert resumed.frames_done == count // BLOCK_FRAMES * BLOCK_FRAMES
    for index in range(resumed.frames_done):
        assert_same(resumed[index], frames[index])
    write(path, frames, resume=True)
    assert files(path) == files(store)


def test_an_exception_keeps_what_came_before_it(tmp_path, store, frames):
    path = tmp_path / "predictions.zarr"
    with pytest.raises(KeyboardInterrupt), PredictionWriter(path, HEADER) as writer:
        for frame in frames[:20]:
            if frame.index % 8 == 0:
                writer.keep_state(
                    frame.index, {"boxes": frame.instances.boxes_xyxy.numpy(), "n": np.array(frame.index)}
                )
            writer.append(frame)
        raise KeyboardInterrupt
    unfinished = open_predictions(path)
    assert len(unfinished) == 20 and not unfinished.finished
    assert PredictionWriter(path, HEADER, resume=True).frames_done == 20
    write(path, frames, resume=True)
    assert files(path) == files(store)
    assert write(path, frames, resume=True).frames_done == LENGTH  # nothing left to do
    assert files(path) == files(store)


def test_a_kill_while_a_block_is_written(tmp_path, store, frames, monkeypatch):
    path = tmp_path / "predictions.zarr"
    rename, calls = Path.rename, []

    def die(self, target):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt  # stands for the kill
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", die)
    writer = PredictionWriter(path, HEADER)
    with pytest.raises(KeyboardInterrupt):
        for frame in frames:
            writer.append(frame)
    monkeypatch.undo()
    assert (path / "blocks" / "000001.part").exists()
    assert len(open_predictions(path)) == BLOCK_FRAMES
    write(path, frames, resume=True)
    assert not list(path.rglob("*.part"))
    assert len(open_predictions(path)) == LENGTH


def test_a_kill_before_anything_was_stored(tmp_path, store, frames):
    path = tmp_path / "predictions.zarr"
    path.mkdir()
    (path / "zarr.json.part").write_text("{")
    write(path, frames, resume=True)
    assert files(path) == files(store)


def test_states(store, frames):
    writer = PredictionWriter(store, HEADER, resume=True)
    for index in (0, 8, 24, 32):
        state = writer.state(index)
        assert int(state["n"]) == index
        np.testing.assert_array_equal(state["boxes"], frames[index].instances.boxes_xyxy.numpy())
    with pytest.raises(PredictionsError, match="cannot go on at frame 9"):
        writer.state(9)


@pytest.mark.parametrize("file", ["zarr.json", "logits/c/0/0", "logits/zarr.json", "pts/c/0", "crop_logits/c/0/0"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_block_is_named_and_redone_alone(store, frames, file, damage):
    whole = files(store)
    path = store / "blocks" / "000001" / file
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[0 if file.endswith("json") else len(content) // 2] ^= 0x10
    path.write_bytes(content[: len(content) // 3] if damage == "cut" else content)
    if damage == "remove":
        path.unlink()
    predictions = open_predictions(store)
    assert predictions[BLOCK_FRAMES - 1].index == BLOCK_FRAMES - 1
    with pytest.raises(
        PredictionsError, match=rf"frames {BLOCK_FRAMES} to {2 * BLOCK_FRAMES - 1} are damaged"
    ) as caught:
        predictions[BLOCK_FRAMES + 3]
    assert "\n" not in str(caught.value)
    assert predictions.damaged() == [range(BLOCK_FRAMES, 2 * BLOCK_FRAMES)]

    writer = PredictionWriter(store, HEADER, resume=True)
    assert writer.frames_done == BLOCK_FRAMES
    assert write(store, frames, resume=True).frames_done == LENGTH
    assert files(store) == whole


def test_good_blocks_behind_a_damaged_one_are_not_written_again(store, frames):
    whole = files(store)
    shutil.rmtree(store / "blocks" / "000000")
    kept = (store / "blocks" / "000001" / "zarr.json").stat().st_ino
    with pytest.raises(PredictionsError, match="frames 0 to 15 are damaged or missing"):
        open_predictions(store)[3]
    write(store, frames, resume=True)
    assert (store / "blocks" / "000001" / "zarr.json").stat().st_ino == kept
    assert files(store) == whole


def test_a_missing_end_is_found(store):
    shutil.rmtree(store / "blocks" / "000002")
    with pytest.raises(PredictionsError, match="frames from 32 to 36 are missing"):
        open_predictions(store)


def test_random_damage_never_gives_wrong_values_or_other_errors(store, frames, assert_same):
    random = np.random.default_rng(0)
    whole = files(store)
    names = list(whole)
    survived = 0
    for _ in range(60):
        name = names[random.integers(len(names))]
        content = bytearray(whole[name])
        if random.random() < 0.2:
            content = content[: random.integers(0, len(content) + 1)]
        else:
            for at in random.integers(0, max(len(content), 1), random.integers(1, 4)):
                content[at : at + 1] = bytes([random.integers(0, 256)])
        (store / name).write_bytes(content)
        try:
            predictions = open_predictions(store)
            for index in (0, BLOCK_FRAMES, LENGTH - 1):
                assert_same(predictions[index], frames[index])
            survived += 1
        except PredictionsError as error:
            assert "\n" not in str(error)
        (store / name).write_bytes(whole[name])
    assert survived < 30  # a flip in the white space of JSON does no harm
    assert files(store) == whole


def test_what_is_no_store(tmp_path, store):
    for make, reason in (
        (lambda path: None, "no predictions here"),
        (lambda path: path.mkdir(), "no predictions here"),
        (lambda path: path.write_text("x"), "no predictions here"),
        (
            lambda path: zarr.create_group(path, attributes={"schema": "else", "schema_version": 1, "crc32": 0}),
            "holds 'else'",
        ),
        (lambda path: zarr.create_group(path), "damaged"),
    ):
        path = tmp_path / "other" / "predictions.zarr"
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        make(path)
        with pytest.raises(PredictionsError, match=reason) as caught:
            open_predictions(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["attributes"]["schema_version"] = 99
    (store / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(PredictionsError, match="of version 99"):
        open_predictions(store)


def test_wrong_use(tmp_path, frames, predict):
    with PredictionWriter(tmp_path / "a.zarr", HEADER) as writer:
        writer.append(frames[0])
        with pytest.raises(ValueError, match="frame 1 comes next, got frame 2"):
            writer.append(frames[2])
        with pytest.raises(ValueError, match="one grid"):
            writer.append(predict(1, grid=Grid((96, 128), (96, 128))))
    with pytest.raises(PredictionsError, match="another charts"):
        PredictionWriter(tmp_path / "a.zarr", HEADER | {"charts": "densepose"}, resume=True)


def test_an_older_store_is_replaced_but_nothing_else(tmp_path, store, frames):
    write(store, frames[:3])
    assert len(open_predictions(store)) == 3
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_text("x")
    with pytest.raises(OutputError, match="not a store of predictions"):
        PredictionWriter(tmp_path / "photos", HEADER)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        PredictionWriter(tmp_path / "file" / "predictions.zarr", HEADER)


def test_a_full_disk_leaves_what_was_stored(tmp_path, store, frames, monkeypatch):
    path = tmp_path / "predictions.zarr"

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"), PredictionWriter(path, HEADER) as writer:
        for frame in frames:
            if frame.index == 20:
                monkeypatch.setattr(Path, "write_bytes", full)
            writer.append(frame)
    monkeypatch.undo()
    assert len(open_predictions(path)) == BLOCK_FRAMES
    write(path, frames, resume=True)
    assert len(open_predictions(path)) == LENGTH


def test_memory_does_not_grow_with_the_store(tmp_path, predict):
    frames = [round_to_half(predict(index, people=2)) for index in range(5 * BLOCK_FRAMES)]
    with PredictionWriter(tmp_path / "predictions.zarr", HEADER) as writer:
        for frame in frames:
            writer.append(frame)
            assert len(writer._buffer) < BLOCK_FRAMES
    predictions = open_predictions(tmp_path)
    for frame in predictions:
        assert len(predictions._blocks._block["pts"]) == BLOCK_FRAMES, frame


def test_blocks_are_replaced_whole(store, frames):
    before = files(store / "blocks" / "000000")
    arrays, grid = blocks.read_block(store / "blocks", 0)
    blocks.write_block(store / "blocks", 0, arrays, grid)
    assert files(store / "blocks" / "000000") == before

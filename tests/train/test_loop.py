"""Training runs: eight pictures learned by heart, interrupted and resumed, stopped by a loss that is not finite."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ddp_video import hardware
from ddp_video.data.mixture import Mixture
from ddp_video.data.sample import Sample, collate
from ddp_video.data.transforms import Augmentation, plain_crop
from ddp_video.errors import OutputError, TrainingError
from ddp_video.model.config import CONFIGS
from ddp_video.model.ddp import DDP
from ddp_video.model.weights import load_model
from ddp_video.sparse import ActiveSites
from ddp_video.train.config import TrainConfig
from ddp_video.train.criterion import Criterion, active_sites
from ddp_video.train.interruption import noted_interrupts
from ddp_video.train.loop import CHECKPOINT, Trainer, make_optimizer, read_checkpoint, set_learning_rate
from ddp_video.train.validation import picture_sheet, validate


class Figures:
    """Little upright people: a head, a torso and two legs, each of its own colour, on a grey ground."""

    charts = "ddp-video"

    def __init__(self, length=8, size=64):
        self.length, self.size = length, size

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        rng = np.random.default_rng([5, index])
        image = np.full((self.size, self.size, 3), 120 + rng.integers(0, 40), np.uint8)
        part, uv = np.zeros((self.size, self.size), np.uint8), np.zeros((self.size, self.size, 2), np.uint8)
        h, w = rng.integers(36, 52), rng.integers(16, 28)
        top, left = rng.integers(0, self.size - h), rng.integers(0, self.size - w)
        for chart, (y0, y1, x0, x1) in {23: (0, 1, 1, 3), 2: (1, 2, 0, 4), 9: (2, 4, 0, 2), 10: (2, 4, 2, 4)}.items():
            at = np.s_[top + y0 * h // 4 : top + y1 * h // 4, left + x0 * w // 4 : left + x1 * w // 4]
            rows, columns = part[at].shape
            part[at] = chart
            uv[at] = np.stack(np.meshgrid(np.linspace(0, 255, columns), np.linspace(0, 255, rows)), -1)
            image[at] = (chart * 10, 255 - chart * 9, 255 * (chart == 10))
        instance = (part > 0).astype(np.uint8)
        return Sample(image, instance, part > 0, np.ones(1, bool), part, uv)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_model(**changes):
    torch.manual_seed(0)
    return DDP(replace(CONFIGS["ddp_lite"], channels=32, mask_channels=32, **changes))


SMALL = TrainConfig(
    size=64, batch_size=2, steps=6, warmup=2, precision="fp32", validate_every=3, validation_pictures=2, frozen_stages=0
)


def trainer(out, config=SMALL, source=None, **options):
    mixture = Mixture(
        [source or Figures()], [1], config.size, Augmentation(mosaic=config.mosaic, paste=config.paste), config.seed
    )
    held_out = [collate([plain_crop(Figures()[i], 64) for i in range(2)])]
    return Trainer(small_model(), mixture, held_out, config, out, quiet=True, **{"workers": 0, **options})


def test_eight_pictures_are_learned_by_heart():
    model = small_model()
    model.train()
    criterion = Criterion(model)
    batch = collate([plain_crop(Figures()[i], 64) for i in range(8)])
    config = replace(SMALL, steps=90, lr=4e-3, warmup=10)
    optimizer = make_optimizer(model, config)
    history = []
    for step in range(config.steps):
        set_learning_rate(optimizer, config, step, step / config.steps)
        terms = criterion(batch)
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
        history.append({name: term.item() for name, term in terms.items()})
    assert history[0]["part"] > 2
    last = history[-1]
    assert last["part"] < 0.1 and last["uv"] < 0.1 and last["class"] < 0.1
    assert last["mask"] / 5 < 0.1 and last["dense_mask"] / 5 < 0.1  # dice
    assert last["box"] < 0.2
    figures = validate(model.eval(), [batch])
    assert figures["part"] > 0.95 and figures["mask_iou"] > 0.8 and figures["uv_error"] < 0.1
    assert figures["person_score"] > 0.4 > figures["swapped"]


class Interrupted(Exception):
    pass


class Failing(Figures):
    """Gives so many pictures and then no more."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        return super().__getitem__(index)


class Signalling(Figures):
    """Somebody presses Ctrl-C, or the like, when picture number `at` is asked for."""

    def __init__(self, number, at):
        super().__init__()
        self.number, self.left = number, at

    def __getitem__(self, index):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)
        return super().__getitem__(index)


class SignallingAll(Signalling):
    """In a reading process: the signal goes to it and to the one that it reads for."""

    def __getitem__(self, index):
        if self.left == 1:
            os.kill(os.getppid(), self.number)
        return super().__getitem__(index)


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, optimizer):
    config = replace(SMALL, optimizer=optimizer, mosaic=0.0, paste=0.0)
    whole = load_model(trainer(tmp_path / "whole", config).run())
    with pytest.raises(Interrupted):
        trainer(tmp_path / "parts", config, Failing(after=7), checkpoint_minutes=0).run()
    again = trainer(tmp_path / "parts", config)
    again.resume(read_checkpoint(tmp_path / "parts"))
    assert again.step == 3
    resumed = load_model(again.run())
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) == 1


@pytest.fixture
def hears_ctrl_c():
    """As a command in the foreground does; a shell's background jobs, and so tests that run in one, are deaf to it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_step_is_finished_and_saved(tmp_path, number, hears_ctrl_c):
    """The signal comes while the fourth step's crops are drawn."""
    usual = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, replace(SMALL, mosaic=0.0, paste=0.0), Signalling(number, at=8)).run()
    assert signal.getsignal(number) == usual
    assert read_checkpoint(tmp_path)["step"] == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_loses_nothing_either(tmp_path, number, hears_ctrl_c):
    """The ninth picture is asked for once the first batch has been taken: four batches of two are read ahead."""
    with pytest.raises(KeyboardInterrupt):
        trainer(
            tmp_path, replace(SMALL, mosaic=0.0, paste=0.0, steps=10_000), SignallingAll(number, at=9), workers=1
        ).run()
    assert read_checkpoint(tmp_path)["step"] >= 1


def test_the_second_interrupt_does_not_wait(hears_ctrl_c):
    with pytest.raises(KeyboardInterrupt), noted_interrupts() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        signal.raise_signal(signal.SIGINT)


def test_ignored_signals_stay_ignored():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted_interrupts() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, usual)


def test_a_run_leaves_losses_figures_and_pictures(tmp_path):
    weights = trainer(tmp_path, replace(SMALL, precision="bf16")).run()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert any({"class", "box", "mask", "part", "uv", "smooth", "loss", "lr"} <= set(line) for line in lines)
    assert [line["step"] for line in lines if "validation/part" in line] == [3, 6]
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == 2
    assert isinstance(load_model(weights), DDP)


def test_training_by_itself_does_not_emulate_a_precision(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags : avx2")
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "cpuinfo")
    config = replace(SMALL, steps=2, validate_every=2)
    alone, asked = (
        trainer(tmp_path / precision, replace(config, precision=precision)).run() for precision in ("auto", "fp32")
    )
    assert TrainConfig().precision == "auto"
    torch.testing.assert_close(load_file(alone), load_file(asked), rtol=0, atol=0)


def test_resume_needs_a_checkpoint_of_the_same_run(tmp_path):
    with pytest.raises(TrainingError, match="cannot resume"):
        trainer(tmp_path).resume(read_checkpoint(tmp_path))
    trainer(tmp_path, replace(SMALL, steps=1)).run()
    with pytest.raises(TrainingError, match="other settings"):
        trainer(tmp_path).resume(read_checkpoint(tmp_path))
    for content in (b"", b"no checkpoint"):
        (tmp_path / CHECKPOINT).write_bytes(content)
        with pytest.raises(TrainingError, match="cannot resume"):
            read_checkpoint(tmp_path)
    torch.save({"weights": 1}, tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match="no checkpoint of a training run"):
        read_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    run = trainer(tmp_path, replace(SMALL, steps=1))
    run.run()
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(state, path):
        Path(path).write_bytes(b"some of it")
        raise RuntimeError("unexpected pos 64 vs 0")  # as PyTorch says it

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="make room, then go on with --resume"):
        run.save()
    assert (tmp_path / CHECKPOINT).read_bytes() == before and not list(tmp_path.glob("*.part"))


def test_a_loss_that_is_not_finite_stops_with_its_batch(tmp_path):
    run = trainer(tmp_path)
    with torch.no_grad():
        run.model.iuv_branch.predictor.bias[3] = float("nan")
    with pytest.raises(TrainingError, match=r"not finite.*bad_batch_0_0\.pt"):
        run.run()
    batch = torch.load(tmp_path / "bad_batch_0_0.pt", weights_only=True)
    assert batch["images"].shape == (2, 3, 64, 64)


def test_schedules():
    model = small_model()
    config = replace(SMALL, warmup=10, lr=1.0)
    optimizer = make_optimizer(model, config)

    def rate(step, progress, config=config):
        set_learning_rate(optimizer, config, step, progress)
        return max(group["lr"] for group in optimizer.param_groups)

    assert rate(0, 0.0) == pytest.approx(0.1) and rate(9, 0.0) == pytest.approx(1)
    assert rate(50, 0.5) == pytest.approx(0.5) and rate(99, 1.0) == pytest.approx(0)
    steps = replace(config, schedule="steps", milestones=(100, 120))
    assert [rate(s, 0.5, steps) for s in (99, 100, 120)] == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize("changes", [{"sparse": False}, {"instance_aware_norm": False}, {"smoothness_loss": False}])
def test_ablations_train(changes):
    batch = collate([plain_crop(Figures()[i], 64) for i in range(2)])
    model = small_model(**changes).train()
    terms = Criterion(model)(batch)
    assert ("smooth" in terms) == changes.get("smoothness_loss", True)
    sum(terms.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_pictures_without_people_train_too():
    """Every parameter still gets a gradient, as DistributedDataParallel wants."""
    nobody = Sample.without_people(np.full((64, 64, 3), 90, np.uint8))
    batch = collate([plain_crop(nobody, 64)] * 2)
    model = small_model().train()
    terms = Criterion(model)(batch)
    sum(terms.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert terms["mask"] == terms["part"] == terms["box"] == 0 < terms["class"]
    assert picture_sheet(model.eval(), batch).shape == (192, 128, 3)


def test_neighbour_pairs_are_each_found_once():
    batch = collate([plain_crop(Figures()[i], 64) for i in range(3)])
    sites, owner = active_sites(batch)
    first, second = ActiveSites(sites, (3, 16, 16)).adjacent()
    steps = (sites[second] - sites[first]).tolist()
    assert all(step in ([0, 0, 1], [0, 1, 0]) for step in steps)
    active = batch.owner > 0
    expected = (active[:, 1:] & active[:, :-1]).sum() + (active[:, :, 1:] & active[:, :, :-1]).sum()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(first) == expected
    assert torch.equal(owner, batch.image_index) if len(owner) == 3 else owner.max() == 2


def test_configuration_files(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('preset = "paper"\nsteps = 7\nmilestones = [3, 5]\n')
    config = TrainConfig.read(file)
    assert (config.steps, config.milestones, config.optimizer, config.model) == (7, (3, 5), "sgd", "ddp_r50")
    assert TrainConfig.from_dict(json.loads(json.dumps({"lr": 0.5}))).lr == 0.5
    assert config.changed(["lr=2e-3", "precision=fp16", "milestones=[1]"]).milestones == (1,)
    for wrong in ("size=100", "lr", "speed=3", "optimizer=adam", "steps=0", "steps=many"):
        with pytest.raises(ValueError, match=r"must|set"):
            config.changed([wrong])
    with pytest.raises(ValueError, match="unknown training settings: speed"):
        TrainConfig.from_dict({"speed": 1})
    for wrong in ({"steps": "many"}, {"mosaic": None}, {"batch_size": 2.5}, {"size": True}, [1]):
        with pytest.raises(ValueError, match="must be"):
            TrainConfig.from_dict(wrong)
    assert config.changed(["lr=.001"]).lr == 0.001
    assert Path(file).exists()

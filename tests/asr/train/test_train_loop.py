"""Training of tiny models: what it learns, what an interruption leaves, rates and averages by hand."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_models import FULL, NARROW, audio, decoder, encoder, student
from torch import Tensor

from asr.moonshine.config import EOS
from asr.train import loop
from asr.train.augment import AugmentConfig
from asr.train.distill import Distillation
from asr.train.loop import LoopConfig, Run, rate, resume, save, start, train
from asr.train.pool import Clips

CONFIG = LoopConfig(
    minutes=1000,
    batch_s=2,
    peak_rate=3e-3,
    warm_up_steps=1,
    choices=(NARROW,),
    silence_every=1000,
    log_every=1,
)
CHECKPOINT = Path("run.pt")
QUIET = AugmentConfig(noise=0, echo=0, band=0, clip=0, offset=0, colour_db=0, gain_db=(0, 0))


@dataclass
class Clock:
    """A step takes two of its seconds."""

    now: float = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=made.monotonic))
    yield made


@pytest.fixture
def pool() -> Clips:
    tokens = torch.tensor([[7, 8, EOS, EOS], [5, 9, 10, EOS]], dtype=torch.int32)
    return Clips(audio(2, 8000).half(), tokens, torch.tensor([3, 4]))


def models_of(run: Run) -> Distillation:
    return Distillation(encoder(), decoder(), run.student)


def begin(config: LoopConfig = CONFIG) -> Run:
    return start(student(encoder()), config)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where training saves."""
    monkeypatch.chdir(tmp_path)


def go(run: Run, pools: list[Clips], steps: int, config: LoopConfig = CONFIG, seed: int = 0) -> None:
    before = run.steps
    torch.manual_seed(seed)
    train(run, models_of(run), pools, config, 2 * steps, seed, CHECKPOINT)
    assert run.steps == before + steps


def weights(run: Run) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.student.state_dict().items()}


def same(one: object, other: object) -> bool:
    """Whether nested dicts and lists with tensors in them are equal."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return one == other


def state(run: Run) -> dict[str, object]:
    return {
        "student": run.student.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "rest": [run.steps, run.elapsed_s, run.log],
    }


def test_two_clips_are_learnt(pool: Clips, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(CONFIG, augment=QUIET)
    run = begin(config)
    go(run, [pool], 40, config)
    losses = [entry["loss"] for entry in run.log]
    assert len(losses) == 40
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert capsys.readouterr().out.count('"step"') == 40
    assert not any(parameter.grad is not None for parameter in run.averaged.parameters())


def test_teacher_and_decoder_stay_as_they_are(pool: Clips) -> None:
    run = begin()
    models = models_of(run)
    before = [value.clone() for part in (models.teacher, models.decoder) for value in part.parameters()]
    train(run, models, [pool], CONFIG, 6, 0, CHECKPOINT)
    after = [value for part in (models.teacher, models.decoder) for value in part.parameters()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert not same(weights(run), weights(begin()))


def test_the_noise_is_for_the_student_alone(pool: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    config, heard = replace(CONFIG, augment=replace(QUIET, noise=1)), []
    losses = Distillation.losses

    def spied(self: Distillation, *given: Tensor) -> object:
        heard.append(given[:2])
        return losses(self, *given)

    monkeypatch.setattr(Distillation, "losses", spied)
    go(begin(config), [pool], 1, config)
    ((near, far),) = heard
    apart = [torch.cdist(given, pool.audio.float()).amin(1) for given in (near, far)]
    assert apart[0].max() < 1e-3 < apart[1].min()


def test_what_was_saved_comes_back_and_goes_on_as_it_would_have(pool: Clips, tmp_path: Path) -> None:
    run, fresh = begin(), begin()
    go(run, [pool], 3)
    save(run, tmp_path / "other.pt")
    resume(fresh, tmp_path / "other.pt")
    assert (fresh.steps, fresh.elapsed_s, len(fresh.log)) == (3, run.elapsed_s, 3)
    assert same(state(fresh), state(run))
    assert not same(state(fresh), state(begin()))
    go(run, [pool], 2, seed=7)
    assert not same(state(fresh), state(run))
    go(fresh, [pool], 2, seed=7)
    assert same(state(fresh), state(run))
    assert [path.name for path in tmp_path.glob("other*")] == ["other.pt"]


def test_a_checkpoint_that_is_half_written_is_not_taken(
    pool: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, fresh = begin(), begin()
    go(run, [pool], 2)
    save(run, tmp_path / "other.pt")
    before = {"kept": {name: value.clone() for name, value in run.student.state_dict().items()}}
    go(run, [pool], 1)

    def interrupted(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(run, tmp_path / "other.pt")
    resume(fresh, tmp_path / "other.pt")
    assert fresh.steps == 2
    assert same({"kept": weights(fresh)}, before)


def test_whoever_is_killed_loses_little(pool: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes 2 s: after 6 s, 12 s and at the end."""
    saved: list[tuple[int, Path]] = []
    monkeypatch.setattr(loop, "save", lambda run, path: saved.append((run.steps, path)))
    config = replace(CONFIG, save_every_s=6)
    go(begin(config), [pool], 8, config)
    assert saved == [(3, CHECKPOINT), (6, CHECKPOINT), (8, CHECKPOINT)]


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine() -> None:
    config = LoopConfig(minutes=10, peak_rate=1e-3, warm_up_steps=200)
    run = begin()
    expected = {
        (0, 0.0): 1e-3 / 200,
        (99, 0.0): 0.5e-3,
        (199, 0.0): 1e-3,
        (5000, 0.0): 1e-3,
        (5000, 200.0): 1e-3 * (0.01 + 0.99 * 0.75),  # a third of the way: the cosine of 60 degrees
        (5000, 300.0): 1e-3 * (0.01 + 0.99 * 0.5),
        (5000, 600.0): 1e-5,
        (5000, 900.0): 1e-5,
        (99, 300.0): 0.5e-3 * (0.01 + 0.99 * 0.5),
    }
    for (run.steps, run.elapsed_s), value in expected.items():
        assert rate(run, config) == pytest.approx(value)


def test_the_optimizer_follows_the_rate(pool: Clips) -> None:
    config = replace(CONFIG, minutes=1, warm_up_steps=8)
    run = begin(config)
    go(run, [pool], 5, config)
    # Before the fifth step, 8 of the 60 s had passed.
    expected = 3e-3 * 5 / 8 * (0.01 + 0.99 * (1 + math.cos(math.pi * 8 / 60)) / 2)
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_it_ends_when_all_minutes_have_passed_in_any_number_of_calls(pool: Clips) -> None:
    config = replace(CONFIG, minutes=0.25)  # 15 s: 8 steps of two
    run = begin(config)
    for stop_after_s in (6, 4, 1000, 1000):
        train(run, models_of(run), [pool], config, stop_after_s, 0, CHECKPOINT)
    assert run.steps == 8
    assert [entry["step"] for entry in run.log] == list(range(1, 9))


@pytest.mark.parametrize("most", [0.2, 0.9995])
def test_the_averaged_weights_are_an_average(pool: Clips, most: float) -> None:
    """The average of all that were, by weights which add up to 1."""
    config = replace(CONFIG, average=most)
    run = begin(config)
    expected = weights(run)
    for step in range(5):
        go(run, [pool], 1, config)
        stays = min(most, (step + 1) / (step + 10))
        now = weights(run)
        expected = {name: stays * value + (1 - stays) * now[name] for name, value in expected.items()}
    for name, value in run.averaged.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    assert not same(run.averaged.state_dict(), weights(run))


def test_pools_are_drawn_by_how_much_sound_they_have(pool: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has 1 s in clips of 0.5 s, the other 9 s in clips of 1.5 s."""
    tokens = torch.full((6, 4), EOS, dtype=torch.int32)
    other = Clips(audio(6, 24_000).half(), tokens, torch.ones(6, dtype=torch.int64))
    taken: list[tuple[int, float]] = []

    def step(_run: Run, _models: Distillation, drawn: Clips, *_: object) -> dict[str, Tensor]:
        taken.append((len(drawn.audio), drawn.seconds))
        return {}

    monkeypatch.setattr(loop, "_step", step)
    go(begin(), [pool, other], 1000)
    assert taken.count((6, 1.5)) / 1000 == pytest.approx(0.9, abs=0.03)
    assert taken.count((2, 0.5)) / 1000 == pytest.approx(0.1, abs=0.03)


def test_all_windows_are_drawn_and_a_step_has_as_much_sound_as_was_asked_for(
    pool: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, choices=(NARROW, FULL), silence_every=4)
    run = begin(config)
    models = models_of(run)
    windows, quiet = [], []
    losses, silence = Distillation.losses, Distillation.silence

    def spied_losses(self: Distillation, *given: Tensor) -> object:
        windows.append((given[3], tuple(given[0].shape)))
        return losses(self, *given)

    def spied_silence(self: Distillation, *given: Tensor) -> object:
        quiet.append(run.steps)
        return silence(self, *given)

    monkeypatch.setattr(Distillation, "losses", spied_losses)
    monkeypatch.setattr(Distillation, "silence", spied_silence)
    train(run, models, [pool], config, 24, 0, CHECKPOINT)
    assert {choice for choice, _ in windows} == {NARROW, FULL}
    assert {shape for _, shape in windows} == {(4, 8000)}  # 2 s in clips of 0.5 s
    assert quiet == [0, 4, 8]

"""The losses against sums worked out clip by clip and token by token."""

import math
from collections.abc import Callable

import pytest
import torch
from tiny_models import FULL, NARROW, audio, decoder, encoder, student
from torch import Tensor

from asr.moonshine import local
from asr.moonshine.config import BOS, EOS
from asr.train.distill import Distillation, Losses

TOKENS = torch.tensor(
    [[7, 8, 9, EOS, EOS, EOS, EOS], [5, EOS, EOS, EOS, EOS, EOS, EOS], [3, 4, 5, 6, 7, 8, EOS]]
)


@pytest.fixture
def models() -> Distillation:
    teacher = encoder()
    return Distillation(teacher, decoder(), student(teacher))


@pytest.fixture
def not_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """The student's norm takes the statistics of the whole clip, as the teacher's does."""
    monkeypatch.setattr(local, "running_norm", lambda norm, features: norm(features))


@pytest.fixture
def heard() -> Tensor:
    return audio(3, 12_000)


def same_seed(models: Distillation, near: Tensor, far: Tensor, tokens: Tensor) -> Losses:
    torch.manual_seed(0)
    return models.losses(near, far, tokens, NARROW)


def values(losses: Losses) -> list[float]:
    return [float(value.detach()) for value in vars(losses).values()]


def test_who_hears_what_the_teacher_hears_has_nothing_to_learn(
    models: Distillation, heard: Tensor, not_running: None
) -> None:
    losses = models.losses(heard, heard, TOKENS, FULL)
    assert losses.layers < 1e-9
    assert losses.hidden < 1e-9
    assert abs(losses.divergence) < 1e-6
    narrow = models.losses(heard, heard, TOKENS, NARROW)
    assert narrow.layers > 1e-3 and narrow.hidden > 1e-3 and narrow.divergence > 1e-3


def surprise(models: Distillation, hidden: Tensor) -> list[list[list[float]]]:
    """Log probabilities of all tokens at each place of each clip up to its first EOS."""
    rows = []
    for row, state in zip(TOKENS.tolist(), hidden, strict=True):
        said = [BOS, *row[: row.index(EOS)]]
        logits = models.decoder.logits(torch.tensor([said]), state[None])[0].double()
        rows.append([[float(x - at.exp().sum().log()) for x in at] for at in logits])
    return rows


@pytest.mark.parametrize("places", [[0, 1, 2], [3, 0, 4], [6, 5, 1]])
def test_divergence_and_words_are_means_over_a_third_of_what_is_said(
    models: Distillation, heard: Tensor, places: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = torch.tensor([*places, *(set(range(7)) - set(places))])
    monkeypatch.setattr(torch, "randperm", lambda _, **__: order)
    losses = models.losses(heard, heard, TOKENS, NARROW)
    with torch.no_grad():
        theirs = surprise(models, models.teacher(heard))
        ours = surprise(models, models.student(heard, NARROW))
    divergences, words = [], []
    for row, right, guess in zip(TOKENS.tolist(), theirs, ours, strict=True):
        for place in set(places) & set(range(len(guess))):
            p, q = right[place], guess[place]
            divergences.append(sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True)))
            words.append(-q[row[place]])
    assert len(words) == {0: 3 + 2 + 3, 3: 2 + 1 + 3, 6: 1 + 1 + 3}[places[0]]
    assert values(losses)[2] == pytest.approx(sum(divergences) / len(words), rel=1e-3)
    assert values(losses)[3] == pytest.approx(sum(words) / len(words), rel=1e-3)


def test_every_place_has_its_turn(models: Distillation, heard: Tensor) -> None:
    """3 of the 7 at a time."""
    torch.manual_seed(1)
    seen = {round(values(models.losses(heard, heard, TOKENS, NARROW))[3], 4) for _ in range(60)}
    assert 20 < len(seen) <= 35  # there are 35 choices


def test_hidden_states_differ_by_shares_of_the_teachers_variance(models: Distillation, heard: Tensor) -> None:
    near, far = heard, heard + 0.1 * audio(3, 12_000, seed=5)
    losses = models.losses(near, far, TOKENS, NARROW)
    shares = []
    for ours, theirs in zip(
        models.student.hidden_states(far, NARROW), models.teacher.hidden_states(near), strict=True
    ):
        ours, theirs = ours.detach().double().flatten(0, 1), theirs.double().flatten(0, 1)
        shares.append(float(((ours - theirs) ** 2).sum() / ((theirs - theirs.mean(0)) ** 2).sum()))
    assert values(losses)[0] == pytest.approx(sum(shares[:-1]) / 2, rel=1e-4)
    assert values(losses)[1] == pytest.approx(shares[-1], rel=1e-4)


def test_the_teacher_hears_what_is_near_and_the_student_what_is_far(
    models: Distillation, heard: Tensor, not_running: None
) -> None:
    other = audio(3, 12_000, seed=9)
    crossed = models.losses(heard, other, TOKENS, FULL)
    assert crossed.hidden > 0.1
    for loud in (1.0, 2.0):
        given = models.losses(heard, heard * loud, TOKENS, FULL)
        assert (given.hidden < 1e-9) == (loud == 1.0)


def test_what_stands_after_the_end_does_not_count(models: Distillation, heard: Tensor) -> None:
    expected = values(same_seed(models, heard, heard, TOKENS))
    after = TOKENS.clone()
    after[0, 4:], after[1, 3] = torch.tensor([50, EOS, 60]), 11
    assert values(same_seed(models, heard, heard, after)) == pytest.approx(expected, rel=1e-5)
    before = TOKENS.clone()
    before[:, 0] = 30
    assert values(same_seed(models, heard, heard, before))[2:] != pytest.approx(expected[2:], rel=1e-2)


def test_only_the_student_learns(models: Distillation, heard: Tensor) -> None:
    frozen = [*models.teacher.parameters(), *models.decoder.parameters()]
    total = models.losses(heard, heard, TOKENS, NARROW).total
    torch.autograd.backward(total + models.silence(torch.zeros(2, 8000), NARROW))
    assert all(parameter.grad is None for parameter in frozen)
    for name, parameter in models.student.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("part", ["hidden", "layers", "divergence", "words"])
def test_every_part_reaches_the_student(models: Distillation, heard: Tensor, part: str) -> None:
    losses = models.losses(heard, heard, TOKENS, NARROW)
    torch.autograd.backward(getattr(losses, part))
    learnt = models.student.frontend.conv1.weight.grad
    assert learnt is not None and learnt.abs().max() > 0


def test_the_total_is_weighted() -> None:
    losses = Losses(*torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert losses.total == 0.5 + 10 + 100 + 100


@pytest.mark.parametrize("sound", [torch.zeros, lambda *size: audio(*size)], ids=["silence", "sound"])
def test_of_silence_the_decoder_should_read_the_end(
    models: Distillation, sound: Callable[[int, int], Tensor]
) -> None:
    quiet = sound(2, 8000)
    hidden = models.student(quiet, NARROW).detach()
    surprises = []
    for state in hidden:
        logits = models.decoder.logits(torch.tensor([[BOS]]), state[None])[0, 0].double()
        surprises.append(float(logits.exp().sum().log() - logits[EOS]))
    assert float(models.silence(quiet, NARROW).detach()) == pytest.approx(sum(surprises) / 2, rel=1e-4)

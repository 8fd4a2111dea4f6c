"""Greedy decoding of a batch against a loop that knows no batch and no cache."""

import pytest
import torch
from tiny_models import audio, decoder, encoder
from torch import Tensor

from asr.moonshine.config import BOS, EOS
from asr.moonshine.decoder import Decoder
from asr.train.labels import read, token_limit, unended


def one_by_one(model: Decoder, hidden: Tensor, limit: int) -> list[list[int]]:
    """The most likely token after all before it, until the end."""
    rows = []
    for row in hidden:
        said = [BOS]
        while len(said) <= limit and said[-1] != EOS:
            said.append(int(model.logits(torch.tensor([said]), row[None])[0, -1].argmax()))
        rows.append(said[1:])
    return rows


@pytest.mark.parametrize("limit", [1, 6, 8, 30])
def test_every_row_reads_what_it_would_alone(limit: int) -> None:
    model, hidden = decoder(), encoder()(audio(12, 16_000))
    expected = one_by_one(model, hidden, limit)
    found = read(model, hidden, limit)
    assert found.tolist() == [row + [EOS] * (limit - len(row)) for row in expected]
    assert unended(found).tolist() == [row[-1] != EOS for row in expected]


def test_the_rows_above_end_at_various_times_or_never() -> None:
    lengths = {len(row) for row in one_by_one(decoder(), encoder()(audio(12, 16_000)), 30)}
    assert len(lengths) > 3 and 30 in lengths


def test_it_stops_when_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    model, hidden = decoder(), encoder()(audio(12, 16_000))
    ending = [len(row) < 7 for row in one_by_one(model, hidden, 8)]
    passes, forward = [], model.forward
    monkeypatch.setattr(model, "forward", lambda *given: passes.append(1) or forward(*given))
    found = read(model, hidden[torch.tensor(ending)], 1000)
    assert len(passes) <= 8
    assert found.shape == (sum(ending), 1000)
    assert (found[:, 7:] == EOS).all()


def test_the_limit_grows_with_the_audio() -> None:
    assert token_limit(16_000) == 10  # 6.5 tokens a second, and 4
    assert token_limit(16_000 * 16) == 108
    assert token_limit(0) == 4

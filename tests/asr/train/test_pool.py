"""Clips and the teacher's words for them; greedy decoding against a loop without batch and cache."""

import pytest
import torch
from tiny_models import audio, decoder, encoder
from torch import Tensor

from asr.decode import token_limit
from asr.moonshine.config import BOS, EOS
from asr.moonshine.decoder import Decoder
from asr.train.corpus import Corpus
from asr.train.pool import Clips, decode, draw_clips, unended


@pytest.fixture
def corpus() -> Corpus:
    sounds = (audio(1, 16_000 * 20) * 32768).short()[0]
    return Corpus(sounds, torch.tensor([0]), torch.tensor([len(sounds)]), torch.tensor([1.0]))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(corpus: Corpus, count: int) -> Clips:
    return draw_clips(corpus, encoder(), decoder(), 1.0, count, seeded())


def test_each_clip_has_what_the_teacher_reads_in_it(corpus: Corpus) -> None:
    clips = drawn(corpus, 40)
    assert clips.seconds == 1.0
    assert clips.audio.dtype == torch.float16
    assert clips.audio.shape[1] == 16_000
    assert clips.tokens.shape[1] == token_limit(1.0)
    with torch.autocast("cpu", torch.bfloat16):
        again = decode(decoder(), encoder()(clips.audio.float()), token_limit(1.0))
    alike = (again == clips.tokens).all(1).float().mean()
    assert alike > 0.8  # the clips were rounded to half precision after they had been read
    assert clips.audio.float().std() == pytest.approx(float(corpus.samples.float().std()) / 32768, rel=0.1)


def test_clips_without_an_end_are_left_out(corpus: Corpus) -> None:
    clips = drawn(corpus, 40)
    assert 0 < len(clips.audio) < 40
    assert len(clips.audio) == len(clips.tokens) == len(clips.counts)
    assert (clips.tokens[:, -1] == EOS).all()


def test_counts_are_of_the_tokens_with_one_end(corpus: Corpus) -> None:
    clips = drawn(corpus, 40)
    assert clips.counts.tolist() == [row.index(EOS) + 1 for row in clips.tokens.tolist()]
    assert len(set(clips.counts.tolist())) > 1


def test_a_batch_is_as_long_as_its_longest(corpus: Corpus) -> None:
    clips = drawn(corpus, 40)
    for seed in range(20):
        heard, tokens = clips.batch(3, seeded(seed))
        assert heard.shape == (3, 16_000) and heard.dtype == torch.float32
        assert tokens.dtype == torch.int64
        lengths = []
        for one, said in zip(heard, tokens.tolist(), strict=True):
            row = int((clips.audio.float() == one).all(1).nonzero()[0])
            whole = clips.tokens[row].tolist()
            assert said == whole[: len(said)]
            lengths.append(whole.index(EOS) + 1)
        assert tokens.shape[1] == max(lengths)


def test_every_speed_is_heard_however_few_clips_there_are(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    draw = Corpus.draw

    def spy(self: Corpus, count: int, length: int, generator: torch.Generator) -> torch.Tensor:
        asked.extend([length] * count)
        return draw(self, count, length, generator)

    monkeypatch.setattr(Corpus, "draw", spy)
    drawn(corpus, 20)
    assert set(asked) == {12_800, 13_600, 14_400, 15_200, 16_000, 16_800, 17_600, 18_400, 20_000}
    assert len(asked) == 20


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
    found = decode(model, hidden, limit)
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
    found = decode(model, hidden[torch.tensor(ending)], 1000)
    assert len(passes) <= 8
    assert found.shape == (sum(ending), 1000)
    assert (found[:, 7:] == EOS).all()

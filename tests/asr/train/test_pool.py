"""Clips and the teacher's words for them."""

import pytest
import torch
from tiny_models import audio, decoder, encoder

from asr.moonshine.config import EOS
from asr.train.corpus import Corpus
from asr.train.labels import read, token_limit
from asr.train.pool import Clips, draw_clips


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
    assert clips.tokens.shape[1] == token_limit(16_000)
    with torch.autocast("cpu", torch.bfloat16):
        again = read(decoder(), encoder()(clips.audio.float()), token_limit(16_000))
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

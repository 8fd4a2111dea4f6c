"""Which of the base model's own words are kept."""

import pytest
import torch

from llm.gguf.file import GgufFile
from llm.train.encode import Encoder
from llm.train.model import read_llama
from llm.train.replay import continued_texts, own_replies, spoken_part


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("Cats purr. They like it. Dogs bark.", "Cats purr. They like it."),
        (" One only!", "One only!"),
        ("It costs 3.50 in all. Really.", "It costs 3.50 in all. Really."),
        ("No end of it", None),
        ("Here is a list:\n1. Bread\n2. Milk.", None),
        ("**Bold** words are not spoken. So they go.", None),
        ("", None),
        ("x" * 300 + ".", None),
    ],
)
def test_the_first_two_plain_sentences_are_kept(reply: str, kept: str | None) -> None:
    assert spoken_part(reply) == kept


def test_short_replies_are_learnt_and_whole_ones_held(
    small: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [*b"It is so. So it is. And"]
    monkeypatch.setattr(
        "llm.train.replay.replies", lambda _model, prompts, *_, **__: [written] * len(prompts)
    )
    model, encoder = read_llama(small, torch.device("cpu")), Encoder(small)
    monkeypatch.setattr(encoder.tokenizer, "decode", lambda ids: bytes(ids).decode())
    found = own_replies(model, encoder, 4)
    ended = (*encoder.tokenizer.encode("It is so. So it is."), encoder.end)
    assert [example.ids[example.start :] for example in found.learnt] == [ended] * 2
    assert sum(example.ids[example.start :] == tuple(written) for example in found.held) == 2
    assert sum(example.start == 1 for example in found.held) == 2


def test_texts_are_held_from_their_second_token_on(small: GgufFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.train.replay.MOST_TOKENS", 3)
    model, encoder = read_llama(small, torch.device("cpu")), Encoder(small)
    found = continued_texts(model, encoder, 4)
    assert [example.start for example in found] == [1] * 4
    texts = [bytes(example.ids[:-3]).decode("latin-1") for example in found]
    assert len(set(texts)) == 4
    assert found == continued_texts(model, encoder, 4)
    assert found != continued_texts(model, encoder, 4, seed=1)

"""Figures against values found otherwise."""

import math
from importlib.resources import files

import numpy as np
import pytest
import torch
from torch_llama import Llama as Reference
from torch_llama import TorchEngine

from llm.eval.predict import perplexity as engine_perplexity
from llm.gguf.file import GgufFile
from llm.text.message import Message
from llm.text.tokenizer import Tokenizer
from llm.train.adapter import Adapter
from llm.train.encode import Encoder
from llm.train.figures import TEXTS, Figures, Share, measure, perplexity
from llm.train.grammar import Example
from llm.train.loop import Settings
from llm.train.model import read_llama
from llm.train.runs import Run, best

CPU = torch.device("cpu")


def test_intervals_are_wilsons() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20 and 1 of 29."""
    expected = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (right, total), interval in expected.items():
        assert Share(right, total).interval == pytest.approx(interval, abs=1e-4)
    assert str(Share(15, 148)) == "15/148 = 10 % (6 to 16)"


def test_perplexity_is_that_of_the_other_measure(small: GgufFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.train.figures._WINDOW", 128)
    model, encoder = read_llama(small, CPU), Encoder(small)
    logs, tokens = 0.0, 0
    for name in TEXTS:
        ids = Tokenizer.from_gguf(small).encode((files("llm") / "data" / f"{name}.txt").read_text())
        logs += (len(ids) - 1) * math.log(engine_perplexity(TorchEngine(Reference(small), 256), ids, 128))
        tokens += len(ids) - 1
    assert perplexity(model, encoder) == pytest.approx(math.exp(logs / tokens), rel=1e-4)


def examples() -> list[Example]:
    said = (Message("user", "Hi"),)
    return [
        Example("talk", "talk/any", said, "x", "^"),
        Example("talk", "talk/none", said, "x", "(?!)"),
        Example("cannot", "cannot/weather", said, "I can't."),
        Example("fact", "fact/seen", said, "x", "^"),
    ]


def test_shares_are_counted_by_group_and_by_kind(small: GgufFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.train.figures.TEXTS", TEXTS[2:3])
    monkeypatch.setattr("llm.train.figures._MOST_TOKENS", 4)
    found = measure(read_llama(small, CPU), Encoder(small), examples())
    assert found.groups["talk/any"] == Share(1, 1)
    assert found.kinds == {"talk": Share(1, 2), "cannot": Share(0, 1), "fact/seen": Share(1, 1)}
    assert found.score() == pytest.approx((0.5 + 0 + 1) / 3)
    assert found.stray_calls == Share(0, 4)
    assert len(found.replies) == 4


def figures(score: int, perplexity_: float) -> Figures:
    share = Share(score, 100)
    return Figures({}, {"talk": share}, share, share, 9.0, perplexity_, [])


def test_the_best_score_is_kept_among_those_that_have_not_forgotten(small: GgufFile) -> None:
    adapter = Adapter(read_llama(small, CPU).config, 1, 2.0)

    def run(rate: float, score: int, perplexity_: float) -> Run:
        return Run(Settings(rate=rate), adapter, figures(score, perplexity_), 1.0)

    base = figures(10, 20.0)
    runs = [run(1, 70, 20.5), run(2, 80, 20.9), run(3, 95, 21.1)]  # 21.0 is 5 % more than 20
    assert best(runs, base).settings.rate == 2
    assert best([*runs[2:], run(4, 50, 22.0)], base).settings.rate == 3
    assert np.isclose(runs[0].chosen_by.score(), 0.7)

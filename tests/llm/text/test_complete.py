from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf_writer import STRING, typed, write_vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import CHATML, SPECIAL, TOKENS, one_thread, real_model, write_llama
from torch_llama import TorchEngine

from llm.decode.engine import prefill
from llm.gguf.file import open_gguf
from llm.text.chat import ChatTemplate, Message
from llm.text.complete import TurnReader, closed
from llm.text.conversation import SYSTEM_PROMPT
from llm.text.tokenizer import Tokenizer

INST = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + '<|im_end|>' }}{% endif %}{% endfor %}"
)
HEADERS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '<|im_end|>\n\n' + m.content + '<|im_end|>' }}"
    "{% endfor %}{{ '<|im_start|>assistant<|im_end|>\n\n' }}"
)
BARE = "{% for m in messages %}{{ m.content }}{% endfor %}"

Made = tuple[Tokenizer, ChatTemplate]


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    def make(template: str) -> Made:
        path = tmp_path_factory.mktemp("complete") / "m.gguf"
        chat = {"tokenizer.chat_template": typed(STRING, template)}
        file = open_gguf(write_llama(path, metadata=chat))
        tokenizer = Tokenizer.from_gguf(file)
        return tokenizer, ChatTemplate.from_gguf(file, tokenizer)

    return make


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("What time is it?", "What time is it?"),
        ("Stop!", "Stop!"),
        ("I see.", "I see."),
        ("what time is it", "what time is it."),
        ("  well, \n", "well."),
        ("I want to -", "I want to."),
        ("one more thing:", "one more thing."),
        ("first; second;,", "first; second."),
        ("so \u2013 ", "so."),
        ("wait...", "wait."),
        ("wait\u2026", "wait."),
        ("it costs 3,50", "it costs 3,50."),
        ("is it, ?", "is it, ?"),
        ("", "."),
        (" , ", "."),
    ],
)
def test_closed_ends_with_a_mark(heard: str, expected: str) -> None:
    assert closed(heard) == expected


@given(st.text(st.sampled_from("ab .?!,;:-\u2013\n"), max_size=12))
@settings(max_examples=300, deadline=None)
def test_closing_again_changes_nothing_and_loses_no_word(heard: str) -> None:
    text = closed(heard)
    assert text.endswith((".", "?", "!"))
    assert closed(text) == text
    assert [c for c in text if c.isalnum()] == [c for c in heard if c.isalnum()]
    assert text == text.strip()


@pytest.mark.parametrize("template", [CHATML, INST, HEADERS, BARE], ids=["chatml", "inst", "headers", "bare"])
@pytest.mark.parametrize("text", ["I am here.", "yes!", "Who said no?"])
def test_the_logits_asked_for_begin_after_the_last_word(
    make: Callable[[str], Made], template: str, text: str
) -> None:
    tokenizer, chat = make(template)
    reader = TurnReader(tokenizer, chat)
    for before in ([], [Message("user", "Hi!"), Message("assistant", "Hello, no.")]):
        ids = chat.ids([*before, Message("user", text)])
        word_end, mark = ids[-reader.logits_for :][:2]  # the first two rows are the logits after these
        assert tokenizer.token_bytes(word_end) == text[-2].encode()
        assert tokenizer.token_bytes(mark) == text[-1].encode()
        behind = reader.logits_for - 2
        other = chat.ids([*before, Message("user", "x.")])
        assert other[len(other) - behind :] == ids[len(ids) - behind :]


def test_a_score_by_hand(make: Callable[[str], Made]) -> None:
    tokenizer, chat = make(CHATML)
    reader = TurnReader(tokenizer, chat)
    end = tokenizer.special["<|im_end|>"]
    marks = [tokenizer.encode(c)[0] for c in ".?!"]
    rest = len(TOKENS) - len(marks)

    def row(**weights: float) -> np.ndarray:
        """Logits: each mark and the end as told, every other token 1."""
        logits = np.zeros(len(TOKENS), np.float32)
        logits[marks] = np.log(weights.get("mark", 1.0))
        logits[end] = np.log(weights.get("end", 1.0))
        return logits

    def score(after_word: np.ndarray, after_mark: np.ndarray) -> float:
        others = np.full((reader.logits_for - 2, len(TOKENS)), 99.0, np.float32)
        return reader.score(np.stack([after_word, after_mark, *others]))

    assert score(row(), row()) == pytest.approx(3 / len(TOKENS))
    assert score(row(mark=rest), row()) == pytest.approx(3 / 4)
    assert score(row(end=1e6), row()) == pytest.approx(1 / len(TOKENS))  # no end is due after a word
    assert score(row(mark=1e-9), row(end=len(TOKENS) - 1)) == pytest.approx(1 / 2)
    assert score(row(mark=rest), row(end=len(TOKENS) - 1)) == pytest.approx(3 / 4)  # the larger
    assert 0 <= score(row() + 3e38, row() - 3e38) <= 1


def test_a_vocabulary_without_the_marks_has_no_marks_to_close_with(tmp_path: Path) -> None:
    tokens = [t for t in TOKENS if t not in (".", "?", "!")]
    kinds = [3 if t in SPECIAL else 1 for t in tokens]
    path = write_vocabulary(tmp_path / "v.gguf", tokens, kinds, [], chat_template=CHATML)
    tokenizer = Tokenizer.from_gguf(open_gguf(path))
    reader = TurnReader(tokenizer, ChatTemplate.from_gguf(open_gguf(path), tokenizer))
    logits = np.zeros((reader.logits_for, len(tokens)), np.float32)
    assert reader.score(logits) == pytest.approx(1 / len(tokens))  # the end alone


PAIRS = (  # the words in brackets are what was still to come
    "How long does it take to [boil an egg?]",
    "What should I cook for [dinner tonight?]",
    "Can you tell me why leaves turn red in [autumn?]",
    "Remind me to water the [plants when I get home.]",
    "Which planet has the [most moons?]",
    "I would like to know who painted the [Mona Lisa.]",
    "Is it safe to swim after [eating?]",
    "What is the difference between a frog and [a toad?]",
    "Please play some quiet music in the [kitchen.]",
    "Where did the Olympic [Games begin?]",
    "My brother wants to learn the [guitar.]",
    "How do I get a coffee stain out of a [white shirt?]",
    "Do cats really have [nine lives?]",
)


@pytest.mark.models
def test_finished_turns_score_higher_than_the_same_cut_short(model_path: Callable[[str], Path]) -> None:
    path = model_path("smollm2-135m-instruct-q4_1")
    file = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(file)
    chat = ChatTemplate.from_gguf(file, tokenizer)
    reader, engine = TurnReader(tokenizer, chat), TorchEngine(real_model(path), 256)

    def score(heard: str) -> float:
        ids = chat.ids([Message("system", SYSTEM_PROMPT), Message("user", closed(heard))])
        assert tokenizer.decode([ids[1 - reader.logits_for]]) in (".", "?")
        return reader.score(prefill(engine, ids, reader.logits_for))

    for pair in PAIRS:
        start, rest = pair.removesuffix("]").split("[")
        assert 0 <= score(start) < score(start + rest) <= 1, pair

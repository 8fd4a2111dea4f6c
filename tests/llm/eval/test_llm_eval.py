"""The measures of an engine's quality and speed, against torch, scipy, brute force and sums done by hand."""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, one_thread, random_weights, real_model, write_llama
from numpy.typing import NDArray
from scipy.stats import entropy
from table_engine import VOCABULARY, Table, TableEngine, constant_table, random_table
from torch.nn import functional as F  # noqa: N812
from torch_llama import KvCache, Llama, TorchEngine

from llm.decode.engine import ContextFull
from llm.eval.data import prompts, sentences, text
from llm.eval.predict import EvalError, compare, compare_prompts, perplexity
from llm.eval.quality import measure, read_task
from llm.eval.replies import Agreement, Continuation, continuations, greedy
from llm.eval.speed import DecodeSpeed, Speed, speed
from llm.gguf.file import open_gguf
from llm.text.tokenizer import Tokenizer

DATA = Path(__file__).parents[3] / "llm" / "data"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    return Llama(open_gguf(write_llama(tmp_path_factory.mktemp("small") / "m.gguf")))


def torch_perplexity(model: Llama, ids: Sequence[int], window: int) -> float:
    """Each window read whole, at once, into a cache of its own; torch's own cross entropy."""
    losses = []
    for start in range(0, len(ids) - 1, window):
        inputs, targets = ids[start : min(start + window, len(ids) - 1)], ids[start + 1 : start + window + 1]
        logits = model.forward(list(inputs), KvCache(model.config, window, model.dtype), 0)
        losses.append(F.cross_entropy(logits.double(), torch.tensor(list(targets)), reduction="sum"))
    return float(torch.exp(torch.stack(losses).sum() / (len(ids) - 1)))


# The text and the prompts


def test_the_text_is_the_one_the_note_describes() -> None:
    data, note = (DATA / "tea_party.txt").read_bytes(), (DATA / "README.md").read_text()
    assert (
        hashlib.sha256(data).hexdigest() == "ead0d2eeac7b229f2992bc3bf586a89de656c973fce171d61d9b8c9f44486a31"
    )
    assert hashlib.sha256(data).hexdigest() in note
    assert 12_000 <= len(data) <= 20_000
    assert f"{len(data):,} bytes" in note
    assert text().encode() == data


def test_the_text_is_clean() -> None:
    assert set(text()) <= {chr(code) for code in range(32, 127)} | {"\n"}
    paragraphs = text().removesuffix("\n").split("\n\n")
    assert paragraphs[0] == "A Mad Tea-Party"
    assert paragraphs[-1].endswith("among the bright flower-beds and the cool fountains.")
    lines = text().splitlines()
    assert [line for line in lines if line != line.strip() or "  " in line] == []
    assert len([line for line in lines if line]) == len(paragraphs) + 3  # two verses have two and three lines


def test_the_prompts_are_twenty_different_lines() -> None:
    assert len(set(prompts())) == len(prompts()) == 20
    assert all(prompt == prompt.strip() and len(prompt) > 10 for prompt in prompts())


def test_the_sentences_are_different_pieces_of_the_text() -> None:
    words = " ".join(text().split())
    assert len(set(sentences())) == len(sentences()) == 95
    for sentence in sentences():
        assert len(sentence) > 30
        assert "." not in sentence
        assert " ".join(sentence.split()) in words


# Perplexity


@pytest.mark.parametrize(
    ("length", "window"), [(60, 16), (60, 59), (60, 512), (49, 16), (50, 16), (2, 16), (60, 1)]
)
def test_perplexity_is_torch_s_cross_entropy(small: Llama, length: int, window: int) -> None:
    ids = np.random.default_rng(length).integers(0, SMALL.vocabulary, length).tolist()
    expected = torch_perplexity(small, ids, window)
    engine = TorchEngine(small, SMALL.context)
    assert perplexity(engine, ids, window, rows=5) == pytest.approx(expected, rel=1e-5)
    assert perplexity(engine, ids, window) == pytest.approx(expected, rel=1e-5)
    assert perplexity(engine, ids, window, rows=1) == pytest.approx(expected, rel=1e-5)


@pytest.mark.models
def test_perplexity_of_the_real_model_is_torch_s_cross_entropy(model_path: Callable[[str], Path]) -> None:
    path = model_path("smollm2-135m-instruct-q4_1")
    ids = Tokenizer.from_gguf(open_gguf(path)).encode(text())[:121]
    model = real_model(path)
    expected = torch_perplexity(model, ids, 50)
    assert 5 < expected < 100  # a model that reads English
    assert perplexity(TorchEngine(model, 64), ids, 50, rows=16) == pytest.approx(expected, rel=1e-4)
    expected = torch_perplexity(model, ids[:13], 50)
    assert perplexity(TorchEngine(model, 64), ids[:13], rows=1) == pytest.approx(expected, rel=1e-4)


def test_without_a_preference_perplexity_is_the_size_of_the_vocabulary() -> None:
    flat = TableEngine(constant_table([3.0] * VOCABULARY))
    assert perplexity(flat, [0, 1, 2, 3, 4, 5, 6, 0, 1], 4) == pytest.approx(VOCABULARY, rel=1e-12)


def test_large_logits_do_not_overflow() -> None:
    """Of logits 10,000 apart the softmax is 1 and 0; what is impossible costs its 10,000 nats."""
    sure = TableEngine(constant_table([1e4, 0.0, 0.0]))
    assert perplexity(sure, [1, 0, 0, 0]) == 1.0
    assert perplexity(sure, [1, 0, 1]) == math.inf  # exp(5000)
    certain = TableEngine(constant_table([300.0, 0.0]))
    assert perplexity(certain, [1, 0, 1]) == pytest.approx(math.exp(150))


def test_each_window_starts_from_nothing_and_each_token_is_predicted_once() -> None:
    engine = TableEngine(random_table(0))
    engine.extend([6, 6, 6])
    engine.calls.clear()
    perplexity(engine, [0, 1, 2, 3, 4, 5, 6, 5, 4, 3], 4, rows=3)
    assert engine.calls == [
        0, ([0, 1, 2], 3), ([3], 1),
        0, ([4, 5, 6], 3), ([5], 1),
        0, ([4], 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "measure",
    [
        perplexity,
        partial(perplexity, rows=1),
        lambda e, ids: compare(e, e, ids),
        lambda e, ids: compare_prompts(e, e, ids),
    ],
)
@pytest.mark.parametrize("ids", [[], [3]])
def test_nothing_to_predict(measure: Callable[..., object], ids: list[int]) -> None:
    engine = TableEngine(random_table(0))
    with pytest.raises(ValueError, match=f"{len(ids)} tokens: at least 2 are needed"):
        measure(engine, ids)
    assert engine.calls == []


@pytest.mark.parametrize(("window", "rows"), [(0, 4), (-1, 4), (4, 0)])
def test_windows_and_rows_are_positive(window: int, rows: int) -> None:
    engine = TableEngine(random_table(0))
    with pytest.raises(ValueError, match="must be positive"):
        perplexity(engine, [1, 2, 3], window, rows=rows)
    with pytest.raises(ValueError, match="must be positive"):
        compare_prompts(engine, engine, [1, 2, 3], window, rows=rows)


def test_a_window_must_fit_the_context() -> None:
    engine = TableEngine(random_table(0, positions=8))
    assert perplexity(engine, [1] * 30, 8) > 0
    with pytest.raises(ContextFull, match="9 tokens do not fit a context of 8"):
        perplexity(engine, [1] * 30, 9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_not_finite_is_an_error(value: float) -> None:
    table = random_table(0)
    table[2, 5, 1] = value
    sick, well = TableEngine(table), TableEngine(random_table(0))
    assert perplexity(sick, [5, 5, 4, 5]) == perplexity(well, [5, 5, 4, 5])  # never met
    for measured in (
        lambda: perplexity(sick, [5, 5, 5, 5]),
        lambda: compare(sick, well, [5, 5, 5, 5]),
        lambda: compare(well, sick, [5, 5, 5, 5], decode=True),
        lambda: compare_prompts(sick, well, [4, 5, 5, 5, 4], 3, rows=1),
    ):
        with pytest.raises(EvalError, match="a logit is not finite within the first 3 tokens"):
            measured()


# Comparison with a reference


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=30),
    window=st.integers(1, 16),
    rows=st.integers(1, 20),
    decode=st.booleans(),
)
def test_comparison_is_what_brute_force_gives(ids: list[int], window: int, rows: int, decode: bool) -> None:
    ours, theirs = random_table(1), random_table(2)
    p, q, losses = [], [], []
    for i, (token, following) in enumerate(itertools.pairwise(ids)):
        row, reference = ours[i % window, token], theirs[i % window, token]
        q.append(np.exp(row.astype(float)) / np.exp(row.astype(float)).sum())
        p.append(np.exp(reference.astype(float)) / np.exp(reference.astype(float)).sum())
        losses.append((-math.log(q[-1][following]), -math.log(p[-1][following])))
    mine, reference_loss = np.mean(losses, axis=0)
    found = compare(TableEngine(ours), TableEngine(theirs), ids, window, rows=rows, decode=decode)
    assert found.tokens == len(ids) - 1
    assert found.perplexity == pytest.approx(math.exp(mine))
    assert found.reference_perplexity == pytest.approx(math.exp(reference_loss))
    assert found.ratio == pytest.approx(math.exp(mine - reference_loss))
    assert found.kl == pytest.approx(np.mean([entropy(x, y) for x, y in zip(p, q, strict=True)]))
    assert found.same_argmax == np.mean([x.argmax() == y.argmax() for x, y in zip(p, q, strict=True)])


def test_the_same_engine_is_no_distance_away(small: Llama) -> None:
    ids = list(text()[:120].encode())
    engine, reference = TorchEngine(small, 64), TorchEngine(small, 64)
    found = compare(engine, reference, ids, 64)
    assert (found.ratio, found.kl, found.same_argmax) == (1.0, 0.0, 1.0)
    found = compare(engine, reference, ids, 64, decode=True)  # another order of sums
    assert found.ratio == pytest.approx(1, abs=1e-5)
    assert found.kl == pytest.approx(0, abs=1e-6)


def test_only_the_engine_decodes_token_by_token() -> None:
    engine, reference = TableEngine(random_table(1)), TableEngine(random_table(2))
    compare(engine, reference, [0, 1, 2, 3], 16, decode=True)
    assert engine.calls == [0, ([0], 1), ([1], 1), ([2], 1)]
    assert reference.calls == [0, ([0, 1, 2], 3)]


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=30),
    window=st.integers(1, 16),
    rows=st.integers(1, 20),
)
def test_comparison_of_prompts_is_what_brute_force_gives(ids: list[int], window: int, rows: int) -> None:
    ours, theirs = random_table(1), random_table(2)
    window = min(window, len(ids) - 1)
    rows = min(rows, window)
    kl, same, losses = [], [], []
    for begin in range(0, len(ids) - window, rows):  # of each window
        for i in range(window - rows, window):
            p, q = (np.exp(table[i, ids[begin + i]].astype(float)) for table in (theirs, ours))
            kl.append(entropy(p, q))  # which makes them sum to 1
            same.append(p.argmax() == q.argmax())
            losses.append([-math.log(x[ids[begin + i + 1]] / x.sum()) for x in (q, p)])
    found = compare_prompts(TableEngine(ours), TableEngine(theirs), ids, window, rows=rows)
    assert found.tokens == len(kl)
    assert found.kl == pytest.approx(np.mean(kl))
    assert found.same_argmax == np.mean(same)
    assert [found.perplexity, found.reference_perplexity] == pytest.approx(np.exp(np.mean(losses, axis=0)))


def test_a_prompt_is_read_in_one_call_and_from_nothing() -> None:
    engine, reference = TableEngine(random_table(1)), TableEngine(random_table(2))
    engine.extend([6, 6])
    engine.calls.clear()
    compare_prompts(engine, reference, [0, 1, 2, 3, 4, 5, 6, 5, 4], 5, rows=2)
    assert engine.calls == reference.calls == [0, ([0, 1, 2, 3, 4], 2), 0, ([2, 3, 4, 5, 6], 2)]
    for short in (engine, reference):
        short.calls.clear()
    assert compare_prompts(engine, reference, [0, 1, 2]).tokens == 2  # a text shorter than a window
    assert engine.calls == [0, ([0, 1], 2)]


def test_engines_of_two_vocabularies_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="vocabularies of 7 and 3 tokens"):
        compare(TableEngine(random_table(0)), TableEngine(constant_table([0, 1, 2])), [0, 1, 2])


# Greedy replies


def brute_force(table: Table, prompt: Sequence[int], tokens: int, ends: Sequence[int]) -> list[int]:
    """Follow the table from the end of the prompt."""
    reply, last = [], prompt[-1]
    for position in range(len(prompt) - 1, len(prompt) - 1 + tokens):
        last = int(table[position, last].argmax())
        reply.append(last)
        if last in ends:
            break
    return reply


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    noise=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    asked=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=8), min_size=1, max_size=4),
    tokens=st.integers(1, 9),
    ends=st.sampled_from([[], [0], [2, 5]]),
)
def test_replies_part_where_two_greedy_replies_do(
    seed: int, noise: float, asked: list[list[int]], tokens: int, ends: list[int]
) -> None:
    theirs = random_table(seed)
    ours = theirs + np.float32(noise) * random_table(seed + 1)
    found = continuations(TableEngine(ours), TableEngine(theirs), asked, tokens, ends)
    for prompt, reply in zip(asked, found.replies, strict=True):
        mine, wanted = brute_force(ours, prompt, tokens, ends), brute_force(theirs, prompt, tokens, ends)
        assert reply.ids == tuple(mine)
        assert reply.identical == (mine == wanted)
        at = next((i for i, (a, b) in enumerate(zip(mine, wanted, strict=False)) if a != b), len(mine))
        assert reply.agreed == at
        if mine != wanted:
            row = theirs[len(prompt) - 1 + at, [*prompt, *mine][len(prompt) - 1 + at]]
            assert reply.margin == pytest.approx(row[wanted[at]] - row[mine[at]], abs=1e-6)
    assert found.identical == sum(reply.ids[reply.agreed :] == () for reply in found.replies)


def test_agreement_counts_tokens_replies_and_ties() -> None:
    found = Agreement(
        (
            Continuation((1, 2, 3, 4), 4, None),
            Continuation((1, 2, 3, 4), 1, 0.05),
            Continuation((1, 2), 0, 0.3),
        )
    )
    assert (found.identical, found.agreement) == (1, 0.5)
    assert (found.ties(), found.ties(0.3), found.ties(0.01)) == (1, 2, 0)


def test_a_reply_of_a_small_model_is_the_likeliest_token_each_time(small: Llama) -> None:
    """Against reading the whole sequence anew for each token; a perturbed model parts from it."""
    prompt = list(b"Who are you?")
    ids = list(prompt)
    for _ in range(20):
        ids.append(int(small.forward(ids, KvCache(SMALL, 64, small.dtype), len(ids) - 1)[0].argmax()))
    engine = TorchEngine(small, 64)
    assert greedy(engine, prompt, 20) == ids[len(prompt) :]
    found = continuations(engine, TorchEngine(small, 64), [prompt, prompt[:4]], 20)
    assert (found.identical, found.agreement) == (2, 1.0)


def test_a_reply_that_ends_where_the_reference_goes_on_is_another() -> None:
    goes_on, ends = constant_table([0, 5, 0]), constant_table([5.5, 5, 0])
    found = continuations(TableEngine(ends), TableEngine(goes_on), [[2]], 5, ends=[0])
    assert found.replies == (Continuation((0,), 0, 5.0),)
    found = continuations(TableEngine(goes_on), TableEngine(ends), [[2]], 5, ends=[0])
    assert found.replies == (Continuation((1, 1, 1, 1, 1), 0, 0.5),)


@pytest.mark.parametrize(("asked", "tokens"), [([], 3), ([[1], []], 3), ([[1]], 0)])
def test_nothing_to_continue(asked: list[list[int]], tokens: int) -> None:
    engine = TableEngine(random_table(0))
    with pytest.raises(ValueError, match="nothing to continue"):
        continuations(engine, engine, asked, tokens)


@pytest.mark.parametrize("short", ["ours", "theirs"])
def test_a_reply_must_fit_both_contexts(short: str) -> None:
    engines = [TableEngine(random_table(0, 8 if short == which else 16)) for which in ("ours", "theirs")]
    assert len(continuations(*engines, [[1] * 4], 5).replies[0].ids) == 5  # the last one is not read
    for engine in engines:
        engine.calls.clear()
    with pytest.raises(ContextFull, match="9 tokens do not fit a context of 8"):
        continuations(*engines, [[1], [1] * 4], 6)
    assert [engine.calls for engine in engines] == [[], []]


# Speed


class TimedEngine(TableEngine):
    """A clock that its work moves: 1 us a token of a prompt, 3 us a single one and 10 ns for each before it.

    The first prompt and every step that is not right after another step take a second more.
    """

    def __init__(self) -> None:
        super().__init__(random_table(0, 256))
        self.now_ns, self.warm, self.stepped = 0, False, False

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        before, step = len(self.tokens), len(tokens) == 1
        self.now_ns += 3000 + 10 * before if step else 1000 * len(tokens)
        self.now_ns += 10**9 * (not self.stepped if step else not self.warm)
        self.warm, self.stepped = True, step
        return super().extend(tokens, logits_for)


def test_speed_is_the_median_after_a_warm_up() -> None:
    engine = TimedEngine()
    found = speed(engine, [1] * 250, (20, 100), 200, steps=3, now_ns=lambda: engine.now_ns)
    # 200 us for 200 tokens. Of the tokens after the context the second to the fourth are timed.
    assert found == Speed(
        200,
        pytest.approx(1e6),
        (DecodeSpeed(20, pytest.approx(0.00322)), DecodeSpeed(100, pytest.approx(0.00402))),
    )


def test_speed_reads_the_tokens_it_is_given() -> None:
    engine = TableEngine(random_table(0))
    speed(engine, [0, 1, 2, 3, 4, 5], (2,), 4, steps=2)
    reading: list[object] = [0, ([0, 1, 2, 3], 1)]
    assert engine.calls == [*reading * 4, 0, ([0, 1], 0), ([2], 1), ([3], 1), ([4], 1)]


@pytest.mark.parametrize(
    ("length", "contexts", "prompt", "steps"),
    [(9, (2, 7), 4, 2), (9, (2,), 10, 2), (9, (2,), 0, 2), (9, (0,), 4, 2), (9, (2,), 4, 0), (0, (), 1, 1)],
)
def test_speed_needs_enough_tokens(length: int, contexts: tuple[int, ...], prompt: int, steps: int) -> None:
    with pytest.raises(ValueError, match=f"{length} tokens to time"):
        speed(TableEngine(random_table(0)), [1] * length, contexts, prompt, steps=steps)


def test_speed_beyond_the_context() -> None:
    with pytest.raises(ContextFull):
        speed(TableEngine(random_table(0, 8)), [1] * 20, (7,), 4, steps=3)


# All of it


def test_everything_about_a_model_beside_itself_and_beside_another(tmp_path: Path) -> None:
    gguf = open_gguf(write_llama(tmp_path / "m.gguf"))
    task = read_task(gguf, 300)
    tokenizer = Tokenizer.from_gguf(gguf)
    assert tokenizer.decode(task.text) == text()[:300]  # its tokens are single bytes
    asked = tokenizer.decode(task.prompts[0])
    assert asked.endswith(prompts()[0] + "\nassistant\n")
    assert len(task.prompts) == len(prompts())
    model = Llama(gguf)
    short = type(task)(task.text, [prompt[-30:] for prompt in task.prompts], task.ends)
    same = measure(TorchEngine(model, 200), TorchEngine(model, 200), short).to_dict()
    assert same["prefill"]["tokens"] == 299
    assert same["prefill"]["reference_perplexity"] == pytest.approx(torch_perplexity(model, task.text, 200))
    assert same["prefill"]["ratio"] == 1
    assert same["decode"]["tokens"] == 299
    assert same["decode"]["ratio"] == pytest.approx(1, abs=1e-5)
    assert (same["replies"]["identical"], same["replies"]["ties"]) == (20, 0)
    assert [point["context"] for point in same["speed"]["decode"]] == [128]  # 1024 do not fit
    assert same["speed"]["prefill_tokens"] == 200

    weights = {name: weight + 0.02 for name, weight in random_weights(SMALL).items()}
    other = Llama(open_gguf(write_llama(tmp_path / "n.gguf", weights=weights)))
    found = measure(TorchEngine(other, 200), TorchEngine(model, 200), short)
    assert found.prefill.perplexity == pytest.approx(torch_perplexity(other, task.text, 200))
    assert found.prefill.kl > 0
    assert found.replies.identical < 20


def test_a_model_without_a_chat_template_gets_the_bare_prompts(tmp_path: Path) -> None:
    gguf = open_gguf(write_llama(tmp_path / "m.gguf", metadata={"tokenizer.chat_template": None}))
    task, tokenizer = read_task(gguf), Tokenizer.from_gguf(gguf)
    assert [tokenizer.decode(prompt) for prompt in task.prompts] == prompts()
    assert tokenizer.decode(task.text) == text()

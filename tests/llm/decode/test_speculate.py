"""Speculation is lossless: whatever the drafter proposes, the reply is what it is without."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from gguf_writer import write_vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, TOKENS, one_thread, random_weights, real_model, write_llama
from scipy.stats import chisquare
from sizes import quarter
from tokenizers import pre_tokenizers
from torch_llama import Llama, TorchEngine

from llm.decode.drafts import Drafter, prompt_lookups
from llm.decode.engine import prefill, step
from llm.decode.generate import Finished, GenerateConfig, Generated, Prefilled, Token, generate
from llm.decode.sample import Sampling
from llm.decode.speculate import Speculated, Speculator
from llm.gguf.file import open_gguf
from llm.text.chat import ChatTemplate, Message
from llm.text.tokenizer import Tokenizer

A, B, C, D, NEWLINE, END = range(6)
WEIGHTS = np.array([5, 4, 3, 2, 1, 1])  # of the likeliest token and so on
Proposals = Sequence[Sequence[int]]


def still() -> int:
    """A clock that stands still: a pass over many tokens costs what one costs, so drafting pays."""
    return 0


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("speculate") / "v.gguf"
    tokens, kinds = ["a", "b", "c", "d", "Ċ", "<|im_end|>"], [1] * 5 + [3]
    return Tokenizer.from_gguf(open_gguf(write_vocabulary(path, tokens, kinds, [], ids={"eos": END})))


class OrderEngine:
    """Which tokens are likely depends on all those held, so that one too many or too few shows."""

    def __init__(self, context: int = 1000) -> None:
        self.context, self.held = context, list[int]()

    @property
    def tokens(self) -> Sequence[int]:
        return self.held

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
        assert len(self.held) + len(tokens) <= self.context, "past the context"
        assert all(0 <= token <= END for token in tokens), "not in the vocabulary"
        assert 0 < logits_for <= len(tokens)
        self.held += tokens
        ends = range(len(self.held) - logits_for + 1, len(self.held) + 1)
        return np.stack([self.logits(self.held[:end]) for end in ends])

    def truncate(self, length: int) -> None:
        assert length <= len(self.held)
        del self.held[length:]

    @staticmethod
    def logits(tokens: Sequence[int]) -> np.ndarray:
        order = np.random.default_rng([len(tokens), *tokens]).permutation(len(WEIGHTS))
        return np.log(WEIGHTS)[order].astype(np.float32)


class Adversary:
    """Proposes the next tokens of its script, right or not, in the vocabulary or not, too many or none."""

    def __init__(self, script: Proposals) -> None:
        self._script = list(script)

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        assert limit > 0
        return list(self._script.pop(0)) if self._script else []


class Oracle:
    """Knows what OrderEngine's greedy choice is, but for every `wrong`th token."""

    def __init__(self, wrong: int) -> None:
        self._wrong = wrong

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        text = list(tokens)
        for _ in range(limit):
            best = int(OrderEngine.logits(text).argmax())
            text.append((best + 1) % 5 if len(text) % self._wrong == 0 else best)
        return text[len(tokens) :]


def visible(events: Iterator[Generated]) -> list[Generated]:
    """Without what has no plain `==`, and what only speculation reports."""
    return [event for event in events if not isinstance(event, Prefilled | Speculated)]


PROMPTS = st.lists(st.integers(A, NEWLINE), min_size=1, max_size=6)
CONFIGS = st.builds(
    GenerateConfig,
    max_tokens=st.integers(1, 30),
    stop=st.lists(st.text("abcd\n", min_size=1, max_size=3), max_size=2).map(tuple),
    sampling=st.builds(
        Sampling,
        repetition_penalty=st.sampled_from([1.0, 1.1, 1.5, 0.8]),
        temperature=st.sampled_from([0.0, 0.0, 0.7, 1.5]),
        top_p=st.sampled_from([1.0, 0.8]),
        min_p=st.sampled_from([0.0, 0.3]),
        seed=st.integers(0, 9),
    ),
)
DRAFTERS: st.SearchStrategy[Callable[[], list[Drafter]]] = st.one_of(
    st.lists(st.lists(st.integers(-1, END + 1), max_size=12), max_size=30).map(
        lambda script: lambda: [Adversary(script)]
    ),
    st.integers(2, 9).map(lambda wrong: lambda: [Oracle(wrong)]),
    st.just(lambda: list(prompt_lookups())),
    st.just(lambda: [*prompt_lookups(), Oracle(3), Adversary([[A, B]] * 9)]),
    st.just(lambda: []),
)


@given(
    prompts=st.lists(PROMPTS, min_size=1, max_size=3),
    config=CONFIGS,
    drafters=DRAFTERS,
    context=st.integers(6, 50),
    stops_after=st.none() | st.integers(0, 12),
    ticks=st.lists(st.integers(0, 9), min_size=1, max_size=7),
)
@settings(max_examples=400, deadline=None)
def test_a_reply_is_the_same_whatever_is_drafted(
    tokenizer: Tokenizer,
    prompts: list[list[int]],
    config: GenerateConfig,
    drafters: Callable[[], list[Drafter]],
    context: int,
    stops_after: int | None,
    ticks: list[int],
) -> None:
    now = [0]

    def clock() -> int:
        now.append(now[-1] + ticks[len(now) % len(ticks)])
        return now[-1]

    speculator = Speculator(drafters(), clock)
    for prompt in prompts:
        plain, speculative = OrderEngine(context), OrderEngine(context)
        replies = [
            visible(
                generate(engine, tokenizer, prompt, config, stopped=after(stops_after), speculator=speculates)
            )
            for engine, speculates in ((plain, None), (speculative, speculator))
        ]
        assert replies[0] == replies[1]
        assert plain.held == speculative.held


def after(calls: int | None) -> Callable[[], bool]:
    """False for so many calls, then True."""
    if calls is None:
        return lambda: False
    answers = iter([False] * calls)
    return lambda: next(answers, True)


@given(prompt=PROMPTS, read=st.integers(1, 20), wrong=st.integers(2, 9))
@settings(max_examples=100, deadline=None)
def test_a_reply_that_is_no_longer_read_leaves_no_draft(
    tokenizer: Tokenizer, prompt: list[int], read: int, wrong: int
) -> None:
    engine = OrderEngine()
    config = GenerateConfig(max_tokens=40, stop=())
    events = generate(engine, tokenizer, prompt, config, speculator=Speculator([Oracle(wrong)], still))
    seen = [event for event, _ in zip(events, range(read), strict=False)]
    events.close()  # type: ignore[attr-defined]  # it is a generator
    chosen = [event.id for event in seen if isinstance(event, Token)]
    whole = [*prompt, *chosen]
    assert engine.held == whole[: len(engine.held)]
    assert len(engine.held) >= len(whole) - 1 or not any(isinstance(event, Prefilled) for event in seen)


def scripted(script: Sequence[int]) -> type[OrderEngine]:
    """An engine that wants these tokens, in turn, after a prompt of one."""

    class Scripted(OrderEngine):
        @staticmethod
        def logits(tokens: Sequence[int]) -> np.ndarray:
            logits = np.zeros(END + 1, np.float32)
            logits[[*script, *[END] * 99][len(tokens) - 1]] = 1
            return logits

    return Scripted


class Reader:
    """Drafts what its script says at this place."""

    def __init__(self, script: Sequence[int]) -> None:
        self.script = script

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        return list(self.script[len(tokens) - 1 :][:limit])


TEXT = [A, B, C, D, A, C, B, D, B, A, D, C]


def convinced(tokenizer: Tokenizer, reader: Reader, longest: int) -> Speculator:
    """A speculator that has learned that drafts of `longest` pay, and what a plain pass costs."""
    speculator, script, draft = Speculator([reader], still, longest=longest), TEXT * 9, reader.script
    for reader.script in (script, script, []):
        config = GenerateConfig(max_tokens=len(script), stop=())
        events = generate(scripted(script)(), tokenizer, [A], config, speculator=speculator)
        *_, report, _ = events
    assert isinstance(report, Speculated)
    assert report.length == longest
    reader.script = draft
    return speculator


@pytest.mark.parametrize(
    ("script", "draft", "config", "reason", "said", "held", "report"),
    [
        # The prefill gives the first token, each pass three drafted ones and its own.
        ([*TEXT, END], TEXT, {}, "end", "abcdacbdbadc", 13, (9, 9, 3)),
        # The last draft would hold the end: nothing is read behind it, and it is chosen as ever.
        ([*TEXT[:11], END], [*TEXT[:11], END, A, B], {}, "end", "abcdacbdbad", 12, (8, 8, 3)),
        # The end comes inside a draft that goes on.
        ([*TEXT[:6], END], [*TEXT[:6], A, B, C], {}, "end", "abcdac", 7, (6, 4, 2)),
        # As does a stop string, of the last token that is read and the next.
        ([*TEXT[:5], NEWLINE], [*TEXT[:5], NEWLINE, B, C], {"stop": ("a\n",)}, "stop", "abcd", 6, (6, 3, 2)),
        # max_tokens leaves room for three drafted tokens, two or none, and the pass's own.
        (TEXT, TEXT, {"max_tokens": 6}, "length", "abcdac", 6, (3, 3, 2)),
        (TEXT, TEXT, {"max_tokens": 5}, "length", "abcda", 5, (3, 3, 1)),
        (TEXT, TEXT, {"max_tokens": 4}, "length", "abcd", 4, (2, 2, 1)),
        (TEXT, TEXT, {"max_tokens": 1}, "length", "a", 1, (0, 0, 0)),
        # So does the context: the last token chosen is not read.
        (TEXT, TEXT, {"context": 6}, "length", "abcdac", 6, (3, 3, 2)),
        (TEXT, TEXT, {"context": 4}, "length", "abcd", 4, (2, 2, 1)),
        # A wrong token in the third place.
        ([*TEXT[:8], END], [*TEXT[:6], D, TEXT[7]], {}, "end", "abcdacbd", 9, (7, 5, 3)),
    ],
)  # fmt: skip
def test_edges_inside_a_draft(
    tokenizer: Tokenizer,
    script: list[int],
    draft: list[int],
    config: dict[str, object],
    reason: str,
    said: str,
    held: int,
    report: tuple[int, int, int],
) -> None:
    engine = scripted(script)(int(config.pop("context", 100)))  # type: ignore[call-overload]
    speculator = convinced(tokenizer, Reader(draft), longest=3)
    config = {"stop": (), **config}
    events = list(generate(engine, tokenizer, [A], GenerateConfig(**config), speculator=speculator))  # type: ignore[arg-type]
    finished, speculated = events[-1], events[-2]
    assert isinstance(finished, Finished)
    assert finished.reason == reason
    assert "".join(event.text for event in events if isinstance(event, Token | Finished)) == said
    assert engine.held == [A, *script][:held]
    assert isinstance(speculated, Speculated)
    chosen = len([event for event in events if isinstance(event, Token)]) + (reason == "end")
    assert speculated.tokens == chosen - 1  # the first is the prefill's
    assert (speculated.drafted, speculated.accepted, speculated.passes) == report


def test_only_speculation_is_reported_and_only_once(tokenizer: Tokenizer) -> None:
    for speculator in (None, Speculator([], still), Speculator([Reader(TEXT)], still)):
        engine = scripted([*TEXT, END])()
        events = list(generate(engine, tokenizer, [A], GenerateConfig(stop=()), speculator=speculator))
        reports = [i for i, event in enumerate(events) if isinstance(event, Speculated)]
        assert reports == ([] if speculator is None else [len(events) - 2])


def test_stopped_between_two_tokens_of_a_draft(tokenizer: Tokenizer) -> None:
    for calls in range(2, 13):
        engine = scripted(TEXT)()
        speculator = convinced(tokenizer, Reader(TEXT), longest=3)
        config = GenerateConfig(stop=())
        events = list(generate(engine, tokenizer, [A], config, stopped=after(calls), speculator=speculator))
        assert [event.id for event in events if isinstance(event, Token)] == TEXT[: calls - 1]
        assert not any(isinstance(event, Finished | Speculated) for event in events)
        assert engine.held == [A, *TEXT[: calls - 1]]


def test_drafts_follow_the_distribution(tokenizer: Tokenizer) -> None:
    """Three tokens of each of 40 000 replies, drafted right, wrong and not at all."""
    replies = quarter(40_000)
    table = np.array([[6, 1, 2], [1, 3, 3], [4, 1, 1]])  # weights of a, b and c after each of them

    class Chain(OrderEngine):
        @staticmethod
        def logits(tokens: Sequence[int]) -> np.ndarray:
            logits = np.full(END + 1, -np.inf, np.float32)
            logits[:3] = np.log(table[tokens[-1]])
            return logits

    class Likeliest:
        def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
            return [[A, C, A][tokens[-1]], B][:limit]

    speculator = Speculator([Likeliest()], still, longest=2)
    counts, accepted, rejected = np.zeros((3, 3, 3)), 0, 0
    engine = Chain()
    for seed in range(replies):
        config = GenerateConfig(max_tokens=3, stop=(), sampling=Sampling(temperature=1.0, seed=seed))
        events = list(generate(engine, tokenizer, [B], config, speculator=speculator))
        counts[tuple(event.id for event in events if isinstance(event, Token))] += 1
        report = events[-2]
        assert isinstance(report, Speculated)
        accepted, rejected = accepted + report.accepted, rejected + report.drafted - report.accepted
    assert accepted > replies / 4
    assert rejected > replies / 4
    p = table / table.sum(axis=1, keepdims=True)
    joint = p[B][:, None, None] * p[:, :, None] * p[None, :, :]  # of the three tokens
    assert chisquare(counts.ravel(), replies * joint.ravel()).pvalue > 1e-3
    pairs = counts.sum(axis=0)  # of the second, which is drafted, and the third
    assert chisquare(pairs.ravel(), replies * joint.sum(axis=0).ravel()).pvalue > 1e-3


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Llama]]:
    folder = tmp_path_factory.mktemp("models")
    with one_thread():
        yield [
            Llama(open_gguf(write_llama(folder / f"{seed}.gguf", weights=random_weights(SMALL, seed=seed))))
            for seed in range(4)
        ]


@pytest.fixture(scope="module")
def bytes_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("bytes") / "v.gguf"
    assert list(TOKENS[:256]) == sorted(pre_tokenizers.ByteLevel.alphabet())
    return Tokenizer.from_gguf(
        open_gguf(write_vocabulary(path, TOKENS, [1] * 256 + [3, 3], [], ids={"eos": 257}))
    )


class Guesser:
    """Drafts what a model, alike or another, holds likeliest: right often, and in the middle of a text."""

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        draft = [int(prefill(self._engine, tokens)[-1].argmax())]
        while len(draft) < limit:
            draft.append(int(step(self._engine, draft[-1]).argmax()))
        return draft


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(repetition_penalty=1.1),
        Sampling(temperature=0.4, seed=3),
        Sampling(temperature=1.0, top_p=0.5, min_p=0.1, repetition_penalty=1.2, seed=4),
    ],
)
def test_real_arithmetic_gives_the_same_reply(
    models: list[Llama], bytes_tokenizer: Tokenizer, sampling: Sampling
) -> None:
    rng, drafted, accepted, prompts = np.random.default_rng(5), 0, 0, quarter(3)
    config = GenerateConfig(max_tokens=40, stop=(), sampling=sampling)
    for i, model in enumerate(models):
        others = [TorchEngine(model, 256), TorchEngine(models[i - 1], 256)]
        drafters: list[Sequence[Drafter]] = [prompt_lookups(), *([Guesser(other)] for other in others)]
        speculators = [Speculator(of_one, still) for of_one in drafters]
        engine = TorchEngine(model, 128)
        for _ in range(prompts):
            prompt = [int(token) for token in rng.integers(0, 256, rng.integers(1, 20))]
            prompt += prompt[:4]
            plain = visible(generate(engine, bytes_tokenizer, prompt, config))
            held = list(engine.tokens)
            for speculator in speculators:
                events = list(generate(engine, bytes_tokenizer, prompt, config, speculator=speculator))
                assert visible(iter(events)) == plain
                assert list(engine.tokens) == held
                report = events[-2]
                assert isinstance(report, Speculated)
                drafted, accepted = drafted + report.drafted, accepted + report.accepted
    assert drafted > accepted > quarter(40)


class Paced:
    """Reads on a virtual clock: T(1) is 7 ms, T(M) by `ratio`."""

    context = 10**9

    def __init__(self, ratio: Callable[[int], float], noise: Callable[[], float] = lambda: 1.0) -> None:
        self._ratio, self._noise = ratio, noise
        self.now, self.slow = 0.0, 1.0
        self.tokens = list[int]()

    def now_ns(self) -> int:
        return int(self.now * 1e6)

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
        self.tokens += tokens
        self.now += 7 * self._ratio(len(tokens)) * self.slow * self._noise()
        rows = np.zeros((logits_for, END + 1), np.float32)
        # The text counts in fives: the last rows want the successors of the tokens read.
        rows[range(logits_for), [(token + 1) % 5 for token in self.tokens[-logits_for:]]] = 1
        return rows

    def truncate(self, length: int) -> None:
        del self.tokens[length:]


class Gambler:
    """Drafts the text of Paced; each token is right with probability `right`, and takes `ms` to draft."""

    def __init__(self, engine: Paced, right: float, ms: float = 0.0) -> None:
        self._engine, self.right, self._ms = engine, right, ms
        self._random = np.random.default_rng(6)

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        draft = list[int]()
        for _ in range(limit):
            self._engine.now += self._ms
            off = self._random.random() >= self.right
            draft.append(([*tokens, *draft][-1] + 1 + off) % 5)
        return draft


def spoken(
    tokenizer: Tokenizer, engine: Paced, speculator: Speculator, count: int
) -> tuple[float, Speculated]:
    """How many times as fast as plainly replies of 50 tokens come, but for their first; the last report."""
    start, report = engine.now, None
    for _ in range(count // 50):
        config = GenerateConfig(max_tokens=50, stop=())
        engine.tokens = [A]
        for event in generate(engine, tokenizer, [A], config, speculator=speculator):
            if isinstance(event, Prefilled):
                engine.now -= 7 * engine.slow  # the prompt is not counted, nor the token that it gives
            if isinstance(event, Speculated):
                report = event
    assert report is not None
    return (count // 50) * 49 * 7 * engine.slow / (engine.now - start), report


def linear(slope: float) -> Callable[[int], float]:
    return lambda rows: 1 + slope * (rows - 1)


COSTS = {
    "a CPU": linear(0.27),
    "a GPU": linear(0.01),
    "kernels for one row and for many": lambda rows: 1.0 if rows == 1 else 1.9 + 0.05 * rows,
    "rows in fours": lambda rows: 1.0 + 0.8 * ((rows - 1) // 4) + 0.05 * (rows - 1),
    "no gain": linear(1.0),
}


@pytest.mark.parametrize("right", [0.0, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("cost", COSTS)
def test_the_length_is_near_the_best_and_never_loses(tokenizer: Tokenizer, cost: str, right: float) -> None:
    ratio = COSTS[cost]
    engine = Paced(ratio)
    speculator = Speculator([Gambler(engine, right)], engine.now_ns, longest=8)
    spoken(tokenizer, engine, speculator, 300)
    speed, report = spoken(tokenizer, engine, speculator, 2000)

    def by_hand(k: int) -> float:
        return sum(right**i for i in range(k + 1)) / ratio(1 + k)

    best = max(by_hand(k) for k in range(9))
    assert speed > max(0.97, 0.85 * best)  # less than the best: replies end, and a pass in 32 is plain
    if best > 1.2:
        assert report.enabled
        assert by_hand(report.length) > 0.85 * best
    if max(by_hand(k) for k in range(1, 9)) < 0.9:
        assert not report.enabled
        assert report.length == 0
        assert report.drafted <= 4  # of 50: it is probed now and then


def test_it_never_loses_from_the_first_reply_on(tokenizer: Tokenizer) -> None:
    for right in (0.0, 0.1, 0.3):
        engine = Paced(linear(0.27))
        speculator = Speculator([Gambler(engine, right)], engine.now_ns)
        speed, _ = spoken(tokenizer, engine, speculator, 500)
        assert speed > 0.97


def test_it_is_switched_on_again_when_the_text_repeats_itself(tokenizer: Tokenizer) -> None:
    engine = Paced(linear(0.27))
    gambler = Gambler(engine, 0.05)
    speculator = Speculator([gambler], engine.now_ns)
    _, report = spoken(tokenizer, engine, speculator, 1000)
    assert not report.enabled
    gambler.right = 0.95
    speed, report = spoken(tokenizer, engine, speculator, 250)
    assert report.enabled
    assert speed > 1.3


def test_one_that_begins_like_another_knows_what_that_has_measured(tokenizer: Tokenizer) -> None:
    """Drafts that did not pay are not tried again by the next session, and what both learn is not shared."""
    engine = Paced(linear(0.27))
    first = Speculator([Gambler(engine, 0.05)], engine.now_ns)
    assert not spoken(tokenizer, engine, first, 1000)[1].enabled
    _, fresh = spoken(tokenizer, engine, Speculator([Gambler(engine, 0.05)], engine.now_ns), 50)
    next_one = Speculator([Gambler(engine, 0.05)], engine.now_ns, like=first)
    _, report = spoken(tokenizer, engine, next_one, 50)
    assert report.drafted < fresh.drafted / 2
    lucky = Speculator([Gambler(engine, 0.95)], engine.now_ns, like=first)
    assert spoken(tokenizer, engine, lucky, 500)[1].enabled
    assert first.length == 0


def test_noise_and_a_busy_machine_do_not_switch_it_off(tokenizer: Tokenizer) -> None:
    rng = np.random.default_rng(7)

    def noise() -> float:
        return float(rng.lognormal(0, 0.1) * (20 if rng.random() < 0.05 else 1))

    engine = Paced(linear(0.27), noise)
    speculator = Speculator([Gambler(engine, 0.9)], engine.now_ns)
    for slow in (1.0, 2.5, 1.0, 3.0):
        engine.slow = slow
        for _ in range(10):
            _, report = spoken(tokenizer, engine, speculator, 50)
            assert report.enabled
        assert report.tokens / report.passes > 2


def test_a_drafter_that_is_too_slow_is_switched_off(tokenizer: Tokenizer) -> None:
    for ms, enabled in ((0.5, True), (6.0, False)):
        engine = Paced(linear(0.27))
        speculator = Speculator([Gambler(engine, 0.9, ms)], engine.now_ns)
        spoken(tokenizer, engine, speculator, 300)
        speed, report = spoken(tokenizer, engine, speculator, 2000)
        assert report.enabled == enabled
        assert speed > (1.3 if enabled else 0.97)


def test_the_better_of_two_drafters_is_used(tokenizer: Tokenizer) -> None:
    engine = Paced(linear(0.27))
    drafters = [Gambler(engine, 0.2), Gambler(engine, 0.9)]
    speculator = Speculator(drafters, engine.now_ns)
    spoken(tokenizer, engine, speculator, 300)
    _, report = spoken(tokenizer, engine, speculator, 500)
    assert report.accepted > 0.7 * report.drafted


@pytest.mark.models
def test_the_real_model_reads_a_list_back_in_fewer_passes(model_path: Callable[[str], Path]) -> None:
    gguf = open_gguf(path := model_path("smollm2-135m-instruct-q4_1"))
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    engine = TorchEngine(real_model(path), 512)
    speculator = Speculator(prompt_lookups(), still)
    config = GenerateConfig(max_tokens=32)
    asked = "Repeat this sentence word for word: The train to Edinburgh leaves from platform nine at noon."
    prompt = template.ids([Message("user", asked)])
    plain = visible(generate(engine, tokenizer, prompt, config))
    events = list(generate(engine, tokenizer, prompt, config, speculator=speculator))
    assert visible(iter(events)) == plain
    report = events[-2]
    assert isinstance(report, Speculated)
    assert report.accepted > 0

"""Replies with and without speculation: whether they are the same, and how fast they are written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llm.bench.entry import Entry, Goal
from llm.bench.rounds import Timing
from llm.decode.drafts import prompt_lookups
from llm.decode.engine import Engine, prefill
from llm.decode.generate import GenerateConfig, Prefilled, Token, generate
from llm.decode.speculate import Speculated, Speculator
from llm.text.tokenizer import Tokenizer

Kind = Literal["chat", "repeat"]
_NAMES: dict[Kind, tuple[str, Goal]] = {
    "repeat": ("speculation, text that repeats", Goal("ratio", ">=", 1.3)),
    "chat": ("speculation, free chat", Goal("ratio", ">=", 0.97)),
}
_WITHOUT = "without speculation"
_COPIED = 3  # tokens in a row that the prompt has, too


@dataclass(frozen=True)
class Question:
    """What is asked, as text and as the whole prompt, and what kind of reply it is to have."""

    kind: Kind
    text: str
    prompt: list[int]


@dataclass(frozen=True)
class Reply:
    """The tokens of a reply, how long they took from the prompt's logits on, and what was drafted."""

    ids: tuple[int, ...]
    seconds: float
    report: Speculated | None


@dataclass(frozen=True)
class Pair:
    """The replies to one question in one round."""

    question: Question
    plain: Reply
    speculative: Reply

    @property
    def identical(self) -> bool:
        """Whether both replies have the same tokens."""
        return self.plain.ids == self.speculative.ids


def replies(
    engine: Engine,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    config: GenerateConfig,
    timing: Timing,
) -> list[list[Pair]]:
    """Each question answered in each round, both ways by turns; one speculator lives through all of it.

    Nothing else runs in between: the engine is the same for both, so there is nothing to wait for.
    """
    speculator = Speculator(prompt_lookups(), timing.now_ns)

    def pair(question: Question, plain_first: bool) -> Pair:
        prefill(engine, question.prompt)  # so that both ways read the prompt's last token by itself, again
        ways = (None, speculator) if plain_first else (speculator, None)
        both = {way: _reply(engine, tokenizer, question.prompt, config, timing, way) for way in ways}
        return Pair(question, both[None], both[speculator])

    pair(questions[0], plain_first=True)  # to warm up
    return [
        [pair(question, (i + turn) % 2 == 0) for i, question in enumerate(questions)]
        for turn in range(timing.rounds)
    ]


def entries(rounds: Sequence[Sequence[Pair]]) -> list[Entry]:
    """How many questions had the same replies in every round, and tokens a second for each kind."""
    same = sum(all(pair.identical for pair in pairs) for pairs in zip(*rounds, strict=True))
    total = len(rounds[0])
    return [
        Entry(
            "greedy replies identical with speculation",
            f"of {total}",
            (float(same),),
            (float(total),),
            (Goal("ours", ">=", total),),
            _WITHOUT,
        ),
        *(_speed_up(rounds, kind) for kind in _NAMES),
    ]


def copied(prompt: Sequence[int], reply: Sequence[int]) -> float:
    """The share of the reply's tokens that stand in three or more in a row that the prompt has, too."""
    n = _COPIED
    known = {tuple(prompt[i : i + n]) for i in range(len(prompt) - n + 1)}
    starts = (i for i in range(len(reply) - n + 1) if tuple(reply[i : i + n]) in known)
    covered = {i + j for i in starts for j in range(n)}
    return len(covered) / len(reply) if reply else 0.0


def _reply(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: list[int],
    config: GenerateConfig,
    timing: Timing,
    speculator: Speculator | None,
) -> Reply:
    start_ns = timing.now_ns()
    ids: list[int] = []
    report: Speculated | None = None
    for event in generate(engine, tokenizer, prompt, config, speculator=speculator):
        match event:
            case Prefilled():
                start_ns = timing.now_ns()
            case Token(id=token):
                ids.append(token)
            case Speculated():
                report = event
    return Reply(tuple(ids), (timing.now_ns() - start_ns) / 1e9, report)


def _speed_up(rounds: Sequence[Sequence[Pair]], kind: Kind) -> Entry:
    name, goal = _NAMES[kind]
    of_kind = [[pair for pair in pairs if pair.question.kind == kind] for pairs in rounds]
    drafting = _drafting([pair for pairs in of_kind for pair in pairs])
    shares = [copied(pair.question.prompt, pair.plain.ids) for pair in of_kind[-1]]
    note = (
        f"accepted {drafting['accepted']} of {drafting['drafted']} drafted, "
        f"{drafting['tokens_per_pass']:.2f} tokens a pass; "
        f"{sum(share >= 0.5 for share in shares)} of {len(shares)} replies copy half of themselves"
    )
    ours = tuple(_rate(pair.speculative for pair in pairs) for pairs in of_kind)
    theirs = tuple(_rate(pair.plain for pair in pairs) for pairs in of_kind)
    return Entry(name, "tok/s", ours, theirs, (goal,), _WITHOUT, note)


def _rate(replies: Iterable[Reply]) -> float:
    replies = list(replies)
    return sum(len(reply.ids) for reply in replies) / max(sum(reply.seconds for reply in replies), 1e-9)


def _drafting(pairs: Sequence[Pair]) -> dict[str, Any]:
    reports = [pair.speculative.report for pair in pairs if pair.speculative.report]
    passes = sum(report.passes for report in reports)
    return {
        "drafted": sum(report.drafted for report in reports),
        "accepted": sum(report.accepted for report in reports),
        "tokens_per_pass": sum(report.tokens for report in reports) / passes if passes else 1.0,
    }

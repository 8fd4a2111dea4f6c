"""The data: learnt and reported stay apart, and every wanted reply satisfies its own judge."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files

import pytest

from llm.eval.follow_ups import CLOSING, FACTS
from llm.train.cases import MOST, PARTS, Part, examples, parted, replay_beginnings, replay_prompts
from llm.train.grammar import Example
from llm.train.judge import judge, split_calls
from llm.train.sections import read_facts, read_sections, read_words

Parts = Mapping[Part, Sequence[Example]]


@pytest.fixture(scope="module")
def parts() -> Parts:
    return examples()


def plain(text: str) -> str:
    """Without case, punctuation and contractions."""
    text = text.lower().replace("what's", "what is").replace("i'm", "i am")
    return " ".join(re.sub(r"[^\w\s']", " ", text).split())


def test_every_wanted_reply_is_right_in_the_eyes_of_its_judge(parts: Parts) -> None:
    found = [example for part in PARTS for example in parts[part]]
    wrong = [(e.group, e.prompt, e.reply) for e in found if not judge(e, e.reply).right]
    assert len(found) > 10_000
    assert wrong == []


def test_commands_are_calls_and_nothing_else_is(parts: Parts) -> None:
    for part in PARTS:
        for example in parts[part]:
            text, calls = split_calls(example.reply)
            if example.kind == "command":
                assert calls, example
            if example.kind in ("cannot", "unknown", "fact", "talk"):
                assert not calls, example
            assert not (text and calls), example


def test_nothing_is_left_unfilled(parts: Parts) -> None:
    for part in PARTS:
        for example in parts[part]:
            shown = [message.content for message in example.messages]
            assert not re.search(r"[\[\](){}|]|=>|\s\s", " / ".join(shown)), example
            assert "{" not in example.pattern, example
            if "<tool_call>" not in example.reply:
                assert not re.search(r"[\[\](){}|*#\n]", example.reply), example
                assert len(example.reply.split()) <= 30, example


def test_no_conversation_is_in_two_parts_or_twice_in_one(parts: Parts) -> None:
    said = Counter(
        tuple(message.content.lower().rstrip(".?!") for message in example.messages)
        for part in PARTS
        for example in parts[part]
    )
    assert [key for key, count in said.items() if count > 1] == []


def test_every_kind_and_every_function_is_in_every_part(parts: Parts) -> None:
    kinds = set(MOST)
    names = {name for section in read_sections() for name, _ in section.calls}
    for part in PARTS:
        assert {example.kind for example in parts[part]} == kinds
        called = {call.split(" ")[0] for e in parts[part] for call in split_calls(e.reply)[1]}
        assert called == names, part


def test_words_of_open_lists_stay_in_their_part(parts: Parts) -> None:
    reported = parted(read_words()["item"].words)["report"]
    fitted = parted(read_words()["item"].words)["fit"]
    assert len(reported) > 5
    assert not set(reported) & set(fitted)
    learnt = " / ".join(e.reply for e in parts["fit"] if "HassShoppingListAddItem" in e.reply)
    assert [word for word in reported if f'"{word}"' in learnt] == []
    assert [word for word in reported if any(f'"{word}"' in e.reply for e in parts["report"])] != []


def test_facts_that_count_as_unseen_are_not_learnt(parts: Parts) -> None:
    """By their answers: what tells an unseen capital is in no reply to a question about capitals."""
    capitals = {
        e.reply for e in parts["fit"] if e.group == "fact/fit" and e.reply.startswith("The capital of")
    }
    unseen = {
        e.reply for e in parts["report"] if e.group == "fact/unseen" and e.reply.startswith("The capital of")
    }
    assert len(capitals) > 30
    assert unseen
    assert not capitals & unseen


def test_single_facts_are_learnt_or_reported(parts: Parts) -> None:
    questions = {plain(q): i for i, section in enumerate(read_facts()) for q in section.prompts}
    asked = {
        part: {
            questions[plain(e.prompt)]: e.group
            for e in parts[part]
            if e.kind == "fact" and plain(e.prompt) in questions
        }
        for part in PARTS
    }
    unseen = {i for i, group in asked["report"].items() if group == "fact/unseen"}
    seen = {i for i, group in asked["report"].items() if group == "fact/seen"}
    assert min(len(unseen), len(seen)) > 20
    assert not unseen & asked["fit"].keys()
    assert seen <= asked["fit"].keys()


def test_some_examples_come_later_in_a_conversation(parts: Parts) -> None:
    """Before them stands what was asked and answered in the same part."""
    for part in PARTS:
        alone = [example for example in parts[part] if example.kind != "follow_up"]
        later = [example for example in alone if len(example.messages) > 1]
        assert 0.2 < len(later) / len(alone) < 0.3
        replies = {example.reply for example in alone}
        for example in later:
            roles = [message.role for message in example.messages]
            assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
            assert all(message.content in replies for message in example.messages[1::2])


def test_the_same_seed_gives_the_same_examples(parts: Parts) -> None:
    again = examples()
    assert all(again[part] == list(parts[part]) for part in PARTS)
    assert examples(1)["fit"] != again["fit"]


def test_what_models_are_measured_with_is_not_learnt(parts: Parts) -> None:
    names = ("prompts", "free_chat", "repeating")
    texts = [(files("llm") / "data" / f"{name}.txt").read_text().splitlines() for name in names]
    closing = {plain(text) for text in CLOSING}
    measured = {plain(line) for lines in texts for line in lines}
    measured |= {plain(question) for fact in FACTS for question in fact[:2]}
    learnt = [*parts["fit"], *replay_prompts(1600)]
    said = {plain(message.content) for e in learnt for message in e.messages if message.role == "user"}
    said |= set(map(plain, replay_beginnings(800)))
    assert said & (measured - closing) == set()


def test_replay_is_half_under_each_system_prompt() -> None:
    prompts = replay_prompts(200)
    assert len({example.prompt for example in prompts}) == 200
    assert sum(example.system for example in prompts) == 100


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, (1, 1, 1)), (2, (2, 2, 2)), (3, (2, 2, 1)), (5, (3, 1, 1)), (24, (17, 3, 4))]
)
def test_parts_of_a_list(count: int, sizes: tuple[int, int, int]) -> None:
    values = [f"value {i}" for i in range(count)]
    found = parted(values)
    assert tuple(len(found[part]) for part in ("fit", "choose", "report")) == sizes
    if count >= 5:
        assert sorted(found["fit"] + found["choose"] + found["report"]) == sorted(values)
    assert parted(values[::-1]) == found

"""Templates to what is said and what it means, on sections written for it."""

import random

import pytest

from llm.train.grammar import Draw, Example, call_text
from llm.train.sections import Section, Words

WORDS = {"item": Words("item", True, ("figs", "jam")), "person": Words("-", True, ("Anna",))}


def drawn(section: Section, prompt: str, seed: int = 0, row: dict[str, str] | None = None) -> Example:
    return Draw(random.Random(seed), WORDS, row or {}).example(section, prompt)


def said(prompt: str) -> set[str]:
    """All that a template can say, in the style of a recognizer."""
    section = Section("talk", "any", replies=["Yes."])
    found = {drawn(section, prompt, seed).prompt for seed in range(400)}
    return {text for text in found if text[:1].isupper() and text[-1] in ".?!"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("(get|fetch) it", {"Get it.", "Fetch it."}),
        ("stop [it] [now]", {"Stop.", "Stop it.", "Stop now.", "Stop it now."}),
        ("[oh|ah] i see", {"Oh I see.", "Ah I see.", "I see."}),
        ("(oh, |)what's this?", {"Oh, what's this?", "What's this?"}),
        ("is i'm fine", {"Is I'm fine."}),
        ("call {person} , please", {"Call Anna, please."}),
        ("a owl and a dog", {"An owl and a dog."}),
    ],
)
def test_templates(template: str, expected: set[str]) -> None:
    assert said(template) == expected


def test_some_prompts_have_no_capitals_or_no_full_stop() -> None:
    section = Section("talk", "any", replies=["Yes."])
    found = {drawn(section, "i like Rome", seed).prompt for seed in range(100)}
    assert found == {"I like Rome.", "I like Rome", "i like rome"}


def test_words_fill_the_slots_of_the_call() -> None:
    section = Section("command", "X", calls=[("Add", "")])
    example = drawn(section, "we need {item} for {person}")
    (word,) = [word for word in ("figs", "jam") if word in example.prompt.lower()]
    assert example.reply == call_text([("Add", {"item": word})])


def test_a_template_can_mean_more_than_its_words() -> None:
    section = Section("command", "X", calls=[("Volume", "")])
    example = drawn(section, 'louder => {"volume_step": 10}')
    assert example.prompt.lower().rstrip(".") == "louder"
    assert example.reply == '<tool_call>{"name": "Volume", "arguments": {"volume_step": 10}}</tool_call>'


def test_two_words_of_one_list_differ_and_make_two_calls() -> None:
    section = Section("command", "X", calls=[("Add", '{"item": "{item}"}'), ("Add", '{"item": "{item_2}"}')])
    for seed in range(20):
        example = drawn(section, "{item} and {item_2}", seed)
        order = ("figs", "jam") if example.prompt.lower().startswith("figs") else ("jam", "figs")
        assert example.reply == call_text([("Add", {"item": word}) for word in order])


def test_what_was_said_before_fills_no_slots() -> None:
    section = Section("follow_up", "X", history=[("u", "Add {item}."), ("a", "Done.")], calls=[("Read", "")])
    example = drawn(section, "read it")
    assert [message.role for message in example.messages] == ["user", "assistant", "user"]
    assert example.reply == '<tool_call>{"name": "Read", "arguments": {}}</tool_call>'


def test_a_row_fills_prompt_reply_and_pattern() -> None:
    section = Section("fact", "X", replies=["{animal} says {sound}."], pattern=r"\b({sound})\b")
    example = drawn(section, "how does {animal} sound?", row={"animal": "a frog", "sound": "ribbit|croak"})
    assert example.prompt.lower().rstrip("?") == "how does a frog sound"
    assert (example.reply, example.pattern) == ("A frog says ribbit.", r"\b(ribbit|croak)\b")

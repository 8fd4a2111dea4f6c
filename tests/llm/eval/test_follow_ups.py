"""What counts as a repeated reply and as one that was cut, and the shares of a scripted model."""

from collections.abc import Sequence

import pytest

from llm.eval.follow_ups import Answer, is_cut, measure, repeats, retells
from llm.text.chat import Message

SAID = "Rome is the capital of Italy, and a very old city."


@pytest.mark.parametrize(
    ("reply", "repeated"),
    [
        (SAID, True),
        ("Well, Rome is the capital of Italy and a city.", True),  # eight words in a row
        ("Rome is the capital of Italy and of nothing else.", False),  # seven
        ("You are welcome.", False),
        ("", False),
    ],
)
def test_a_reply_repeats_the_last_one(reply: str, repeated: bool) -> None:
    assert repeats(SAID, reply) is repeated
    assert repeats(reply, reply)


@pytest.mark.parametrize(
    ("reply", "retold"),
    [
        (SAID, True),  # capital, Italy, very, city, Rome
        ("Italy has an old capital: that city is Rome.", True),  # 4 of 5, "that" is new
        ("Rome became capital later, says someone.", False),  # 2 of 6
        ("Rome, Italy!", False),  # too few to tell
        ("", False),
    ],
)
def test_a_reply_retells_the_last_one(reply: str, retold: bool) -> None:
    assert retells(SAID, reply) is retold


@pytest.mark.parametrize(
    ("text", "reason", "cut"),
    [
        ("as well as the City, which", "length", True),
        ("Three ideas:", "stop", True),
        ("It is so.", "length", False),
        ('He said "Go!"', "stop", False),
        ("A model's own end", "end", False),
    ],
)
def test_a_reply_is_cut_where_no_sentence_ends(text: str, reason: str, cut: bool) -> None:
    assert is_cut(Answer(text, reason, 1, -1.0)) is cut


def test_the_shares_of_a_model_that_repeats_itself_to_thanks_only() -> None:
    def ask(history: Sequence[Message], words: str) -> Answer:
        if words == "Thanks.":
            return Answer(history[-1].content, "end", 10, -5.0)
        text = {"Okay.": "All right.", "Stop.": "I stop", "Goodbye.": "Bye.", "b": "Paris."}.get(words, SAID)
        return Answer(text, "length" if words == "Stop." else "end", 10, -10.0)

    found = measure(ask, [], ["Rome?"], [("a", "b", "paris|rome"), ("a", "c", "berlin")])
    # Follow-ups: thanks, okay, stop, goodbye; then okay and stop after thanks.
    assert found.replies == 6
    assert found.repeated == found.retold == pytest.approx(1 / 6)
    assert found.cut == pytest.approx(2 / 7)
    assert found.mean_words == pytest.approx((11 + 11 + 2 + 2 + 1 + 2 + 2) / 7)
    assert found.most_words == 11
    assert found.nll == pytest.approx(55 / 60)
    assert (found.facts, found.of_facts) == (1, 2)

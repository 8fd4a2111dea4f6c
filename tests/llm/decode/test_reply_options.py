import pytest

from llm.decode.options import ReplyOptions
from llm.text.message import Tool

A, B = Tool("a"), Tool("b")


@pytest.mark.parametrize(
    ("choice", "shown"), [("auto", (A, B)), ("required", (A, B)), ("none", ()), ("b", (B,))]
)
def test_the_choice_says_which_tools_are_shown(choice: str, shown: tuple[Tool, ...]) -> None:
    assert ReplyOptions(tools=(A, B), tool_choice=choice).shown == shown


def test_nothing_is_asked_for_by_default() -> None:
    assert (ReplyOptions().max_tokens, ReplyOptions().shown) == (None, ())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(limit: int) -> None:
    with pytest.raises(ValueError, match="max_tokens must be positive"):
        ReplyOptions(max_tokens=limit)


def test_only_a_declared_function_can_be_chosen() -> None:
    with pytest.raises(ValueError, match="no function that was declared"):
        ReplyOptions(tools=(A,), tool_choice="b")

"""The scripted model, as the assistant's own client of chat completions sees it, and by its rules."""

from contextlib import aclosing

import pytest

from llm.decode.generate import Finished, GenerateConfig, Token
from llm.remote import RemoteConfig
from llm.remote.client import RemoteModel
from llm.text.conversation import Message
from tests.conformance.scripted_llm import NUMBERS, Call, answer, chunks, scripted_model

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
SYSTEM = {"role": "system", "content": "Be brief."}


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("messages", "tools", "expected"),
    [
        ([SYSTEM, _user("Hello there.")], [], "You said: Hello there."),
        ([SYSTEM, _user("How is the weather?")], [], "You said: How is the weather?"),
        ([SYSTEM, _user("How is the weather?")], [TOOL], Call("get_weather", '{"city": "Paris"}')),
        ([_user("How is the weather?"), {"role": "tool", "content": "18"}], [TOOL], "The tool says: 18."),
        ([SYSTEM, _user("I am Ada."), _user("What did I say first?")], [], "First you said: I am Ada."),
        ([_user("A."), {"role": "system", "content": "B."}], [], "You said: B."),
        ([{"role": "user", "content": [{"type": "text", "text": "Hi."}]}], [], "You said: Hi."),
    ],
)
def test_rules(messages: list[dict[str, str]], tools: list[dict[str, object]], expected: str | Call):
    assert answer(messages, tools) == expected


def test_a_count_names_every_number():
    reply = answer([_user("Please count.")])

    assert isinstance(reply, str)
    assert all(f"number {number}." in reply for number in NUMBERS)


def test_a_call_is_whole_when_its_parts_are_joined():
    parts = [chunk["choices"][0] for chunk in chunks(Call("get_weather", '{"city": "Paris"}'))]
    functions = [call["function"] for part in parts for call in part["delta"].get("tool_calls", [])]

    assert functions[0]["name"] == "get_weather"
    assert "".join(function["arguments"] for function in functions) == '{"city": "Paris"}'
    assert parts[-1]["finish_reason"] == "tool_calls"


async def test_our_remote_engine_reads_it():
    with scripted_model() as model:
        engine = RemoteModel(RemoteConfig(url=model.url, model="scripted"), GenerateConfig())
        async with aclosing(
            engine.reply(engine.prompt([Message("system", "Be brief.")], "Hello there."))
        ) as reply:
            got = [step async for step in reply]
        await engine.close()

    words = [step.text for step in got if isinstance(step, Token)]
    assert "".join(words).strip() == "You said: Hello there."
    assert isinstance(got[-1], Finished)
    assert model.requests[0]["messages"][-1]["content"] == "Hello there."

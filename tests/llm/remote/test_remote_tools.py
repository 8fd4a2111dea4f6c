"""Tools at a server: what is sent of them, and calls as they stream in."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from remote_server import DONE, ROLE, RemoteServer, Step, chunk

from llm.decode.generate import Called, Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.options import ReplyOptions
from llm.remote.client import RemoteConfig, RemoteError, RemoteModel
from llm.text.chat import Call, Message, Tool

SYSTEM = Message("system", "Be brief.")
WEATHER = Tool(
    "get_weather", "The weather.", '{"type": "object", "properties": {"city": {"type": "string"}}}'
)
STOP = Tool("stop")
TOOLS = ReplyOptions(tools=(WEATHER, STOP))


@pytest.fixture(scope="module")
def server() -> Iterator[RemoteServer]:
    server = RemoteServer.start()
    yield server
    server.close()


@pytest.fixture
def remote(server: RemoteServer) -> RemoteModel:
    url = f"http://127.0.0.1:{server.port}/v1"
    waits = {"connect_s": 20.0, "first_token_s": 20.0, "between_tokens_s": 20.0}
    return RemoteModel(RemoteConfig(url, "tiny", **waits), GenerateConfig(max_tokens=50), {})  # type: ignore[arg-type]


async def say(
    remote: RemoteModel, options: ReplyOptions = TOOLS, history: Sequence[Message] = (SYSTEM,)
) -> list[Generated]:
    transcript = None if history[-1].role == "tool" else "The weather in Rome"
    return [item async for item in remote.reply(remote.prompt(history, transcript, options))]


def piece(
    index: int | None = 0, arguments: str | None = None, name: str | None = None, **rest: object
) -> str:
    """A chunk with a piece of a call."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    numbered = {} if index is None else {"index": index}
    return chunk(None, tool_calls=[{**numbered, "type": "function", "function": function, **rest}])


def texts(items: Sequence[Generated]) -> str:
    return "".join(item.text for item in items if isinstance(item, Token | Finished))


def calls(items: Sequence[Generated]) -> list[Called]:
    return [item for item in items if isinstance(item, Called)]


# What is sent


async def body(
    server: RemoteServer,
    remote: RemoteModel,
    options: ReplyOptions = TOOLS,
    history: Sequence[Message] = (SYSTEM,),
) -> dict[str, Any]:
    server.play(Step([chunk("Yes."), chunk(None, "stop"), DONE]))
    await say(remote, options, history)
    (request,) = server.requests()
    return dict(request["body"])


async def test_tools_are_sent_as_the_api_has_them(server: RemoteServer, remote: RemoteModel) -> None:
    sent = await body(server, remote)
    assert remote.takes_tools
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        },
        {
            "type": "function",
            "function": {
                "name": "stop",
                "description": "",
                "parameters": {"type": "object", "properties": {}},
            },
        },
    ]
    assert "tool_choice" not in sent


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        ("stop", {"type": "function", "function": {"name": "stop"}}),
        ("none", "none"),
    ],
)
async def test_the_choice_is_sent_beside_all_tools(
    server: RemoteServer, remote: RemoteModel, choice: str, expected: object
) -> None:
    sent = await body(server, remote, ReplyOptions(tools=TOOLS.tools, tool_choice=choice))
    assert sent["tool_choice"] == expected
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_weather", "stop"]


async def test_the_limit_of_one_reply_is_sent_and_enforced(server: RemoteServer, remote: RemoteModel) -> None:
    assert (await body(server, remote, ReplyOptions(7)))["max_tokens"] == 7
    assert (await body(server, remote, ReplyOptions()))["max_tokens"] == 50
    server.play(Step([chunk("la ")], "forever"))
    items = await say(remote, ReplyOptions(3))
    assert texts(items) == "la la la"
    assert items[-1] == Finished("length", "")
    server.until("gone")


async def test_calls_and_outputs_are_sent_in_pairs(server: RemoteServer, remote: RemoteModel) -> None:
    history = [
        SYSTEM,
        Message("user", "The weather?"),
        Message("assistant", "Let me see."),
        Message("assistant", "", (Call("call_1", "get_weather", '{"city": "Rome"}'),)),
        Message("assistant", "", (Call("call_2", "stop", "{}"), Call("call_3", "stop", "{}"))),
        Message("tool", "off", call_id="call_2"),
        Message("tool", "21 degrees", call_id="call_1"),
    ]
    sent = await body(server, remote, TOOLS, history)

    def call(call_id: str, name: str, arguments: str) -> dict[str, object]:
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}

    assert sent["messages"][2:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [call("call_1", "get_weather", '{"city": "Rome"}'), call("call_2", "stop", "{}")],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
        {"role": "tool", "tool_call_id": "call_2", "content": "off"},
    ]
    sent = await body(server, remote, TOOLS, [*history[:2], history[3], history[-1]])
    assert sent["messages"][2]["content"] is None


# What comes


async def test_a_call_is_put_together(server: RemoteServer, remote: RemoteModel) -> None:
    pieces = [piece(0, "", "get_weather", id="call_abc"), piece(0, '{"ci'), piece(0, 'ty": "Rome"}')]
    server.play(Step([ROLE, *pieces, chunk(None, "tool_calls"), DONE]))
    started, prefilled, *items = await say(remote)
    assert started == Started()
    assert isinstance(prefilled, Prefilled)
    call = Called("call_abc", "get_weather", '{"city": "Rome"}')
    assert items == [call, Finished("tool_calls", "")]


ROME, OSLO = '{"city": "Rome"}', '{"city": "Oslo"}'
SEVERAL = {
    "by index": [
        piece(0, "", "get_weather", id="a"), piece(0, ROME),
        piece(1, "", "get_weather", id="b"), piece(1, OSLO),
    ],
    "mixed": [
        piece(0, '{"city": ', "get_weather", id="a"), piece(1, '{"city": ', "get_weather", id="b"),
        piece(0, '"Rome"}'), piece(1, '"Oslo"}'),
    ],
    "whole": [piece(0, ROME, "get_weather", id="a"), piece(1, OSLO, "get_weather", id="b")],
    "all at once": [
        chunk(None, tool_calls=[
            {"id": "a", "function": {"name": "get_weather", "arguments": ROME}},
            {"id": "b", "function": {"name": "get_weather", "arguments": OSLO}},
        ])
    ],
    "one index": [piece(0, ROME, "get_weather", id="a"), piece(0, OSLO, "get_weather", id="b")],
    "name again": [
        piece(0, '{"city": ', "get_weather", id="a"), piece(0, '"Rome"}', "get_weather", id="a"),
        piece(1, OSLO, "get_weather", id="b"),
    ],
    "as objects": [
        chunk(None, tool_calls=[
            {"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": {"city": "Rome"}}},
            {"index": 1, "id": "b", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}},
        ])
    ],
}  # fmt: skip


@pytest.mark.parametrize("pieces", SEVERAL.values(), ids=SEVERAL)
async def test_several_calls(server: RemoteServer, remote: RemoteModel, pieces: list[str]) -> None:
    server.play(Step([*pieces, chunk(None, "tool_calls"), DONE]))
    items = await say(remote)
    assert calls(items) == [Called("a", "get_weather", ROME), Called("b", "get_weather", OSLO)]
    assert items[-1] == Finished("tool_calls", "")


@pytest.mark.parametrize("call_id", [None, "", "chatcmpl-tool-" + "0" * 32, "caf\u00e9", "a\nb"])
async def test_an_id_that_cannot_be_used_is_replaced(
    server: RemoteServer, remote: RemoteModel, call_id: str | None
) -> None:
    server.play(Step([piece(0, "{}", "stop", id=call_id), chunk(None, "stop"), DONE]))
    items = await say(remote)
    (call,) = calls(items)
    assert call.call_id.startswith("call_")
    assert len(call.call_id) <= 32
    assert items[-1] == Finished("tool_calls", "")  # whatever the server calls it


async def test_a_call_without_arguments_has_none(server: RemoteServer, remote: RemoteModel) -> None:
    server.play(Step([piece(0, None, "stop", id="a"), chunk(None, "tool_calls"), DONE]))
    assert calls(await say(remote)) == [Called("a", "stop", "{}")]


async def test_text_may_come_before_a_call(server: RemoteServer, remote: RemoteModel) -> None:
    call = piece(0, "{}", "stop", id="a")
    server.play(Step([chunk("Let me"), chunk(" see.\n"), chunk("\n"), call, chunk(None, "tool_calls"), DONE]))
    items = await say(remote)
    assert texts(items).rstrip() == "Let me see."
    assert calls(items) == [Called("a", "stop", "{}")]


async def test_a_second_paragraph_ends_the_reply(server: RemoteServer, remote: RemoteModel) -> None:
    server.play(Step([chunk("Yes.\n"), chunk("\nAnd"), chunk(" more")], "hang"))
    items = await say(remote)
    assert texts(items) == "Yes."
    assert items[-1] == Finished("stop", "")
    server.until("gone")


async def test_calls_that_a_server_leaves_in_the_text_are_found(
    server: RemoteServer, remote: RemoteModel
) -> None:
    written = ["<tool_", 'call>\n{"name": "stop", ', '"arguments": {}}\n</tool', "_call>"]
    server.play(Step([*map(chunk, written), chunk(None, "stop"), DONE]))
    items = await say(remote)
    (call,) = calls(items)
    assert (call.name, call.arguments, texts(items)) == ("stop", "{}", "")
    assert items[-1] == Finished("tool_calls", "")


async def test_functions_that_were_not_declared_are_not_called(
    server: RemoteServer, remote: RemoteModel
) -> None:
    for options in (TOOLS, ReplyOptions()):
        server.play(Step([piece(0, "{}", "rm", id="a"), chunk(None, "tool_calls"), DONE]))
        items = await say(remote, options)
        assert calls(items) == []
        assert items[-1] == Finished("end", "")


async def test_a_call_that_is_cut_off_is_left_out(server: RemoteServer, remote: RemoteModel) -> None:
    pieces = [piece(0, "{}", "stop", id="a"), piece(1, '{"ci', "get_weather", id="b")]
    server.play(Step([*pieces, chunk(None, "length"), DONE]))
    items = await say(remote)
    assert calls(items) == [Called("a", "stop", "{}")]
    assert items[-1] == Finished("length", "")


async def test_arguments_without_end_are_bounded(server: RemoteServer, remote: RemoteModel) -> None:
    server.play(Step([piece(0, '{"city": "', "get_weather", id="a"), piece(0, "x" * 300)], "forever"))
    items = await say(remote)
    assert calls(items) == []
    assert items[-1] == Finished("length", "")
    server.until("gone")


@pytest.mark.parametrize(
    "broken",
    [
        chunk(None, tool_calls={"index": 0}),
        chunk(None, tool_calls=["stop"]),
        piece("0", "{}", "stop"),  # type: ignore[arg-type]
        piece(True, "{}", "stop"),
        piece(0, "{}", ["stop"]),  # type: ignore[arg-type]
        piece(0, 5, "stop"),  # type: ignore[arg-type]
        piece(0, "{}", "stop", id=7),
        chunk(None, tool_calls=[{"index": 0, "function": "stop"}]),
    ],
)
async def test_malformed_pieces_end_the_reply(server: RemoteServer, remote: RemoteModel, broken: str) -> None:
    server.play(Step([chunk("One."), broken], "hang"))
    with pytest.raises(RemoteError, match=r"sent (a call that is none|calls that are no list)"):
        await say(remote)
    server.until("gone")


@pytest.mark.parametrize("arguments", ["{", "[]", "7", '{"a": NaN}', "stop"])
async def test_arguments_that_are_no_object_end_the_reply(
    server: RemoteServer, remote: RemoteModel, arguments: str
) -> None:
    server.play(Step([piece(0, arguments, "stop", id="a"), chunk(None, "tool_calls"), DONE]))
    with pytest.raises(RemoteError, match="arguments are no JSON object"):
        await say(remote)

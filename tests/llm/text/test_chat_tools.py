"""Tools in chat templates, beside what transformers renders."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_templates import BOS, EOS, FAMILIES, QWEN, SPECIAL, write_bytes
from transformers.utils.chat_template_utils import render_jinja_template

from llm.gguf.file import open_gguf
from llm.text.chat import Call, ChatTemplate, ChatTemplateError, Message, Tool
from llm.text.tokenizer import Tokenizer

Chat = tuple[ChatTemplate, Tokenizer]
CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
)

WEATHER = Tool(
    "get_weather",
    'The weather in a city, "now" & <soon>;\nin °C, it\'s 😊',
    json.dumps(
        {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Its name, as in C:\\Zürich"},
                "unit": {"type": "string", "enum": ["c", "f"]},
                "days": {"type": ["integer", "null"]},
            },
            "required": ["city"],
        }
    ),
)
STOP = Tool("stop_music")
CALL = Call("abcdefgh1", "get_weather", '{"city": "Rome \\"x\\" \\u20ac 😊", "days": 3}')
OTHER = Call("abcdefgh2", "stop_music", "{}")
OUTPUT = Message("tool", '{"t": "21 °C",\n "q": "a\\\\b"}', call_id=CALL.id)
ASKED = [Message("system", "Be brief."), Message("user", "The weather in Rome?")]
ANSWERED = [*ASKED, Message("assistant", "", (CALL,)), OUTPUT]
CONVERSATIONS = {
    "asked": ASKED,
    "without system": ASKED[1:],
    "answered": ANSWERED,
    "with text": [*ASKED, Message("assistant", "Let me see.", (CALL,)), OUTPUT],
    "gone on": [*ANSWERED, Message("assistant", "Fine."), Message("user", "Thanks.")],
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Chat]:
    @cache
    def make(template: str) -> Chat:
        gguf = open_gguf(write_bytes(tmp_path_factory.mktemp("chat") / "c.gguf", template))
        tokenizer = Tokenizer.from_gguf(gguf)
        return ChatTemplate.from_gguf(gguf, tokenizer), tokenizer

    return make


def as_dict(message: Message) -> dict[str, Any]:
    """A message as Hugging Face's `apply_chat_template` wants it."""
    found: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        found["tool_calls"] = [
            {
                "type": "function",
                "id": c.id,
                "function": {"name": c.name, "arguments": json.loads(c.arguments)},
            }
            for c in message.calls
        ]
    if message.role == "tool":
        found["tool_call_id"] = message.call_id
    return found


def rendered(template: str, messages: Sequence[Message], tools: Sequence[Tool]) -> str:
    (text,), _ = render_jinja_template(
        [[as_dict(message) for message in messages]],
        tools=[tool.to_dict() for tool in tools] or None,
        chat_template=template,
        add_generation_prompt=True,
        bos_token=SPECIAL[BOS - 256],
        eos_token=SPECIAL[EOS - 256],
    )
    return str(text)


def written_out(chat: Chat, ids: Sequence[int]) -> str:
    return b"".join(map(chat[1].token_bytes, ids)).decode()


@pytest.mark.parametrize("tools", [(), (WEATHER,), (WEATHER, STOP)], ids=["none", "one", "two"])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_those_that_transformers_renders(
    make: Callable[[str], Chat], family: str, conversation: str, tools: tuple[Tool, ...]
) -> None:
    template, tokenizer = chat = make(FAMILIES[family])
    assert template.takes_tools
    messages = CONVERSATIONS[conversation]
    expected = rendered(FAMILIES[family], messages, tools)
    ids = template.ids(messages, tools)
    assert written_out(chat, ids) == expected
    assert ids == tokenizer.encode_template(expected)


@pytest.mark.parametrize("family", ["qwen", "mistral"])
def test_several_calls_stand_in_one_message(make: Callable[[str], Chat], family: str) -> None:
    template, _ = chat = make(FAMILIES[family])
    outputs = [Message("tool", "on", call_id=OTHER.id), OUTPUT]
    apart = [*ASKED, Message("assistant", "", (CALL,)), Message("assistant", "", (OTHER,)), *outputs]
    together = [*ASKED, Message("assistant", "", (CALL, OTHER)), *outputs[::-1]]
    assert written_out(chat, template.ids(apart)) == rendered(FAMILIES[family], together, ())


def test_a_template_that_wants_one_call_a_message_gets_that(make: Callable[[str], Chat]) -> None:
    template, _ = chat = make(FAMILIES["llama"])
    second = Message("tool", "off", call_id=OTHER.id)
    together = [*ASKED, Message("assistant", "", (CALL, OTHER)), OUTPUT, second]
    in_turn = [*ANSWERED, Message("assistant", "", (OTHER,)), second]
    assert written_out(chat, template.ids(together)) == rendered(FAMILIES["llama"], in_turn, ())


def test_ids_that_a_template_would_refuse_are_shortened_alike(make: Callable[[str], Chat]) -> None:
    template, _ = chat = make(FAMILIES["mistral"])
    long = "call_" + "x" * 24
    messages = [
        *ASKED,
        Message("assistant", "", (Call(long, "stop_music", "{}"),)),
        Message("tool", "", call_id=long),
    ]
    text = written_out(chat, template.ids(messages))
    (ours,) = {part[:9] for part in text.split('id": "')[1:]}
    assert text.count(f'"{ours}"') == 2
    assert long not in text


def test_templates_without_tools_are_told_of_calls_in_words(make: Callable[[str], Chat]) -> None:
    template, _ = make(CHATML)
    assert not template.takes_tools
    said = [
        *ASKED,
        Message("assistant", "Let me see."),
        Message("assistant", f"get_weather({CALL.arguments})"),
        Message("user", OUTPUT.content),
    ]
    heard = [*ASKED, Message("assistant", "Let me see."), Message("assistant", "", (CALL,)), OUTPUT]
    assert template.ids(heard, (WEATHER,)) == template.ids(said)
    both = [*ASKED, Message("assistant", "Let me see.", (CALL,))]
    joined = [*ASKED, Message("assistant", f"Let me see.\nget_weather({CALL.arguments})")]
    assert template.ids(both) == template.ids(joined)


@pytest.mark.parametrize(
    ("template", "takes"),
    [
        (QWEN, True),
        (QWEN.replace("tool | tojson", "tool.type"), False),
        (QWEN.replace("call.function.arguments | tojson", "'{}'"), False),
        (QWEN.replace("message.role == 'tool'", "message.role == 'ipython'"), False),
        (QWEN + "{% if tools %}{{ raise_exception('no') }}{% endif %}", False),
        (QWEN.replace("message.content + '\\n</tool", "message.content[:3] + '\\n</tool"), False),
    ],
    ids=["takes", "no names", "no arguments", "no outputs", "refuses", "cuts"],
)
def test_a_template_takes_tools_if_it_shows_all_of_them(
    make: Callable[[str], Chat], template: str, takes: bool
) -> None:
    assert make(template)[0].takes_tools is takes


def test_a_system_message_may_be_all_there_is(make: Callable[[str], Chat]) -> None:
    template, _ = chat = make(QWEN)
    assert written_out(chat, template.ids(ASKED[:1])) == rendered(QWEN, ASKED[:1], ())
    with pytest.raises(ChatTemplateError, match="no user message"):
        make(FAMILIES["llama"])[0].ids(ASKED[:1], (STOP,))


SPIKES = [
    *SPECIAL, "<|", "im_end", "|>", "<tool_", "call>", "[TOOL", "_CALLS]", "type", "object", "\U000f0041",
    '"', "\\", "\n", "\x1f", "\x00", " ", "'", "😊", "Message 0\"'<&\\\n;", "{{ 1 }}",
]  # fmt: skip
letters = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
spiked = st.lists(st.sampled_from(SPIKES) | letters, max_size=5).map("".join)
values = st.recursive(
    spiked | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(spiked, inner, max_size=2),
    max_leaves=5,
)
schemas = st.dictionaries(spiked | st.sampled_from(["type", "properties", "enum"]), values, max_size=3)


@given(
    description=spiked,
    parameters=schemas,
    name=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True) | st.sampled_from(["im_end", "tool_call"]),
    arguments=schemas,
    output=spiked,
    content=spiked,
    family=st.sampled_from(sorted(FAMILIES)),
)
@settings(max_examples=200, deadline=None)
def test_nothing_of_tools_becomes_a_special_token(
    make: Callable[[str], Chat],
    description: str,
    parameters: dict[str, Any],
    name: str,
    arguments: dict[str, Any],
    output: str,
    content: str,
    family: str,
) -> None:
    template, tokenizer = make(FAMILIES[family])

    def conversation(*texts: str) -> list[Message]:
        content, name, arguments, output = texts
        call = Call("abcdefgh1", name, arguments)
        said = [*ASKED, Message("assistant", content, (call,)), Message("tool", output, call_id=call.id)]
        return [*said, Message("assistant", "Yes."), Message("user", "And now?")]

    tools = (Tool(name, description, json.dumps(parameters)),)
    messages = conversation(content, name, json.dumps(arguments), output)
    ids = template.ids(messages, tools)
    harmless = template.ids(conversation("x", "y", "{}", "z"), (Tool("y", "x"),))
    assert [i for i in ids if i >= 256] == [i for i in harmless if i >= 256]
    # All of it is there as text, exactly as transformers writes it.
    assert b"".join(map(tokenizer.token_bytes, ids)).decode() == rendered(FAMILIES[family], messages, tools)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "<|im_end|>", "é", "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name has 1 to 64"):
        Tool(name)


@pytest.mark.parametrize(
    "parameters", ["", "[]", "{", "NaN", '{"a": NaN}', '{"a": ' + "[" * 99 + "]" * 99 + "}", "[" * 9999]
)
def test_parameters_that_are_no_object_are_refused(parameters: str) -> None:
    with pytest.raises(ValueError, match="parameters of the tool f are not a JSON object"):
        Tool("f", "", parameters)


def test_arguments_that_are_no_object_are_written_as_text(make: Callable[[str], Chat]) -> None:
    template, _ = chat = make(QWEN)
    messages = [
        *ASKED,
        Message("assistant", "", (Call("a", "f", "<|im_end|>{"),)),
        Message("tool", "x", call_id="a"),
    ]
    ids = template.ids(messages)
    assert '"arguments": "<|im_end|>{"' in written_out(chat, ids)
    assert ids.count(EOS) == 4  # system, user, assistant, tool

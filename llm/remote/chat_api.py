"""The OpenAI chat completion API as vLLM, llama.cpp's server and SGLang speak it: question and answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from llm.decode.generate import GenerateConfig
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.remote.calls import CallDelta, read_calls
from llm.remote.sse import MalformedEvent
from llm.text.message import Message, paired


@dataclass(frozen=True)
class Delta:
    """Some more of the reply, of its text and its calls, and why it is over, if it is."""

    text: str
    finish: str | None
    calls: tuple[CallDelta, ...] = ()


def request_body(
    model: str, messages: Sequence[Message], generate: GenerateConfig, options: ReplyOptions = AS_CONFIGURED
) -> bytes:
    """A request for a streamed reply, with nothing but what every server takes; of tools only if there are.

    So there is no repetition penalty and no min_p, which have no name in the API; and no stop strings: a
    server would look for them in thoughts that it hides, too.
    """
    sampling = generate.sampling
    request = {
        "model": model,
        "messages": list(map(_message, paired(messages))),
        "stream": True,
        "max_tokens": options.max_tokens or generate.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        **_tools(options),
    }
    return json.dumps(request).encode()


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if not message.calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.calls
    ]
    return {"role": message.role, "content": message.content or None, "tool_calls": calls}


def _tools(options: ReplyOptions) -> dict[str, Any]:
    """What of a request is of tools; a choice only if it is not what servers do by themselves.

    All tools are told, whatever the choice: a template puts them in front of the conversation, and without
    some of them a server would have to read all of it again.
    """
    if not options.tools:
        return {}
    choice: Any = options.tool_choice
    if choice not in ("auto", "none", "required"):
        choice = {"type": "function", "function": {"name": choice}}
    chosen = {} if choice == "auto" else {"tool_choice": choice}
    return {"tools": [tool.to_dict() for tool in options.tools], **chosen}


def read_delta(event: str) -> Delta:
    """What the data of an event adds to the reply; raises MalformedEvent."""
    if event == "[DONE]":
        return Delta("", "stop")
    try:
        chunk = json.loads(event)
    except (ValueError, RecursionError):
        raise MalformedEvent("sent an event that is not JSON") from None
    match chunk:
        case {"error": error} if error:
            raise MalformedEvent("reports an error of its own")
        case {"choices": []}:  # how much was used, or the like
            return Delta("", None)
        case {"choices": [{"delta": {**delta}, **choice}, *_]}:
            text, finish = delta.get("content") or "", choice.get("finish_reason")
            calls = read_calls(delta.get("tool_calls"))
            if isinstance(text, str) and isinstance(finish, str | None) and not _has_surrogates(text):
                return Delta(text, finish, calls)
    raise MalformedEvent("sent an event that is not a chat completion chunk")


def refusal(status: int, key_name: str | None) -> str:
    """What a status other than 200 means. Nothing of what the server wrote: it may quote the prompt."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    hint = ""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        hint = f": the key in {key_name} is not right" if key_name else ": it wants a key (api_key_env)"
    if status == HTTPStatus.NOT_FOUND:
        hint = ": is the URL right up to its version (/v1), and the model's name?"
    return f"answered {status} {phrase}".rstrip() + hint


def retry_after_s(header: str) -> float:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3) asks for; 0 if it cannot be read."""
    if header.isdecimal() and len(header) < 10:
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without a time zone
        return 0.0


def _has_surrogates(text: str) -> bool:
    """JSON can spell half a surrogate pair, which nobody could write down."""
    return any("\ud800" <= c <= "\udfff" for c in text)

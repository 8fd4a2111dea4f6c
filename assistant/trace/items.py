"""What models are given and give, as JSON says it, and back."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from asr.ending import Ending
from asr.stabilize import Partial
from asr.words import Hypothesis, Word
from llm.decode.generate import Called, Finished, Generated, Prefilled, Started, Token
from llm.decode.options import ReplyOptions
from llm.decode.responder import Prompt
from llm.decode.served import Kernels, Operation, Served
from llm.decode.speculate import Speculated
from llm.text.message import Call, Message

Json = Any
"""Whatever JSON can say."""


def message_json(message: Message) -> Json:
    """A message: role and content, and its calls if there are any."""
    plain: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.calls:
        plain["calls"] = [asdict(call) for call in message.calls]
    if message.call_id is not None:
        plain["call_id"] = message.call_id
    return plain


def _message(plain: Json) -> Message:
    calls = tuple(Call(**call) for call in plain.get("calls", ()))
    return Message(plain["role"], plain["content"], calls, plain.get("call_id"))


def prompt_json(prompt: Prompt) -> Json:
    """A prompt, but for its options, which were given."""
    messages = [message_json(message) for message in prompt.history]
    return {"ids": [int(token) for token in prompt.ids], "messages": messages, "dropped": prompt.dropped}


def prompt_of(plain: Json, options: ReplyOptions) -> Prompt:
    """The prompt that `prompt_json` wrote."""
    return Prompt(list(plain["ids"]), tuple(map(_message, plain["messages"])), plain["dropped"], options)


def _words_json(words: tuple[Word, ...]) -> Json:
    return [[w.text, w.start_s, w.end_s, w.confidence, w.tokens, w.stable] for w in words]


def _words(plain: Json) -> tuple[Word, ...]:
    return tuple(Word(*word) for word in plain)


def partial_json(partial: Partial) -> Json:
    """A partial transcript."""
    return {"stable": partial.stable, "unstable": partial.unstable, "words": _words_json(partial.words)}


def partial_of(plain: Json) -> Partial:
    """The partial transcript that `partial_json` wrote."""
    return Partial(plain["stable"], plain["unstable"], _words(plain["words"]))


def hypothesis_json(final: Hypothesis) -> Json:
    """A final transcript."""
    tokens = [int(token) for token in final.tokens]
    return {
        "text": final.text,
        "tokens": tokens,
        "accepted": final.accepted,
        "words": _words_json(final.words),
        "ending": final.ending and [round(final.ending.closing, 4), round(final.ending.going_on, 4)],
    }


def hypothesis_of(plain: Json) -> Hypothesis:
    """The final transcript that `hypothesis_json` wrote."""
    ending = Ending(*plain["ending"]) if plain["ending"] else None
    tokens, words = tuple(plain["tokens"]), _words(plain["words"])
    return Hypothesis(plain["text"], tokens, plain["accepted"], words, ending=ending)


def generated_json(item: Generated) -> Json:
    """What a language model generates: its kind, then its fields. Of logits only the shape is kept."""
    match item:
        case Started():
            return ["started"]
        case Prefilled(logits):
            return ["prefilled", list(logits.shape)]
        case Token(number, text):
            return ["token", int(number), text]
        case Called(call_id, name, arguments):
            return ["called", call_id, name, arguments]
        case Speculated():
            return ["speculated", item.drafted, item.accepted, item.passes, item.length]
        case Kernels(served):
            return ["kernels", [served_json(each) for each in served]]
        case Finished(reason, text):
            return ["finished", reason, text]


def served_json(served: Served) -> Json:
    """One operation and what served it."""
    of = served.operation
    return [of.name, of.kernel, of.shape, of.dtype, served.passes]


def generated_of(plain: Json) -> Generated:
    """What `generated_json` wrote; without the logits of a prompt, which are not kept."""
    kind, *fields = plain
    return _GENERATED[kind](*fields)


_GENERATED: Mapping[str, Callable[..., Generated]] = {
    "started": Started,
    "prefilled": lambda _: Prefilled(np.zeros((1, 1), np.float32)),
    "token": Token,
    "called": Called,
    "speculated": Speculated,
    "kernels": lambda served: Kernels(tuple(Served(Operation(*o), n) for *o, n in served)),
    "finished": Finished,
}

STAGES = {
    "started": "llm.start",
    "prefilled": "llm.prefill",
    "token": "llm.token",
    "called": "llm.token",
    "speculated": "llm.finish",
    "kernels": "llm.finish",
    "finished": "llm.finish",
}
"""Which part of a reply's cost a step of it belongs to."""

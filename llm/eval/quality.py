"""Everything that is measured of one engine beside its reference: a text, greedy replies, and speed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

from llm.decode.engine import Engine
from llm.eval.data import prompts, sentences, text
from llm.eval.greedy import Judged, judge
from llm.eval.predict import WINDOW, Comparison, EvalError, compare, compare_prompts
from llm.eval.replies import TIE, Agreement, continuations
from llm.eval.speed import Speed, speed
from llm.gguf.file import GgufFile
from llm.text.chat import ChatTemplate, Message
from llm.text.conversation import SYSTEM_PROMPT
from llm.text.tokenizer import Tokenizer

_REPLY = 48  # tokens
# Tokens of the text that are also read one by one, and in prompts. By chance the ratio of two perplexities is
# off by about sqrt(2 KL / tokens): with 8-bit weights 0.3 % here, and 0.7 % with a quarter of them.
_START = 1024
_DEPTHS = (128, 1024)  # tokens of context at which decoding is timed
_PROMPT = 512  # tokens of the prompt that is timed
_STEPS = 32  # tokens timed at each depth


@dataclass(frozen=True)
class Task:
    """What engines are measured on, in one model's tokens; a reply is over at one of `ends`.

    judged: prompts after which each greedy token is judged.
    """

    text: Sequence[int]
    prompts: Sequence[Sequence[int]]
    ends: frozenset[int]
    judged: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class Quality:
    """What was measured of one engine.

    prefill: the text in chunks. decode: its start token by token. prompt: its start in whole windows, a call
    each. greedy: replies judged token by token, in each form that the engine writes them; none if no prompts
    were given for it.
    """

    prefill: Comparison
    decode: Comparison
    prompt: Comparison
    replies: Agreement
    greedy: tuple[Judged, ...]
    speed: Speed

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        replies = self.replies
        return {
            "prefill": {**asdict(self.prefill), "ratio": self.prefill.ratio},
            "decode": {**asdict(self.decode), "ratio": self.decode.ratio},
            "prompt": {**asdict(self.prompt), "ratio": self.prompt.ratio},
            "replies": {
                "identical": replies.identical,
                "agreement": replies.agreement,
                "ties": replies.ties(),
                "tie_logits": TIE,
                "each": [asdict(reply) for reply in replies.replies],
            },
            "greedy": [judged.to_dict() for judged in self.greedy],
            "speed": asdict(self.speed),
        }


def read_task(gguf: GgufFile, tokens: int | None = None, judged: int = 0) -> Task:
    """The first `tokens` of the text, by default all, and the prompts of `llm/data` in a model's tokens.

    A prompt is the first turn of a conversation, or, where the model has no chat template, only itself. Of
    the prompts, and then of the text's sentences, `judged` are prompts whose replies are judged. Raises
    GgufError, TokenizerError, ChatTemplateError, and EvalError for a vocabulary without letters and where
    there are not so many prompts.
    """
    tokenizer = Tokenizer.from_gguf(gguf)
    ids, words = tokenizer.encode(text()), [*prompts(), *sentences()]
    if judged > len(words):
        raise EvalError(f"{judged} prompts asked for: there are {len(words)}")
    if "tokenizer.chat_template" in gguf.metadata:
        template, system = ChatTemplate.from_gguf(gguf, tokenizer), Message("system", SYSTEM_PROMPT)
        asked = [template.ids([system, Message("user", prompt)]) for prompt in words]
    else:
        asked = [tokenizer.encode(prompt) for prompt in words]
    if len(ids) < 2 or not all(asked):
        raise EvalError(f"{gguf.path}: the vocabulary has no tokens for English text")
    return Task(ids[:tokens], asked[: len(prompts())], frozenset(tokenizer.eos_ids), asked[:judged])


def measure(engine: Engine, reference: Engine, task: Task) -> Quality:
    """Compare and time the engine; where its context is short, windows and depths are, too.

    Raises EvalError, ContextFull for a context too short for a prompt and its reply (48 tokens, judged ones
    128), and ValueError for a text of fewer than two tokens and engines of two vocabularies.
    """
    room = min(engine.context, reference.context)
    window, start = min(WINDOW, room), task.text[: _START + 1]
    depths = [depth for depth in _DEPTHS if depth + _STEPS < room] or [1]
    timed = list(islice(cycle(task.text), max(_PROMPT, depths[-1] + _STEPS + 1)))
    return Quality(
        compare(engine, reference, task.text, window),
        compare(engine, reference, start, window, decode=True),
        compare_prompts(engine, reference, start, window),
        continuations(engine, reference, task.prompts, _REPLY, task.ends),
        judge(engine, reference, task.judged) if task.judged else (),
        speed(engine, timed, depths, min(_PROMPT, room), steps=_STEPS),
    )

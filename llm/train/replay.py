"""The base model's own words, so that it does not forget how it talks and writes.

Under the assistant's system prompt the first two sentences of a reply are learnt, where they are plain ones.
Its predictions are held on whole replies under the model's own system prompt, and on texts that are no
conversations. All is sampled, since greedy replies repeat themselves.
"""

import re
from collections.abc import Sequence

import torch

from llm.train.cases import replay_beginnings, replay_prompts
from llm.train.encode import Encoded, Encoder
from llm.train.generate import replies
from llm.train.loop import Data
from llm.train.model import Llama

TEMPERATURE = 0.7
TEXT_TEMPERATURE = 1.0  # the model's distribution as it is
MOST_TOKENS = 128
_BETWEEN = re.compile(r"(?<=[.!?])\s+")
_WRITTEN = re.compile(r"[\n*#|:]|\b[0-9]\.\s")  # lists, headings and the like, which nobody can say
_MOST_CHARS = 240


def own_replies(model: Llama, encoder: Encoder, count: int, seed: int = 0) -> Data:
    """About half as many short replies to learn as `count`, and as many whole ones to hold, and texts."""
    prompts = replay_prompts(count, seed)
    ids = [encoder.prompt(prompt) for prompt in prompts]
    written = _sampled(model, encoder, ids, TEMPERATURE, seed)
    learnt, held = [], continued_texts(model, encoder, count // 2, seed)
    for prompt, reply in zip(prompts, written, strict=True):
        if not prompt.system:
            held.append(encoder.continued(prompt, reply))
        elif (short := spoken_part(encoder.tokenizer.decode(reply))) is not None:
            learnt.append(encoder.continued(prompt, [*encoder.tokenizer.encode(short), encoder.end]))
    return Data(learnt, held)


def continued_texts(model: Llama, encoder: Encoder, count: int, seed: int = 0) -> list[Encoded]:
    """About `count` texts, held from their second token on."""
    starts = [encoder.tokenizer.encode(text) for text in replay_beginnings(count, seed)]
    written = _sampled(model, encoder, starts, TEXT_TEMPERATURE, seed)
    return [Encoded((*start, *text), 1) for start, text in zip(starts, written, strict=True)]


def _sampled(
    model: Llama, encoder: Encoder, prompts: Sequence[Sequence[int]], temperature: float, seed: int
) -> list[list[int]]:
    sampled = (temperature, torch.Generator(model.device).manual_seed(seed))
    return replies(model, prompts, encoder.tokenizer.eos_ids, most=MOST_TOKENS, sampled=sampled)


def spoken_part(reply: str) -> str | None:
    """The first two sentences, or one; None where they are none that one would say."""
    sentences = [part for part in _BETWEEN.split(reply.strip(), 2)[:2] if part[-1:] in (".", "!", "?")]
    short = reply.strip()[: len(" ".join(sentences))]
    return None if not short or len(short) > _MOST_CHARS or _WRITTEN.search(short) else short

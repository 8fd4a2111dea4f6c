"""The base model's own words, learnt beside the rest so that it does not forget how it talks and writes.

Under the assistant's system prompt the first two sentences of a reply are kept, where they are plain ones;
under the model's own the reply is kept as it came. Texts that are no conversations are continued, too. All is
sampled, since greedy replies repeat themselves.
"""

import re

import torch

from llm.train.cases import replay_beginnings, replay_prompts
from llm.train.encode import Encoded, Encoder
from llm.train.generate import replies
from llm.train.model import Llama

TEMPERATURE = 0.7
TEXT_TEMPERATURE = 1.0  # the model's distribution as it is
MOST_TOKENS = 128
_BETWEEN = re.compile(r"(?<=[.!?])\s+")
_WRITTEN = re.compile(r"[\n*#|:]|\b[0-9]\.\s")  # lists, headings and the like, which nobody can say
_MOST_CHARS = 240


def replay(model: Llama, encoder: Encoder, count: int, seed: int = 0) -> list[Encoded]:
    """Replies to about `count` prompts; those that are no plain sentences are left out."""
    prompts = replay_prompts(count, seed)
    generator = torch.Generator(model.device).manual_seed(seed)
    written = replies(
        model,
        [encoder.prompt(prompt) for prompt in prompts],
        encoder.tokenizer.eos_ids,
        most=MOST_TOKENS,
        sampled=(TEMPERATURE, generator),
    )
    kept = []
    for prompt, reply in zip(prompts, written, strict=True):
        if not prompt.system:
            kept.append(encoder.continued(prompt, reply))
        elif (short := spoken_part(encoder.tokenizer.decode(reply))) is not None:
            ids = [*encoder.tokenizer.encode(short), encoder.end]
            kept.append(encoder.continued(prompt, ids))
    return kept


def continued_texts(model: Llama, encoder: Encoder, count: int, seed: int = 0) -> list[Encoded]:
    """About `count` texts, to be learnt from their second token on."""
    starts = [encoder.tokenizer.encode(text) for text in replay_beginnings(count, seed)]
    sampled = (TEXT_TEMPERATURE, torch.Generator(model.device).manual_seed(seed))
    ends = encoder.tokenizer.eos_ids
    written = replies(model, starts, ends, most=MOST_TOKENS, sampled=sampled)
    return [Encoded((*start, *text), 1) for start, text in zip(starts, written, strict=True)]


def spoken_part(reply: str) -> str | None:
    """The first two sentences, or one; None where they are none that one would say."""
    sentences = [part for part in _BETWEEN.split(reply.strip(), 2)[:2] if part[-1:] in (".", "!", "?")]
    short = reply.strip()[: len(" ".join(sentences))]
    return None if not short or len(short) > _MOST_CHARS or _WRITTEN.search(short) else short

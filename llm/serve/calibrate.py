"""Scales for int8 keys and values: how large each channel gets as the model reads a conversation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llm.gguf.config import Rotary
from llm.gguf.file import GgufFile
from llm.text.tokenizer import Tokenizer, TokenizerError

# Other conversations go beyond this one, and what exceeds the scale is clipped: with 1.05 that cost
# SmolLM2-135M 1.2 % of perplexity, with 1.3 to 2.5 it costs 0.2 %.
_HEADROOM = 1.5

_TEXT = """\
<|im_start|>system
You are a helpful assistant who speaks aloud. Give short, direct answers in one or two plain \
sentences.<|im_end|>
<|im_start|>user
What time does the museum open on Saturdays, and how much is a ticket for two adults and a child?<|im_end|>
<|im_start|>assistant
On Saturdays it opens at 10:30 in the morning. A family ticket costs 27 dollars and 50 cents, \
children under six go free.<|im_end|>
<|im_start|>user
Thanks! Can you tell me something about volcanoes? My daughter Maria wrote an essay (about \
300 words).<|im_end|>
<|im_start|>assistant
A volcano is an opening in the Earth's crust through which melted rock, ash and gases escape. There are \
about 1,350 that could erupt, most of them around the Pacific Ocean; Mount Etna, in Italy, has been active \
for half a million years.<|im_end|>
<|im_start|>user
def area(r): return 3.14159 * r ** 2 -- what is wrong with that?<|im_end|>
<|im_start|>assistant
Nothing much, but it is better to write math.pi. Also: say in which unit the radius is, and \
what if r < 0.<|im_end|>
<|im_start|>user
OK. And please translate "good night, sleep well" into French, German and Spanish.<|im_end|>
<|im_start|>assistant
"Bonne nuit, dors bien", "Gute Nacht, schlaf gut" and "Buenas noches, que duermas bien".<|im_end|>
"""


def calibration_tokens(gguf: GgufFile) -> list[int]:
    """The text as this model's tokens. Raises TokenizerError, GgufError."""
    if tokens := Tokenizer.from_gguf(gguf).encode_template(_TEXT):
        return tokens
    raise TokenizerError(f"{gguf.path}: the vocabulary has no tokens for English text")


def scales_of(
    keys_and_values: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], rotary: Rotary
) -> NDArray[np.float32]:
    """[layers, 2, kv heads, 1, head dim] from a layer's keys and values [kv heads, tokens, head dim].

    Two channels of a key that are turned together have one scale, for the longest that they are together:
    slow pairs have not gone round by the end of the text, and would be clipped further on. (With one each,
    SmolLM2-135M lost 1 % of perplexity in the first 512 tokens, and 12 % in tokens 1536 to 2047.)
    """
    largest = [
        np.stack([_reach(keys, rotary), np.abs(values).max(axis=1, keepdims=True)])
        for keys, values in keys_and_values
    ]
    scales: NDArray[np.float32] = np.maximum(np.stack(largest) * (_HEADROOM / 127), 1e-9).astype(np.float32)
    return scales


def _reach(keys: NDArray[np.float32], rotary: Rotary) -> NDArray[np.float32]:
    """How far each channel can get at any position, [kv heads, 1, head dim]."""
    heads, tokens, half = len(keys), keys.shape[1], keys.shape[2] // 2
    pairs = keys.reshape(heads, tokens, half, 2)
    if rotary == "half":
        pairs = keys.reshape(heads, tokens, 2, half).swapaxes(2, 3)
    lengths = np.linalg.norm(pairs, axis=3).max(axis=1)[:, None]  # [heads, 1, half]
    reach: NDArray[np.float32] = (
        np.repeat(lengths, 2, axis=2) if rotary == "interleaved" else np.tile(lengths, (1, 1, 2))
    )
    return reach

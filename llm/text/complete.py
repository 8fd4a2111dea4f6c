"""Does the transcript read like a finished turn? Read off the logits of the reply's own prefill.

After the user's last word the model either expects a sentence to close or more words; after the
closing mark, either the end of the message or another sentence. Both positions are inside the prompt
that is prefilled anyway, so the score costs two softmaxes. (LiveKit's turn detector reads the end
token of a fine-tuned SmolLM2 in the same way; here the model is the stock one.)
"""

import numpy as np
from numpy.typing import NDArray

from llm.text.chat import ChatTemplate, Message
from llm.text.tokenizer import Tokenizer

_CLOSING = ".?!"
_TRAILING = ".,;:-\u2013\u2026 \n"  # dashes and an ellipsis too


def closed(transcript: str) -> str:
    """The transcript as a closed sentence: one mark at its end, whether or not it was complete."""
    text = transcript.strip().rstrip(_TRAILING)
    return text if text.endswith(("?", "!")) else text + "."


class TurnReader:
    """Scores user turns that `closed` has closed, for one model's template."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._closing = [i for mark in _CLOSING for i in tokenizer.encode(mark)]
        self._ends = sorted(tokenizer.eos_ids)
        # What the template puts behind the user's words is where two prompts end alike.
        a, b = (template.ids([Message("user", text)])[::-1] for text in ("yes", "no"))
        suffix = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
        self.logits_for = suffix + 2

    def score(self, logits: NDArray[np.float32]) -> float:
        """Probability in [0, 1] that the turn is complete, from the prompt's last `logits_for` logits."""
        after_word, after_mark = _softmax(logits[0]), _softmax(logits[1])
        return float(max(after_word[self._closing].sum(), after_mark[self._ends].sum()))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exp = np.exp(logits.astype(np.float64) - logits.max())
    p: NDArray[np.float64] = exp / exp.sum()
    return p

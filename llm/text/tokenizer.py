"""Text to token ids and back, and streaming of ids to text.

Text that people wrote goes through `encode`, which never yields a special token, whatever the text contains.
Only `encode_template`, for text that comes with the model, knows special tokens.
"""

import codecs
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Self

import tokenizers

from llm.gguf.file import GgufFile
from llm.text.bpe import TokenizerError, byte_characters, byte_level_bpe

__all__ = ["TextStream", "Tokenizer", "TokenizerError"]

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 1, 2, 3, 4, 5  # tokenizer.ggml.token_type
_BYTES: Mapping[str, bytes] = MappingProxyType(byte_characters())
_SURROGATES = re.compile("[\ud800-\udfff]")

# Tokens that end a reply besides those that the file's keys name: chat models write one or another of these.
_END_TOKENS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>")
_END_KEYS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
_BOS_KEY = "tokenizer.ggml.bos_token_id"


class Tokenizer:
    """Text to token ids and back.

    vocab_size: all ids are below it. special: ids of control tokens by name. bos_id: None if there is none.
    eos_ids: any of them ends a reply.
    """

    def __init__(
        self,
        bpe: tokenizers.Tokenizer,  # yields normal tokens only
        tokens: tuple[str, ...],  # [vocab_size]
        kinds: tuple[int, ...],  # [vocab_size]
        bos_id: int | None,
        eos_ids: frozenset[int],
    ) -> None:
        self._bpe, self._tokens = bpe, tokens
        # A user-defined token ("<think>") shows in text, but only a template may call for it by name.
        self._named = {t: i for i, t in enumerate(tokens) if kinds[i] in (_UNKNOWN, _CONTROL, _USER_DEFINED)}
        self._names = _any_of(self._named)
        self._hidden = frozenset(i for i, kind in enumerate(kinds) if kind in (_UNKNOWN, _CONTROL, _UNUSED))
        self.vocab_size, self.bos_id = len(tokens), bos_id
        self.special: Mapping[str, int] = MappingProxyType(
            {t: i for t, i in self._named.items() if i in self._hidden}
        )
        self.eos_ids = eos_ids | {self._named[t] for t in _END_TOKENS if t in self._named}

    @classmethod
    def from_gguf(cls, gguf: GgufFile) -> Self:
        """Build the tokenizer that a GGUF file describes.

        Raises TokenizerError for a model other than byte-level BPE ("gpt2"), a pre-tokenizer other than
        gpt-2, smollm, llama-bpe and qwen2, or lists that do not fit together; GgufError for missing keys.
        """
        tokens, kinds = gguf.get_strs("tokenizer.ggml.tokens"), gguf.get_ints("tokenizer.ggml.token_type")
        if len(tokens) != len(kinds):
            raise TokenizerError(f"{gguf.path}: {len(tokens)} tokens but {len(kinds)} token types")
        if "" in tokens or len(set(tokens)) != len(tokens):
            raise TokenizerError(f"{gguf.path}: the vocabulary has an empty token, or one twice")
        bpe = byte_level_bpe(gguf, {t: i for i, t in enumerate(tokens) if kinds[i] == _NORMAL})
        bos_id = _id(gguf, _BOS_KEY, len(tokens)) if _BOS_KEY in gguf.metadata else None
        ends = frozenset(_id(gguf, key, len(tokens)) for key in _END_KEYS if key in gguf.metadata)
        return cls(bpe, tokens, kinds, bos_id, ends)

    def encode(self, text: str) -> list[int]:
        """Ids of text that somebody wrote: normal tokens only, even where it spells out a special one.

        A byte that the vocabulary lacks is left out (SmolLM2 lacks six control characters and those that only
        occur in unassigned code points or not at all), and a lone surrogate becomes U+FFFD.
        """
        return self._bpe.encode(_SURROGATES.sub("\ufffd", text), add_special_tokens=False).ids

    def encode_template(self, text: str) -> list[int]:
        """Ids of text that comes with the model: special tokens spelled out in it become their ids."""
        ids: list[int] = []
        for part in self.split_template(text):
            ids += [part] if isinstance(part, int) else self.encode(part)
        return ids

    def split_template(self, text: str) -> list[int | str]:
        """The text cut at its special tokens, which become their ids; the text between is not yet encoded."""
        parts = self._names.split(text)  # text and names in turn
        return [self._named[part] if i % 2 else part for i, part in enumerate(parts) if part]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids: special tokens left out, invalid UTF-8 replaced by U+FFFD."""
        return b"".join(map(self.text_bytes, ids)).decode("utf-8", errors="replace")

    def text_bytes(self, token_id: int) -> bytes:
        """What a token adds to the text: its bytes, or none if it is special or unused."""
        token = self.token_bytes(token_id)
        return b"" if token_id in self._hidden else token

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes a token stands for (of a special token, its name). An unknown id is a TokenizerError."""
        if not 0 <= token_id < self.vocab_size:
            raise TokenizerError(f"token id {token_id} is not in the vocabulary of {self.vocab_size}")
        token = self._tokens[token_id]
        if token in self._named or token_id in self._hidden:
            return token.encode()
        return b"".join(_BYTES.get(c) or c.encode() for c in token)


class TextStream:
    """Token ids in, text out. A character is held back until all its bytes are there.

    All the text together, with `flush` at the end, is what `Tokenizer.decode` gives for all the ids, but for
    the special tokens among `shown`, whose names are text, too.
    """

    def __init__(self, tokenizer: Tokenizer, shown: Iterable[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._shown = {tokenizer.special[name]: name for name in shown if name in tokenizer.special}
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The text that this token completes, possibly empty. Raises TokenizerError for an unknown id."""
        name = self._shown.get(token_id)
        return self._decoder.decode(self._tokenizer.text_bytes(token_id) if name is None else name.encode())

    def flush(self) -> str:
        """U+FFFD if the last character is unfinished, else nothing. The stream starts again after it."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


def _id(gguf: GgufFile, key: str, vocab_size: int) -> int:
    token_id = gguf.get_int(key)
    if not 0 <= token_id < vocab_size:
        raise TokenizerError(f"{gguf.path}: {key} is {token_id}, not below the vocabulary's {vocab_size}")
    return token_id


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Matches the longest name at a place, as a group; of no names, nothing."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")

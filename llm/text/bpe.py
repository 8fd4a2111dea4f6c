"""Byte-level BPE as a GGUF file describes it: vocabulary, merges and how text is split before merging."""

from collections.abc import Mapping
from types import MappingProxyType

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers.models import BPE

from llm.gguf.file import GgufFile

# How the models' own tokenizer.json files split text; these two differ in the digits of a number.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS: Mapping[str, str] = MappingProxyType(
    {"llama-bpe": rf"{_WORDS}|\p{{N}}{{1,3}}|{_REST}", "qwen2": rf"{_WORDS}|\p{{N}}|{_REST}"}
)
_PRE_TOKENIZERS = ("gpt-2", "smollm", *_SPLITS)


class TokenizerError(ValueError):
    """A vocabulary that cannot be used, or a token id that is not in it."""


def byte_characters() -> dict[str, bytes]:
    """The characters that stand for bytes in a vocabulary: printable Latin-1 itself, the rest U+0100 on.

    Source: `bytes_to_unicode` in GPT-2's encoder.py.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): bytes([b]) for b in printable} | {chr(256 + i): bytes([b]) for i, b in enumerate(others)}


def byte_level_bpe(gguf: GgufFile, vocabulary: Mapping[str, int]) -> tokenizers.Tokenizer:
    """A tokenizer that yields only the ids in `vocabulary`, with the file's merges and pre-tokenizer.

    Raises TokenizerError for a model other than "gpt2", an unknown pre-tokenizer or unknown tokens in merges.
    """
    model, pre = gguf.get_str("tokenizer.ggml.model"), gguf.get_str("tokenizer.ggml.pre", "gpt-2")
    if model != "gpt2":
        raise TokenizerError(f"{gguf.path}: tokenizer model {model!r} is not supported ('gpt2' is)")
    if pre not in _PRE_TOKENIZERS:
        known = ", ".join(_PRE_TOKENIZERS)
        raise TokenizerError(f"{gguf.path}: pre-tokenizer {pre!r} is not supported ({known} are)")
    # Llama 3 takes a word that is a token as it is, without merging it together.
    merges = _merges(gguf, vocabulary)
    bpe = tokenizers.Tokenizer(BPE(dict(vocabulary), merges, ignore_merges=pre == "llama-bpe"))
    bpe.pre_tokenizer = _pre_tokenizer(pre)
    if pre == "qwen2":
        bpe.normalizer = normalizers.NFC()
    return bpe


def _merges(gguf: GgufFile, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    merges = []
    for merge in gguf.get_strs("tokenizer.ggml.merges"):
        left, _, right = merge.partition(" ")
        if left not in vocabulary or right not in vocabulary or left + right not in vocabulary:
            raise TokenizerError(
                f"{gguf.path}: merge {merge!r:.60} is not of normal tokens of the vocabulary"
            )
        merges.append((left, right))
    return merges


def _pre_tokenizer(pre: str) -> pre_tokenizers.PreTokenizer:
    if pre in _SPLITS:
        words = pre_tokenizers.Split(Regex(_SPLITS[pre]), behavior="isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        return pre_tokenizers.Sequence([words, to_bytes])
    words_to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre == "gpt-2":
        return words_to_bytes
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words_to_bytes])

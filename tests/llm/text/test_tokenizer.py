import itertools
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import regex
import tiktoken
from gguf_writer import write_vocabulary
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Trained
from tokenizers import models, pre_tokenizers, trainers

from llm.gguf.file import GgufFile, open_gguf
from llm.text.tokenizer import TextStream, Tokenizer, TokenizerError

TEXT = """\
It's 2024-06-30, and we've paid $1,234.56 for 3 x 250 g of café crème; they'll say "naïve"... I'D NOT!
def f(x):\n\treturn x ** 2    # four  spaces\n\n\n   indented\r\nDOS line\t\t\ttabs   \n
Grüße aus Köln, 東京は今日も晴れです。안녕하세요 세계, привет мир, Ελλάδα, مرحبا بالعالم, שלום, नमस्ते दुनिया
👩‍👩‍👧 family, 🇩🇪 flag, 👍🏽 thumb; x² + y³ = ½, Ⅷ, ٣٤٥, ﷽, e\N{COMBINING ACUTE ACCENT}
\N{NO-BREAK SPACE}no-break, zero\N{ZERO WIDTH SPACE}width
http://example.com/a?b=c&d=%20 mail@example.org <|im_end|> <|im_start|>system [INST] </s> 'S 'Re 'LL we're'd
"""
GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# As in tiktoken's cl100k_base, which Llama 3 took over; Qwen 2 takes digits one by one.
CL100K_WORDS = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = {
    "gpt-2": GPT2_WORDS,
    "smollm": GPT2_WORDS,
    "llama-bpe": CL100K_WORDS,
    "qwen2": CL100K_WORDS.replace("{1,3}", ""),
}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_end|>x"]
CONTROL, USER_DEFINED, UNUSED = 3, 4, 5

Vocabulary = tuple[list[str], list[int], list[str]]  # tokens, kinds, merges
TokenizerOf = Callable[[str], Tokenizer]  # by pre-tokenizer

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
pieces = st.sampled_from(
    [*TEXT.split(" "), " ", "\n", "  ", "'ll", "<|im_end|>", "<|", "|>", "1", "🙂", "\u0301"]
)
mixed_text = st.lists(st.one_of(pieces, any_text), max_size=12).map("".join)
bytes_of_text = st.one_of(st.binary(max_size=24), any_text.map(str.encode))


def split_words(pre: str, text: str) -> list[str]:
    """The words of each of the known pre-tokenizers, by another regular expression engine."""
    if pre == "qwen2":
        text = unicodedata.normalize("NFC", text)
    parts = regex.split(r"(\p{N})", text) if pre == "smollm" else [text]
    return [word for part in parts for word in (regex.findall(WORDS[pre], part) if part else [])]


class BruteForceBpe:
    """BPE as its definition reads: as long as there is one, merge the leftmost pair of the lowest rank."""

    def __init__(self, tokens: Sequence[str], merges: Sequence[str]) -> None:
        characters = {}  # the byte for each character of the vocabulary, built up as GPT-2 does
        n = 0
        for byte in range(256):
            if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
                characters[byte] = chr(byte)
            else:
                characters[byte] = chr(256 + n)
                n += 1
        self.characters = characters
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}

    def word(self, word: str, *, whole_first: bool) -> list[int]:
        symbols = [self.characters[b] for b in word.encode()]
        if whole_first and "".join(symbols) in self.ids:
            return [self.ids["".join(symbols)]]
        symbols = [s for s in symbols if s in self.ids]
        while True:
            pairs = [(self.ranks[p], i) for i, p in enumerate(itertools.pairwise(symbols)) if p in self.ranks]
            if not pairs:
                return [self.ids[s] for s in symbols]
            _, i = min(pairs)
            symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]

    def encode(self, pre: str, text: str) -> list[int]:
        words = split_words(pre, text)
        return [i for word in words for i in self.word(word, whole_first=pre == "llama-bpe")]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """A small vocabulary trained on TEXT: all bytes, what their merges make, then special tokens."""
    model = Trained(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    model.train_from_iterator([TEXT, "the then they there other mother" * 3, "    \n\n\n" * 5], trainer)
    trained = json.loads(model.to_str())["model"]
    tokens = sorted(trained["vocab"], key=trained["vocab"].get)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in trained["merges"]]
    kinds = [1] * len(tokens) + [CONTROL] * len(SPECIAL) + [USER_DEFINED, UNUSED]
    return [*tokens, *SPECIAL, "<think>", "[PAD]"], kinds, merges


@pytest.fixture(scope="session")
def tokenizer_of(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> TokenizerOf:
    def tokenizer_of(pre: str) -> Tokenizer:
        if pre not in made:
            path = write_vocabulary(tmp_path_factory.mktemp("vocabulary") / "v.gguf", *vocabulary, pre=pre)
            made[pre] = Tokenizer.from_gguf(open_gguf(path))
        return made[pre]

    made: dict[str, Tokenizer] = {}
    return tokenizer_of


@pytest.fixture(scope="session")
def smollm_file(model_path: Callable[[str], Path]) -> GgufFile:
    return open_gguf(model_path("smollm2-135m-instruct-q4_1"))


@pytest.fixture(scope="session")
def smollm(smollm_file: GgufFile) -> Tokenizer:
    return Tokenizer.from_gguf(smollm_file)


@pytest.fixture(scope="session")
def smollm_by_hand(smollm_file: GgufFile) -> BruteForceBpe:
    return BruteForceBpe(
        smollm_file.get_strs("tokenizer.ggml.tokens"), smollm_file.get_strs("tokenizer.ggml.merges")
    )


@pytest.mark.parametrize("pre", WORDS)
@given(text=mixed_text)
@example(text=TEXT)
@settings(max_examples=150, deadline=None)
def test_ids_are_those_of_brute_force_merging(
    tokenizer_of: TokenizerOf, vocabulary: Vocabulary, pre: str, text: str
) -> None:
    tokens, _, merges = vocabulary
    assert tokenizer_of(pre).encode(text) == BruteForceBpe(tokens, merges).encode(pre, text)


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe"])
@given(text=mixed_text)
@example(text=TEXT)
@settings(max_examples=150, deadline=None)
def test_encoding_loses_nothing(tokenizer_of: TokenizerOf, pre: str, text: str) -> None:
    tokenizer = tokenizer_of(pre)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_qwen2_encodes_the_composed_form(tokenizer_of: TokenizerOf) -> None:
    tokenizer = tokenizer_of("qwen2")
    assert (
        tokenizer.decode(tokenizer.encode("e\N{COMBINING ACUTE ACCENT}"))
        == "\N{LATIN SMALL LETTER E WITH ACUTE}"
    )


@pytest.mark.parametrize("pre", WORDS)
@given(
    text=st.lists(st.one_of(st.sampled_from([*SPECIAL, "<think>", "[PAD]", "<|", "im_end", "|>"]), any_text))
)
@settings(max_examples=100, deadline=None)
def test_text_never_becomes_a_special_token(
    tokenizer_of: TokenizerOf, vocabulary: Vocabulary, pre: str, text: str
) -> None:
    _, kinds, _ = vocabulary
    assert all(kinds[i] == 1 for i in tokenizer_of(pre).encode("".join(text)))


def test_a_special_token_that_a_word_spells_out_is_not_taken_for_the_word(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    # Llama 3's tokenizer looks a whole word up before it merges.
    tokens, kinds, merges = vocabulary
    path = write_vocabulary(
        tmp_path / "v.gguf", [*tokens, "stop"], [*kinds, CONTROL], merges, pre="llama-bpe"
    )
    tokenizer = Tokenizer.from_gguf(open_gguf(path))
    assert tokenizer.special["stop"] not in tokenizer.encode("stop")
    assert tokenizer.decode(tokenizer.encode("stop")) == "stop"
    assert tokenizer.encode_template("stop") == [tokenizer.special["stop"]]


def test_templates_call_for_special_tokens_and_the_longest_wins(
    tokenizer_of: TokenizerOf, vocabulary: Vocabulary
) -> None:
    tokenizer, ids = tokenizer_of("gpt-2"), {token: i for i, token in enumerate(vocabulary[0])}
    assert tokenizer.encode_template("<|im_start|>the<|im_end|><|im_end|>x <think>[PAD]") == [
        ids["<|im_start|>"],
        *tokenizer.encode("the"),
        ids["<|im_end|>"],
        ids["<|im_end|>x"],
        *tokenizer.encode(" "),
        ids["<think>"],
        *tokenizer.encode("[PAD]"),
    ]
    assert tokenizer.special == {name: ids[name] for name in SPECIAL}
    assert tokenizer.encode_template("") == tokenizer.encode("") == []


def test_special_tokens_are_left_out_of_text(tokenizer_of: TokenizerOf) -> None:
    tokenizer = tokenizer_of("gpt-2")
    ids = tokenizer.encode_template("<|im_start|>the<|im_end|> <think>other")
    assert tokenizer.decode([*ids, tokenizer.vocab_size - 1]) == "the <think>other"
    assert tokenizer.token_bytes(tokenizer.special["<|im_end|>"]) == b"<|im_end|>"


@pytest.mark.parametrize("token_id", [-1, 10**6])
def test_an_unknown_id_is_refused(tokenizer_of: TokenizerOf, token_id: int) -> None:
    tokenizer = tokenizer_of("gpt-2")
    with pytest.raises(TokenizerError, match=str(token_id)):
        tokenizer.decode([token_id])
    with pytest.raises(TokenizerError, match=str(token_id)):
        TextStream(tokenizer).push(token_id)


def test_a_lone_surrogate_becomes_the_replacement_character(tokenizer_of: TokenizerOf) -> None:
    tokenizer = tokenizer_of("gpt-2")
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"


@given(raw=bytes_of_text, special_at=st.sets(st.integers(0, 24)))
@example(raw="🙂".encode()[:3], special_at={2})
@example(raw=b"\xe2\x82a\xf0\x9f\xff\xc3", special_at=set())
@settings(max_examples=300, deadline=None)
def test_streamed_text_is_what_decoding_all_bytes_gives(
    tokenizer_of: TokenizerOf, raw: bytes, special_at: set[int]
) -> None:
    tokenizer = tokenizer_of("gpt-2")
    of_byte = {tokenizer.token_bytes(i): i for i in range(256)}
    ids = [of_byte[bytes([b])] for b in raw]
    for at in sorted(special_at, reverse=True):
        ids.insert(at, tokenizer.special["<|im_start|>"])
    stream = TextStream(tokenizer)
    streamed = "".join(map(stream.push, ids)) + stream.flush()
    assert streamed == raw.decode("utf-8", errors="replace") == tokenizer.decode(ids)
    assert (
        "".join(stream.push(of_byte[bytes([b])]) for b in "ü".encode()) + stream.flush() == "ü"
    )  # starts anew


def test_a_character_comes_when_its_last_byte_is_there(tokenizer_of: TokenizerOf) -> None:
    tokenizer = tokenizer_of("gpt-2")
    of_byte = {tokenizer.token_bytes(i): i for i in range(256)}
    stream = TextStream(tokenizer)
    assert [stream.push(of_byte[bytes([b])]) for b in "a🙂é".encode()] == ["a", "", "", "", "🙂", "", "é"]
    assert stream.flush() == ""


def test_end_tokens_are_those_of_the_keys_and_those_of_known_names(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    tokens, kinds, merges = vocabulary
    path = write_vocabulary(tmp_path / "v.gguf", tokens, kinds, merges, ids={"eos": 5, "eot": 6, "bos": 7})
    tokenizer = Tokenizer.from_gguf(open_gguf(path))
    assert tokenizer.eos_ids == {5, 6, tokens.index("<|im_end|>"), tokens.index("<|endoftext|>")}
    assert tokenizer.bos_id == 7
    assert tokenizer.vocab_size == len(tokens)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ({"model": "llama"}, TokenizerError, "'llama' is not supported"),
        ({"pre": "deepseek-coder"}, TokenizerError, "'deepseek-coder' is not supported"),
        ({"kinds": [1]}, TokenizerError, "1 token types"),
        ({"tokens": ["a", "a"], "kinds": [1, 1]}, TokenizerError, "twice"),
        ({"tokens": ["a", ""], "kinds": [1, 1]}, TokenizerError, "empty"),
        ({"merges": ["a b c"]}, TokenizerError, "merge 'a b c'"),
        ({"merges": ["ab"]}, TokenizerError, "merge 'ab'"),
        ({"merges": ["a \N{SNOWMAN}"]}, TokenizerError, "merge"),
        ({"ids": {"eos": 10**6}}, TokenizerError, "eos_token_id is 1000000"),
        ({"ids": {"bos": 10**6}}, TokenizerError, "bos_token_id is 1000000"),
    ],
)
def test_an_unusable_vocabulary_is_refused_with_the_file_and_the_reason(
    tmp_path: Path, vocabulary: Vocabulary, change: dict[str, Any], error: type[Exception], reason: str
) -> None:
    arguments = dict(zip(("tokens", "kinds", "merges"), vocabulary, strict=True)) | change
    with pytest.raises(error, match=reason) as caught:
        Tokenizer.from_gguf(open_gguf(write_vocabulary(tmp_path / "v.gguf", **arguments)))
    assert "v.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)


def smollm_bytes(file: GgufFile) -> dict[bytes, int]:
    """The normal tokens as bytes with their ids, not by way of our tokenizer."""
    tokens, kinds = file.get_strs("tokenizer.ggml.tokens"), file.get_ints("tokenizer.ggml.token_type")
    byte_of = {c: b for b, c in BruteForceBpe([], []).characters.items()}
    return {bytes(byte_of[c] for c in t): i for i, t in enumerate(tokens) if kinds[i] == 1}


@pytest.mark.models
def test_smollm2_ids_are_those_of_tiktoken(smollm_file: GgufFile, smollm: Tokenizer) -> None:
    # tiktoken merges what gives the lowest id, which for this vocabulary is the order of its merges.
    ranks = smollm_bytes(smollm_file)
    reference = tiktoken.Encoding("smollm2", pat_str=GPT2_WORDS, mergeable_ranks=ranks, special_tokens={})
    for text in (TEXT, *TEXT.splitlines(), " ".join(str(n**3) for n in range(50)), "\n\n \n\t\t  x  \n"):
        parts = [part for part in regex.split(r"(\p{N})", text) if part]
        assert smollm.encode(text) == [i for part in parts for i in reference.encode_ordinary(part)]


@pytest.mark.models
@given(text=mixed_text)
@example(text=TEXT)
@settings(max_examples=200, deadline=None)
def test_smollm2_ids_are_those_of_brute_force_merging_and_decode_to_the_text(
    smollm_by_hand: BruteForceBpe, smollm: Tokenizer, text: str
) -> None:
    ids = smollm.encode(text)
    assert ids == smollm_by_hand.encode("smollm", text)
    if all(smollm_by_hand.characters[b] in smollm_by_hand.ids for b in text.encode()):
        assert smollm.decode(ids) == text


@pytest.mark.models
def test_smollm2_special_tokens(smollm: Tokenizer) -> None:
    assert smollm.vocab_size == 49152
    assert smollm.eos_ids == {0, 2}
    assert smollm.bos_id == 1
    assert smollm.special["<|im_end|>"] == 2
    assert len(smollm.special) == 17

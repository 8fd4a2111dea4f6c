from collections.abc import Callable, Iterator

import pytest
from gguf_writer import STRING, typed
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import CHATML, one_thread, write_llama

from llm.gguf.file import open_gguf
from llm.text.chat import ChatTemplate, Message
from llm.text.complete import closed, tokens_behind
from llm.text.tokenizer import Tokenizer

INST = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + '<|im_end|>' }}{% endif %}{% endfor %}"
)
HEADERS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '<|im_end|>\n\n' + m.content + '<|im_end|>' }}"
    "{% endfor %}{{ '<|im_start|>assistant<|im_end|>\n\n' }}"
)
BARE = "{% for m in messages %}{{ m.content }}{% endfor %}"

Made = tuple[Tokenizer, ChatTemplate]


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    def make(template: str) -> Made:
        path = tmp_path_factory.mktemp("complete") / "m.gguf"
        chat = {"tokenizer.chat_template": typed(STRING, template)}
        file = open_gguf(write_llama(path, metadata=chat))
        tokenizer = Tokenizer.from_gguf(file)
        return tokenizer, ChatTemplate.from_gguf(file, tokenizer)

    return make


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("What time is it?", "What time is it?"),
        ("Stop!", "Stop!"),
        ("I see.", "I see."),
        ("what time is it", "what time is it."),
        ("  well, \n", "well."),
        ("I want to -", "I want to."),
        ("one more thing:", "one more thing."),
        ("first; second;,", "first; second."),
        ("so \u2013 ", "so."),
        ("wait...", "wait."),
        ("wait\u2026", "wait."),
        ("it costs 3,50", "it costs 3,50."),
        ("is it, ?", "is it, ?"),
        ("", "."),
        (" , ", "."),
    ],
)
def test_closed_ends_with_a_mark(heard: str, expected: str) -> None:
    assert closed(heard) == expected


@given(st.text(st.sampled_from("ab .?!,;:-\u2013\n"), max_size=12))
@settings(max_examples=300, deadline=None)
def test_closing_again_changes_nothing_and_loses_no_word(heard: str) -> None:
    text = closed(heard)
    assert text.endswith((".", "?", "!"))
    assert closed(text) == text
    assert [c for c in text if c.isalnum()] == [c for c in heard if c.isalnum()]
    assert text == text.strip()


@pytest.mark.parametrize("template", [CHATML, INST, HEADERS, BARE], ids=["chatml", "inst", "headers", "bare"])
@pytest.mark.parametrize("text", ["I am here.", "yes!", "Who said no?"])
def test_what_the_template_puts_behind_the_words_is_counted(
    make: Callable[[str], Made], template: str, text: str
) -> None:
    tokenizer, chat = make(template)
    behind = tokens_behind(chat)
    for before in ([], [Message("user", "Hi!"), Message("assistant", "Hello, no.")]):
        ids = chat.ids([*before, Message("user", text)])
        word_end, mark = ids[: len(ids) - behind][-2:]
        assert tokenizer.token_bytes(word_end) == text[-2].encode()
        assert tokenizer.token_bytes(mark) == text[-1].encode()
        other = chat.ids([*before, Message("user", "x.")])
        assert other[len(other) - behind :] == ids[len(ids) - behind :]

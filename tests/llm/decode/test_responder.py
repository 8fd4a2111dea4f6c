from collections.abc import Callable, Generator, Iterator
from math import log
from pathlib import Path

import pytest
from llama_files import SMALL, CountingLlama, one_thread, real_model, write_llama
from scipy.special import softmax
from torch_llama import Llama, TorchEngine

from llm.decode.engine import ContextFull
from llm.decode.generate import Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.responder import Prompt, Responder
from llm.decode.sample import Sampling
from llm.gguf.file import GgufFile, open_gguf
from llm.text.chat import ChatTemplate, Message
from llm.text.conversation import SYSTEM_PROMPT
from llm.text.tokenizer import Tokenizer

SYSTEM = Message("system", "Be brief.")
BETWEEN = "<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"  # two replies, of SmolLM2
CONFIG = GenerateConfig(max_tokens=12, sampling=Sampling(temperature=1.0, seed=3))


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return open_gguf(write_llama(tmp_path_factory.mktemp("responder") / "m.gguf"))


@pytest.fixture(scope="module")
def small(file: GgufFile) -> Llama:
    return Llama(file)


class Parts:
    """A responder and what it is made of."""

    def __init__(
        self, file: GgufFile, model: Llama, context: int = SMALL.context, config: GenerateConfig = CONFIG
    ) -> None:
        self.model = CountingLlama.of(model)
        self.tokenizer = Tokenizer.from_gguf(file)
        self.template = ChatTemplate.from_gguf(file, self.tokenizer)
        self.responder = Responder(TorchEngine(self.model, context), self.tokenizer, self.template, config)

    def say(self, prompt: Prompt) -> tuple[str, Prefilled]:
        """The reply, all of it, and what came with the prefill."""
        started, prefilled, *rest = self.responder.reply(prompt, lambda: False)
        assert isinstance(started, Started)
        assert isinstance(prefilled, Prefilled)
        assert isinstance(rest[-1], Finished)
        return "".join(event.text for event in rest if isinstance(event, Token | Finished)), prefilled


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def test_a_prompt_is_the_history_and_the_closed_transcript(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small)
    history = [SYSTEM, user("Hi!"), assistant("Hello.")]
    prompt = parts.responder.prompt(history, " what now, ")
    assert prompt.history == (*history, user("what now."))
    assert prompt.ids == parts.template.ids(prompt.history)
    assert parts.model.computed == []  # it may be made while another thread decodes


def test_a_turn_without_a_reply_is_carried_on_in_one_message(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small)
    history = [SYSTEM, user("Tell me.")]
    assert parts.responder.prompt(history, "about frogs").history == (SYSTEM, user("Tell me. about frogs."))
    assert history == [SYSTEM, user("Tell me.")]
    assert parts.responder.prompt([], "hello").history == (user("hello."),)


def test_old_turns_make_room_for_the_reply(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small, context=100)
    history = [SYSTEM]
    for i in range(30):
        question = "?" * (i + 1)  # any length, so that one of them comes to just within the reserve
        prompt = parts.responder.prompt(history, question)
        assert len(prompt.ids) <= 100 - CONFIG.max_tokens
        assert prompt.history[0] == SYSTEM
        assert list(prompt.history[1:]) == [*history, user(question)][1 - len(prompt.history) :]
        assert prompt.dropped == len(history) + 1 - len(prompt.history)
        parts.say(prompt)
        history += [user(question), assistant("Yes.")]


def test_a_transcript_that_is_too_long_alone_is_refused(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small, context=100)
    prompt = parts.responder.prompt([SYSTEM, user("a"), assistant("b")], "c" * 100)
    assert prompt.history == (SYSTEM, user("c" * 100 + "."))
    with pytest.raises(ContextFull, match="do not fit a context of 100"):
        list(parts.responder.reply(prompt, lambda: False))


def test_a_transcript_that_leaves_little_room_gets_a_short_reply(file: GgufFile, small: Llama) -> None:
    for end in (0, 1, 5):
        parts = Parts(file, small, context=100)
        bare = len(parts.responder.prompt([], "").ids)
        prompt = parts.responder.prompt([], "c" * (100 - end - bare))
        assert len(prompt.ids) == 100 - end
        *_, last = parts.responder.reply(prompt, lambda: False)
        assert isinstance(last, Finished)


def test_replies_do_not_depend_on_what_came_before(file: GgufFile, small: Llama) -> None:
    used = Parts(file, small)
    used.responder.warm_up([SYSTEM])
    history: list[Message] = [SYSTEM]
    for question in ("Who?", "Why is that so?", "Who else?"):
        prompt = used.responder.prompt(history, question)
        reply, prefilled = used.say(prompt)
        expected, fresh_prefilled = Parts(file, small).say(prompt)
        assert reply == expected
        assert prefilled.logits == pytest.approx(fresh_prefilled.logits, abs=1e-3)
        history += [user(question), assistant("Because.")]


def test_warming_up_reads_what_every_prompt_begins_with(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small)
    parts.responder.warm_up([SYSTEM])
    (warmed,) = parts.model.computed
    parts.say(parts.responder.prompt([SYSTEM], "Who are you?"))
    computed = parts.model.computed[1]
    assert parts.tokenizer.decode(computed) == "Who are you?\nassistant\n"
    assert parts.tokenizer.decode(warmed) == "system\nBe brief.\nuser\nHello.\nassistant\n"


def test_nothing_is_read_for_a_reply_that_is_no_longer_wanted(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small)
    events = parts.responder.reply(parts.responder.prompt([SYSTEM], "Who?"), lambda: True)
    assert list(events) == [Started()]
    assert parts.model.computed == []


@pytest.mark.models
def test_a_second_turn_reads_only_what_is_new(model_path: Callable[[str], Path]) -> None:
    path = model_path("smollm2-135m-instruct-q4_1")
    config = GenerateConfig(max_tokens=24)
    parts = Parts(open_gguf(path), real_model(path), 1024, config)
    history: list[Message] = [Message("system", SYSTEM_PROMPT)]
    parts.responder.warm_up(history)
    template_tokens = len(parts.tokenizer.encode_template(BETWEEN))
    for question, about in (
        ("What is the capital of Italy?", "Rome"),
        ("And what do people like to eat there?", "food"),
    ):
        parts.model.computed.clear()
        reply, _ = parts.say(parts.responder.prompt(history, question))
        new = len(parts.tokenizer.encode(question))
        assert new <= len(parts.model.computed[0]) <= new + template_tokens
        assert all(len(computed) == 1 for computed in parts.model.computed[1:])
        assert about in reply
        assert "<|" not in reply
        # The same from nothing.
        fresh = Parts(open_gguf(path), real_model(path), 1024, config)
        assert fresh.say(fresh.responder.prompt(history, question))[0] == reply
        history += [user(question), assistant(reply)]
    # Only half of the last reply was heard, so that the other half is forgotten.
    words = reply.split()
    assert len(words) >= 4
    heard = assistant(" ".join(words[: len(words) // 2]))
    parts.model.computed.clear()
    parts.say(parts.responder.prompt([*history[:-1], heard], "Stop."))
    assert len(parts.model.computed[0]) <= template_tokens + len(parts.tokenizer.encode("Stop."))


def test_what_was_read_ahead_is_not_computed_again(file: GgufFile, small: Llama) -> None:
    parts, history = Parts(file, small), [SYSTEM, user("Hi!"), assistant("Hello.")]
    parts.responder.read_ahead(history, "tell me about")
    parts.responder.read_ahead(history, "tell me about the big")
    first, second = parts.model.computed
    assert parts.tokenizer.decode(first).endswith("user\ntell me about")
    assert parts.tokenizer.decode(second) == " the big"
    prompt = parts.responder.prompt(history, "tell me about the big frogs")
    reply, _ = parts.say(prompt)
    suffix = "\nassistant\n"  # special tokens decode to nothing
    assert parts.tokenizer.decode(parts.model.computed[2]) == " frogs." + suffix
    assert reply == Parts(file, small).say(prompt)[0]


@pytest.mark.parametrize("words", ["tell me about", "what is that?", "stop."])
def test_how_probably_a_sentence_is_over(words: str, file: GgufFile, small: Llama) -> None:
    """As the probabilities of the reference in torch add up: of a mark, or the end, behind the last word."""
    parts = Parts(file, small)
    told = parts.responder.closes([SYSTEM], words)
    text = f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{words.rstrip('?.')}"
    ends = parts.tokenizer.encode_template(text)
    logits = TorchEngine(small, SMALL.context).extend(ends)[0]
    over = {parts.tokenizer.encode(mark)[0] for mark in ".?!"} | {parts.tokenizer.special["<|im_end|>"]}
    chances = softmax(logits.astype(float))
    p = sum(chances[token] for token in over)
    assert told == pytest.approx(log(p / (1 - p)), abs=1e-3)


def test_words_read_ahead_that_turn_out_otherwise_are_taken_back(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small)
    parts.responder.read_ahead([SYSTEM], "fourteen")
    prompt = parts.responder.prompt([SYSTEM], "forty")
    assert parts.say(prompt)[0] == Parts(file, small).say(prompt)[0]


def test_reading_ahead_of_what_does_not_fit_does_nothing(file: GgufFile, small: Llama) -> None:
    parts = Parts(file, small, context=32)
    parts.responder.read_ahead([SYSTEM], "x" * 100)
    assert parts.model.computed == []


@pytest.mark.parametrize(
    ("words", "penalized"),
    [
        ("Thanks.", True),
        ("Okay, thank you very much.", True),
        ("Go on.", True),
        ("And of Spain?", False),
        ("Say that AGAIN!", False),
        ("Repeat it.", False),
        ("Tell me the names of all its rivers.", False),
    ],
)
def test_the_last_reply_is_penalized_where_nothing_is_asked(
    file: GgufFile, small: Llama, monkeypatch: pytest.MonkeyPatch, words: str, penalized: bool
) -> None:
    asked: list[list[int]] = []

    def record(*_: object, said: list[int], **__: object) -> Generator[Generated, None, None]:
        asked.append(said)
        yield Started()

    monkeypatch.setattr("llm.decode.responder.generate", record)
    parts = Parts(file, small, context=200)
    history = [SYSTEM, user("Letters?"), assistant("One."), user("More."), assistant("Other.")]
    prompt = parts.responder.prompt(history, words)
    assert list(parts.responder.reply(prompt, lambda: False)) == [Started()]
    assert asked == [parts.tokenizer.encode("Other.") if penalized else []]

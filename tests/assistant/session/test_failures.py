"""How the commands end when the language model's engine fails, which is scripted here."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from ended import Command
from numpy.typing import NDArray

from asr.audio import AudioSpan
from asr.stabilize import Partial
from asr.vad import VadState
from asr.words import Hypothesis
from assistant import cli
from assistant.commands import chat, demo, replay
from assistant.models.pool import HearingModels, ModelPool, Models, Opened, on_worker
from assistant.runtime import Clock, Worker
from llm.decode.engine import CudaBroken, EngineOutOfMemory
from llm.decode.generate import Finished, Generated, Prefilled, Started, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from tts.stream import SpeechChunk


class Writer:
    """Begins to answer, and then raises what is to be raised for the turn."""

    def __init__(self, *turns: Exception | None) -> None:
        self._turns = list(turns)
        self.histories: list[list[Message]] = []

    takes_tools = False
    tells_ends = False

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        assert transcript is not None
        self.histories.append([*history, Message("user", transcript)])
        return Prompt([1], tuple(history))

    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]:
        yield Started()
        yield Prefilled(np.zeros((1, 8), np.float32))
        yield Token(1, "Well,")
        if error := self._turns.pop(0):
            raise error
        yield Finished("end", " yes.")

    def read_ahead(
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None:
        raise AssertionError("nothing is stable")

    def completeness(self, prefilled: Prefilled) -> float:
        return 0.99


class Language:
    """One session's worth of a writer."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.closed = writer, 0

    kv_bytes = 0

    def open(self, worker: Worker, clock: Clock) -> Opened:
        return on_worker(self.writer, self._close, worker, clock)

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[list[Message]]]:
    """Prepares a chat of some lines with a scripted writer; returns the prompts' histories as they come."""

    def prepare(*turns: Exception | None) -> list[list[Message]]:
        writer = Writer(*turns)
        monkeypatch.setattr(chat, "load_language", lambda *_: Language(writer))
        monkeypatch.setattr(chat, "locate_llm", lambda *_: tmp_path)
        monkeypatch.setattr(chat, "frozen", lambda load: load())  # the tests' own objects are to be collected
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"line {i}\n" for i in range(len(turns)))))
        return writer.histories

    return prepare


def test_a_line_for_which_there_is_no_memory_goes_unanswered_and_the_next_is_answered(
    talk: Callable[..., list[list[Message]]], assistant: Command
) -> None:
    histories = talk(None, EngineOutOfMemory("4 MB"), None)
    ended = assistant("chat")
    assert ended.code == 0
    assert ended.out == "Well, yes.\nWell,\nWell, yes.\n"
    assert ended.err == "assistant: no reply: out of memory: 4 MB\n"
    assert [m.content for m in histories[2][1:]] == ["line 0", "Well, yes.", "line 2"]


def test_a_chat_on_a_gpu_that_failed_ends_with_an_error(
    talk: Callable[..., list[list[Message]]], assistant: Command
) -> None:
    histories = talk(None, CudaBroken("unspecified launch failure"), None)
    ended = assistant("chat")
    assert ended.code == 1
    assert ended.err == f"assistant: {CudaBroken('unspecified launch failure')}\n"
    assert len(histories) == 2  # nothing is asked of it again


def raising(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command line of one command that fails."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)


def nested(*errors: Exception) -> ExceptionGroup[Exception]:
    """As they come out of a session: of a reply's tasks, among the session's."""
    return ExceptionGroup("session", [ExceptionGroup("reply", list(errors))])


def test_an_expected_error_out_of_a_session_is_one_line(
    assistant: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(nested(CudaBroken("misaligned address"), EngineOutOfMemory("1 MB")), monkeypatch)
    ended = assistant()
    assert ended == (1, "", f"assistant: {CudaBroken('misaligned address')}\n")


def test_a_bug_out_of_a_session_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(nested(CudaBroken("misaligned address"), KeyError("a bug")), monkeypatch)
    monkeypatch.setattr(sys, "argv", ["assistant"])
    with pytest.raises(ExceptionGroup) as caught:
        cli.main()
    assert caught.group_contains(KeyError)


# A replay and a demo, in real time: half a second of noise is a turn to these stages


class Ears:
    """Hears noise as voice, voice as "hello", and every pause as the end."""

    def probabilities(
        self, windows: Sequence[NDArray[np.float32]], states: Sequence[VadState]
    ) -> list[float]:
        return [0.9 if np.abs(window).mean() > 0.01 else 0.1 for window in windows]

    def probability(self, turn: NDArray[np.float32]) -> float:
        return 0.99

    def begin(self, start_sample: int = 0) -> None: ...

    def partial(self, span: AudioSpan) -> Partial:
        return Partial("", "hello")

    def final(self, span: AudioSpan) -> Hypothesis:
        return Hypothesis("hello", (), 0)


class Speaker:
    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Callable[[], bool]
    ) -> Iterator[SpeechChunk]:
        yield SpeechChunk(np.full(2400, 0.5, np.float32), 24000, phrase)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Language, ModelPool]]:
    """Prepares replays and demos with a scripted writer, in a folder with two recordings."""

    def prepare(*turns: Exception | None, sessions: int = 1) -> tuple[Language, ModelPool]:
        ears, language = Ears(), Language(Writer(*turns))
        hearing = HearingModels(ears, ears, lambda: ears)  # type: ignore[arg-type]
        pool = ModelPool(Models(language, hearing, Speaker()), Clock(), sessions)
        for module in (demo, replay):
            monkeypatch.setattr(module, "locate", lambda *_: None)
            monkeypatch.setattr(module, "load_pool", lambda *_, **__: pool)
        monkeypatch.chdir(tmp_path)
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
        for name in ("hello.wav", "hello_again.wav"):
            soundfile.write(name, np.concatenate([noise, np.zeros(1600)]), 16000)
        return language, pool

    return prepare


@pytest.mark.parametrize("command", [["replay"], ["demo", "-o", "reply.wav"]])
@pytest.mark.parametrize("error", [CudaBroken, EngineOutOfMemory])
def test_a_conversation_goes_on_without_memory_but_not_without_the_gpu(
    error: type[CudaBroken | EngineOutOfMemory],
    command: list[str],
    assistant: Command,
    fake: Callable[..., tuple[Language, ModelPool]],
) -> None:
    language, pool = fake(error("told"), error("told"))
    ended = assistant(command[0], "hello.wav", *command[1:])
    if error is CudaBroken:
        assert (ended.code, ended.err) == (1, f"assistant: {CudaBroken('told')}\n")
        assert "hello" not in ended.out.replace("hello.wav", "")
    else:
        assert (ended.code, ended.err) == (0, "")
        assert "Well," in ended.out  # what there was of the reply
    assert (language.closed, pool.taken) == (1, 0)


def test_two_conversations_are_replayed_side_by_side(
    assistant: Command, fake: Callable[..., tuple[Language, ModelPool]]
) -> None:
    language, pool = fake(None, EngineOutOfMemory("told"), sessions=2)
    clips = ("hello.wav", "hello_again.wav")
    ended = assistant("replay", *clips, "--sessions", "2", "--json", "out.json", "--perfetto", "spans.json")
    assert (ended.code, ended.err) == (0, "")
    assert (language.closed, pool.taken) == (2, 0)
    report = json.loads(Path("out.json").read_text())
    assert {turn["file"]: turn["transcript"] for turn in report["turns"]} == dict.fromkeys(clips, "hello")
    assert sorted(turn["reply"] for turn in report["turns"]) == ["Well,", "Well, yes."]
    assert {key: report["summary"][key] for key in ("turns", "replies", "sessions", "failures")} == {
        "turns": 2,
        "replies": 2,
        "sessions": 2,
        "failures": 1,
    }
    events = json.loads(Path("spans.json").read_text())["traceEvents"]
    first = {
        name: min(e["ts"] for e in events if e["ph"] == "X" and e["args"].get("session") == name)
        for name in ("line-0", "line-1")
    }
    last = max(e["ts"] for e in events if e["ph"] == "X" and e["args"].get("session") == "line-0")
    assert first["line-1"] < last  # side by side

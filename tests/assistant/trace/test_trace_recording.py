"""What a recording writes of calls, on a clock that ticks a millisecond each time that it is read."""

import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_trace import zeros

from asr.audio import AudioSpan
from asr.ending import Ending
from asr.stabilize import Partial
from asr.vad import VadState
from asr.words import Hypothesis, Word
from assistant.config import Config, LlmConfig, ServerConfig
from assistant.runtime import Clock, Span
from assistant.session.turn import TurnConfig
from assistant.trace.errors import TraceError
from assistant.trace.items import (
    generated_json,
    generated_of,
    hypothesis_json,
    hypothesis_of,
    partial_json,
    partial_of,
    prompt_json,
    prompt_of,
)
from assistant.trace.recording import Recording, _meta
from llm.decode.generate import Called, Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.options import AS_CONFIGURED
from llm.decode.responder import Prompt
from llm.decode.served import Kernels, Operation, Served
from llm.decode.speculate import Speculated
from llm.remote import RemoteConfig
from llm.text.message import Call, Message
from tts.stream import SpeechChunk

MS = 1_000_000
WORD = Word("Hi.", 0.25, 0.5, 0.75, 2, stable=True)


def ticking() -> Clock:
    ticks = count()
    return Clock(lambda: next(ticks) * MS)


class Models:
    takes_tools = True
    tells_ends = False

    def probabilities(self, windows: Sequence[object], states: Sequence[object]) -> list[float]:
        return [0.5 + index for index in range(len(windows))]

    def probability(self, turn: object) -> float:
        return 0.25

    def begin(self, start_sample: int = 0) -> None: ...

    def partial(self, span: AudioSpan) -> Partial:
        return Partial("Hi", "there", (WORD,))

    def final(self, span: AudioSpan) -> Hypothesis:
        return Hypothesis("Hi.", (3, 4), 1, (WORD,), ending=Ending(-0.25, -3.5))

    def read_ahead(self, *_: object) -> None: ...

    def prompt(self, history: Sequence[Message], transcript: str | None, options: object = None) -> Prompt:
        return Prompt([1, 2], (*history, Message("user", f"{transcript}")))

    def reply(self, prompt: Prompt, stopped: object) -> Iterator[Generated]:
        yield Started()
        yield Prefilled(np.zeros((2, 5), np.float32))
        yield Token(7, "Yes.")
        yield Finished("end", "")

    def speak(self, phrase: str, *, speed: float = 1.0, should_stop: object) -> Iterator[SpeechChunk]:
        yield SpeechChunk(np.full(4, 0.5, np.float32), 24000, "Yes")
        yield SpeechChunk(np.zeros(0, np.float32), 24000, ".")


def never() -> bool:
    return False


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def recording(tmp_path: Path, said: list[str]) -> Recording:
    return Recording(tmp_path / "t", Config(), ticking(), said.append)


def written(recording: Recording, folder: Path) -> list[dict[str, Any]]:
    assert recording.close()
    with gzip.open(folder / "t" / "events.jsonl.gz", "rt") as file:
        return [json.loads(text) for text in file][:-1]


def test_a_call_with_its_times_its_input_and_what_it_gave(recording: Recording, tmp_path: Path) -> None:
    scorer = recording.tap.scorer(Models(), "a")
    assert scorer.probability(np.zeros(16, np.float32)) == 0.25
    (call,) = written(recording, tmp_path)
    assert call == {
        "is": "call",
        "stage": "score",
        "session": "a",
        "worker": "MainThread",
        "asked": 1 * MS,  # the clock was read once at the start
        "began": 1 * MS,
        "ended": 2 * MS,
        "input": zeros(16),
        "work": 1,
        "gave": 0.25,
    }


def test_windows_of_a_batch_belong_to_their_sessions(recording: Recording, tmp_path: Path) -> None:
    tap = recording.tap
    states: list[VadState] = [tap.vad_state("a"), tap.vad_state("b")]
    windows = [np.zeros(512, np.float32)] * 2
    assert tap.vad(Models()).probabilities(windows, states) == [0.5, 1.5]
    calls = written(recording, tmp_path)
    assert [(call["session"], call["gave"], call["work"]) for call in calls] == [("a", 0.5, 2), ("b", 1.5, 2)]
    assert [(call["began"], call["ended"]) for call in calls] == [(1 * MS, 2 * MS)] * 2


def test_a_transcript_is_known_by_all_of_its_audio(recording: Recording, tmp_path: Path) -> None:
    """However it was cut into spans, and with what was given twice counted once."""
    silence = np.zeros(30, np.float32)
    for session, spans in (("a", [(0, 10), (10, 30)]), ("b", [(0, 20), (10, 30)])):
        transcriber = recording.tap.transcriber(Models(), session)
        transcriber.begin(0)
        (start, end), (again, last) = spans
        transcriber.partial(AudioSpan(silence[start:end], start))
        assert transcriber.final(AudioSpan(silence[again:last], again)).text == "Hi."
    calls = written(recording, tmp_path)
    assert [call["stage"] for call in calls] == ["asr.partial", "asr.final"] * 2
    assert [call["input"] for call in calls] == [zeros(10), zeros(30), zeros(20), zeros(30)]
    assert calls[1]["gave"]["ending"] == [-0.25, -3.5]


def test_every_step_of_a_stream(recording: Recording, tmp_path: Path) -> None:
    generator = recording.tap.generator(Models(), "a")
    prompt = generator.prompt([Message("system", "S")], "Hi")
    list(generator.reply(prompt, never))
    asked, reply = written(recording, tmp_path)
    assert asked["gave"]["ids"] == [1, 2]
    assert reply["whole"] is True
    assert [step[3][0] for step in reply["steps"]] == ["started", "prefilled", "token", "finished"]
    assert all(ended - began == MS for began, ended, *_ in reply["steps"])  # the clock is read twice a step
    assert reply["steps"][1][2] == len("\nsystem: S\nuser: Hi")  # all of the prompt was still to be read


def test_a_stream_that_was_cancelled(recording: Recording, tmp_path: Path) -> None:
    items = recording.tap.generator(Models(), "a").reply(Prompt([1], ()), never)
    next(items)
    items.close()  # type: ignore[attr-defined]
    (reply,) = written(recording, tmp_path)
    assert reply["whole"] is False and len(reply["steps"]) == 1


def test_speech_is_kept_once(recording: Recording, tmp_path: Path) -> None:
    speaker = recording.tap.speaker(Models(), "a")
    for _ in range(2):
        assert [chunk.text for chunk in speaker.speak("Yes.", should_stop=never)] == ["Yes", "."]
    calls = written(recording, tmp_path)
    assert [step[3]["audio"] for call in calls for step in call["steps"]] == [[0, 4], [0, 0]] * 2
    assert calls[0]["given"] == "Yes."


def test_a_prompt_that_was_read_ahead_is_new_by_what_follows(recording: Recording, tmp_path: Path) -> None:
    generator = recording.tap.generator(Models(), "a")
    generator.read_ahead([Message("system", "S")], "What is")
    list(generator.reply(Prompt([1], (Message("system", "S"), Message("user", "What is it?"))), never))
    ahead, reply = written(recording, tmp_path)
    assert ahead["work"] == len("\nsystem: S\nuser: What is.")
    assert reply["steps"][1][2] == len(" it?")


def test_spans_count_from_the_beginning(recording: Recording, tmp_path: Path) -> None:
    recording.span(Span("queue", "frames", 5 * MS, 7 * MS, "a", 2, {"p": 0.5}))
    (span,) = written(recording, tmp_path)
    assert (span["name"], span["on"], span["began"], span["ended"]) == ("queue", "frames", 5 * MS, 7 * MS)
    assert (span["session"], span["reply"], span["attributes"]) == ("a", 2, {"p": 0.5})


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(TraceError, match="is there already"):
        Recording(tmp_path, Config(), ticking(), said.append)
    assert list(tmp_path.iterdir()) == []


def test_a_remote_model_is_not_recorded(tmp_path: Path, said: list[str]) -> None:
    config = Config(llm=LlmConfig(remote=RemoteConfig(url="http://127.0.0.1:1/v1")))
    with pytest.raises(TraceError, match="another machine"):
        Recording(tmp_path / "t", config, ticking(), said.append)
    assert not (tmp_path / "t").exists()


def test_the_configuration_is_kept_where_it_is_not_the_default() -> None:
    """And nothing of the server, or its token, or of where a model lies."""
    config = Config(
        turn=TurnConfig(min_silence_ms=300),
        llm=LlmConfig(model="/home/someone/own.gguf", generate=GenerateConfig(max_tokens=5)),
        server=ServerConfig(token="secret"),
    )
    assert _meta(config, [])["config"] == {
        "turn": {"min_silence_ms": 300},
        "llm": {"model": "own.gguf", "generate": {"max_tokens": 5}},
    }
    assert _meta(Config(), [])["config"] == {}


@pytest.mark.parametrize(
    "item",
    [
        Started(),
        Token(3, "é"),
        Called("1", "look", '{"a": 1}'),
        Speculated(8, 6, 4, 3),
        Kernels((Served(Operation("qkv", "C", "[1, 2]", "f32"), 4),)),
        Finished("end", "."),
    ],
)
def test_what_is_generated_comes_back(item: Generated) -> None:
    assert generated_of(json.loads(json.dumps(generated_json(item)))) == item


@pytest.mark.parametrize("ending", [Ending(-0.25, -3.5), None])
def test_words_and_prompts_come_back(ending: Ending | None) -> None:
    shown, final = Partial("a", "b", (WORD,)), Hypothesis("a", (1, 2), 1, (WORD,), ending=ending)
    history = (
        Message("assistant", "Hm.", (Call("1", "look", "{}"),)),
        Message("tool", "3", call_id="1"),
    )
    prompt = Prompt([1, 2], history, 1)
    assert partial_of(json.loads(json.dumps(partial_json(shown)))) == shown
    assert hypothesis_of(json.loads(json.dumps(hypothesis_json(final)))) == final
    assert prompt_of(json.loads(json.dumps(prompt_json(prompt))), AS_CONFIGURED) == prompt

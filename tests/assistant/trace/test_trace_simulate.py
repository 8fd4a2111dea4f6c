"""Simulating a trace whose every time was worked out by hand; see `hand_trace`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hand_trace import (
    ANSWERED_MS,
    CHUNK_MS,
    FINAL_MS,
    RELEASED_MS,
    SPOKEN_MS,
    VOICE_END_MS,
    changed,
    lines,
    ns,
    paused_lines,
    slower_voice,
    unsure_lines,
    write,
)

from assistant.models.pool import Models, Opened, on_worker
from assistant.runtime import Clock, Stopped, Worker
from assistant.session.parts import Part
from assistant.trace.errors import TraceError
from assistant.trace.simulate import Simulation, WhatIf, simulate
from assistant.trace.told import told, told_turn_taking
from assistant.trace.trace import read_trace
from llm.decode.generate import Finished, Generated, Prefilled, Started, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.message import Message


class ModelsWantedError(Exception):
    """The real models were asked for."""


def no_models() -> NoReturn:
    raise ModelsWantedError


def simulated(folder: Path, *, strict: bool = False) -> Simulation:
    return simulate(read_trace(folder), no_models, strict=strict)


def parts(simulation: Simulation) -> dict[str, Part]:
    (turn,) = simulation.turns
    return {part.name: part for part in turn.parts}


def test_every_time_is_as_worked_out_by_hand(tmp_path: Path) -> None:
    simulation = simulated(write(tmp_path / "t"))
    (turn,) = simulation.turns
    assert (turn.transcript, turn.reply, turn.heard) == ("Yes?", "Yes.", "Yes.")
    assert simulation.unrecorded == {} and simulation.failures == 0
    assert turn.ttfa_ms == pytest.approx(ANSWERED_MS - VOICE_END_MS, abs=0.01)
    found = parts(simulation)
    assert found["endpoint.wait"].ms == pytest.approx(RELEASED_MS - VOICE_END_MS, abs=0.01)
    assert found["asr.final"].ms == 0
    assert found["asr.final"].hidden_ms == pytest.approx(FINAL_MS, abs=0.01)
    assert found["tts.first_chunk"].ms == pytest.approx(SPOKEN_MS - RELEASED_MS, abs=0.01)
    assert found["tts.first_chunk"].hidden_ms == pytest.approx(CHUNK_MS - (SPOKEN_MS - RELEASED_MS), abs=0.01)
    assert found["playback.start"].ms == pytest.approx(ANSWERED_MS - SPOKEN_MS, abs=0.01)


def test_words_that_come_late_end_the_turn_at_once(tmp_path: Path) -> None:
    """With 250 ms in place of 100 they are there at 1292 ms, and 320 ms of silence were looked at."""
    trace = read_trace(write(tmp_path / "t"))
    found = parts(simulate(trace, no_models, WhatIf(scale={"asr.final": 2.5})))
    assert found["endpoint.wait"].ms == pytest.approx(1292 - VOICE_END_MS, abs=0.01)
    assert found["asr.final"].hidden_ms == pytest.approx(250, abs=0.01)


def test_a_slower_voice_is_waited_for_and_named(tmp_path: Path) -> None:
    before, after = simulated(write(tmp_path / "a")), simulated(write(tmp_path / "b", slower_voice(30)))
    grown = {
        name: part.ms - parts(before)[name].ms
        for name, part in parts(after).items()
        if abs(part.ms - parts(before)[name].ms) > 0.01
    }
    assert grown == {"tts.first_chunk": pytest.approx(30, abs=0.01)}


@pytest.mark.parametrize(("sounds_ms", "latency_ms"), [(90, 90), (20.004, 20), (-0.01, 0)])
def test_the_loudspeaker_is_as_late_as_it_was(tmp_path: Path, sounds_ms: float, latency_ms: int) -> None:
    """A socket takes audio a moment before the recording has it that it was written."""
    at = ns(SPOKEN_MS)
    played = {"is": "played", "session": "s", "at": at, "sounds": at + ns(sounds_ms), "rate": 24000}
    of = [*lines(), {**played, "audio": [0, 12000]}]
    (turn,) = simulated(write(tmp_path / "t", of)).turns
    assert turn.ttfa_ms == pytest.approx(SPOKEN_MS + latency_ms - VOICE_END_MS, abs=0.01)


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    first, second = (json.dumps(told(simulated(folder))) for _ in range(2))
    assert first == second


def test_steps_at_once_on_too_few_cores_slow_each_other(tmp_path: Path) -> None:
    """The score (60 ms) and the prompt (50 ms) share one core, with windows of 2 ms each.

    Those of 1060, 1100 and 1120 make the transcript late, which is there at 1148. With those of 1160, 1200
    and 1220 the prompt is read at 1148 + 2 * 50 + 3 * 2 = 1254. 10 ms of the score are left, beside the token
    and the window of 1260: it comes at 1254 + 2 * 10 + 2 = 1276 and ends the turn. 10 ms of the token are
    left, with the window of 1280: it comes at 1288, the speech at 1318.
    """
    simulation = simulated(write(tmp_path / "t", unsure_lines(0.99), cores=1))
    found = parts(simulation)
    assert found["llm.prefill"].ms + found["llm.prefill"].hidden_ms == pytest.approx(1254 - 1148, abs=0.01)
    assert found["endpoint.wait"].ms == pytest.approx(1276 - VOICE_END_MS, abs=0.01)
    assert simulation.turns[0].ttfa_ms == pytest.approx(1318 + 20 - VOICE_END_MS, abs=0.01)


def test_what_was_not_recorded_is_asked_of_the_real_models_and_counted(tmp_path: Path) -> None:
    less = [line for line in lines() if line.get("stage") != "asr.final"]
    simulation = simulated(write(tmp_path / "t", less))
    assert simulation.unrecorded == {"asr.final": 1}
    assert simulation.failures == 1  # the models of this test cannot be loaded


def test_strict_refuses_what_was_not_recorded(tmp_path: Path) -> None:
    less = [line for line in lines() if line.get("stage") != "asr.final"]
    with pytest.raises(TraceError, match=r"not recorded: asr\.final \(1\)$"):
        simulated(write(tmp_path / "t", less), strict=True)


def test_a_call_that_was_cancelled_gives_what_it_gave(tmp_path: Path) -> None:
    """Nobody asks for more of it than was recorded, so that no model is needed; else one is."""
    cut = changed(lines(), "tts.speak", whole=False)
    simulation = simulated(write(tmp_path / "t", cut))
    assert simulation.unrecorded == {"tts.speak": 1}
    assert simulation.turns[0].ttfa_ms == pytest.approx(ANSWERED_MS - VOICE_END_MS, abs=0.01)


def test_real_models_answer_in_their_place(tmp_path: Path) -> None:
    class Scorer:
        def probability(self, turn: object) -> float:
            return 0.99

    class Hearing:
        scorer = Scorer()

    folder = write(tmp_path / "t", changed(unsure_lines(0.0), "score", input="of other audio"))
    models = Models(language=None, hearing=Hearing())  # type: ignore[arg-type]
    simulation = simulate(read_trace(folder), lambda: models)
    assert simulation.unrecorded == {"score": 1}
    assert simulation.turns[0].ttfa_ms == pytest.approx(ANSWERED_MS - VOICE_END_MS, abs=0.01)


class FakeLanguage:
    """A language model with one place, which it refuses to give twice."""

    kv_bytes = 0
    takes_tools = False
    tells_ends = False

    def __init__(self) -> None:
        self.taken, self.opened = False, 0

    def open(self, worker: Worker, clock: Clock) -> Opened:
        assert not self.taken, "its place is taken"
        self.taken, self.opened = True, self.opened + 1
        generator: Any = self
        return on_worker(generator, self.close, worker, clock)

    def close(self) -> None:
        self.taken = False

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        return Prompt([1, 2, 3], (*history, Message("user", transcript or "")), options=options)

    def reply(self, prompt: Prompt, stopped: Stopped) -> Iterator[Generated]:
        assert prompt.ids == [1, 2, 3] and not stopped()
        yield from (Started(), Prefilled(np.ones((1, 9), np.float32)))
        yield from (Token(7, "Yes."), Finished("end", ""))


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_real_reply_needs_no_second_place(tmp_path: Path, steps: int) -> None:
    """Of the recorded reply so many steps are left; the real model gives the others, and made the prompt."""
    cut = [
        {**line, "steps": line["steps"][:steps], "whole": False} if line.get("stage") == "llm.reply" else line
        for line in lines()
        if line.get("stage") != "llm.prompt"
    ]
    language = FakeLanguage()
    models = Models(language, None)
    simulation = simulate(read_trace(write(tmp_path / "t", cut)), lambda: models)
    (turn,) = simulation.turns
    assert (turn.reply, turn.heard, simulation.failures) == ("Yes.", "Yes.", 0)
    assert simulation.unrecorded == {"llm.prompt": 1, "llm.reply": 1}
    assert not language.taken and language.opened == 2


@pytest.mark.parametrize(
    ("what_if", "answered_ms"),
    [
        (WhatIf(scale={"tts": 2}), ANSWERED_MS + CHUNK_MS),
        # Prompt and token take 35 ms in place of 70: the speech is there at 1207 and waits for the release.
        (WhatIf(scale={"llm": 0.5}), RELEASED_MS + 20),
        (WhatIf(scale={"tt": 2, "llm.prefil": 2}), None),
        (WhatIf(cores=16), ANSWERED_MS),
    ],
)
def test_what_if(tmp_path: Path, what_if: WhatIf, answered_ms: int | None) -> None:
    trace = read_trace(write(tmp_path / "t"))
    if answered_ms is None:
        with pytest.raises(TraceError, match=r"has no 'tt'; there are asr\.final, "):
            simulate(trace, no_models, what_if)
        return
    (turn,) = simulate(trace, no_models, what_if).turns
    assert turn.ttfa_ms == pytest.approx(answered_ms - VOICE_END_MS, abs=0.01)


def test_a_false_start_that_was_taken_back(tmp_path: Path) -> None:
    """A voice twenty times slower: the reply of the pause is released at 1222 ms, and taken back unheard.

    The second transcript begins at 1862 ms; its reply is ready 100 + 50 + 20 + 600 ms later, and the voice
    ended at 1792. As much again was for nothing in the pause.
    """
    trace = read_trace(write(tmp_path / "t", paused_lines()))
    simulation = simulate(trace, no_models, WhatIf(scale={"tts": 20}))
    (turn,) = told(simulation)["turns"].values()
    assert (turn["false_starts"], turn["heard_false_starts"], turn["ready_ms"]) == (1, 0, 840.0)
    numbers = told_turn_taking([simulation, simulation])
    assert numbers["by_pause"]["list"] == {
        "turns": 2,
        "turns_with_false_start": 2,
        "turns_with_heard_false_start": 0,
    }
    assert numbers["speculation"] == {
        "prepared": 4,
        "discarded": 2,
        "discarded_share": 0.5,
        "core_ms": 3080.0,
        "wasted_core_ms": 1540.0,
    }


def test_a_false_start_that_was_heard(tmp_path: Path) -> None:
    """The label says that the user went on until 1500 ms; the reply sounds at 1262."""
    late = [{**line, "speech_end_sample": 1500 * 16} if line["is"] == "clip" else line for line in lines()]
    (turn,) = simulate(read_trace(write(tmp_path / "t", late)), no_models).turns
    assert (turn.false_starts, turn.heard_false_starts) == (1, 1)
    assert turn.ready_ms == pytest.approx(SPOKEN_MS - 1500, abs=0.01)


def test_an_input_that_cannot_be_given_again_is_refused(tmp_path: Path) -> None:
    asked = {"is": "input", "session": "s", "at": 0, "what": "ReplyRequested", "fields": {}}
    with pytest.raises(TraceError, match="an input ReplyRequested cannot be simulated"):
        simulated(write(tmp_path / "t", [*lines(), asked]))

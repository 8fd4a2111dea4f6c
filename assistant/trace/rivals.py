"""Silence alone, Smart Turn as Pipecat uses it, and this assistant, on the same labelled clips.

The first two are given the voice detector's windows of each clip, and take no time to decide. The assistant
is replayed in real time, and all that it does is in its waits.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.turn_end import TurnEnd
from asr.vad import WINDOW, Vad, VadState
from assistant.audio import AudioError, Clip, ClipError, find_clips, read_clip, to_asr_rate
from assistant.config import Config, ConfigError, read_config
from assistant.models.load import load_pool, locate
from assistant.models.speech import TURN_END, VAD, fetch
from assistant.models.store import ModelStore, ModelStoreError
from assistant.runtime import Clock, Recorder
from assistant.runtime.machine import machine
from assistant.session.scheduled import ScorerModel, VadModel
from assistant.trace.errors import TraceError
from assistant.trace.replay import Replayer, dealt
from assistant.trace.rival_outcomes import Outcome, by_kind, decided, grouped, lines, of_replay
from assistant.trace.rival_policies import by_silence, by_smart_turn
from assistant.trace.summary import ReportError, turn_json, write_json

_SILENCE_S = 4  # behind each clip, so that whoever waits longest comes to an end
_SILENCES_MS = (500, 800)  # the first is the default of `server_vad`
ASSISTANT = "this assistant"


class Offline:
    """The rivals that only listen, on models as fast as they are."""

    def __init__(self, vad: VadModel[VadState], smart_turn: ScorerModel) -> None:
        self._vad, self._smart_turn = vad, smart_turn
        self.smart_turn_ms: list[float] = []
        """How long each answer of Smart Turn took; the waits do not have it."""

    def outcomes(self, clip: Clip) -> dict[str, Outcome]:
        """What comes of a labelled clip under each rival, by its name; raises AudioError."""
        audio, rate = read_clip(clip)
        heard = np.concatenate([to_asr_rate(audio, rate), np.zeros(_SILENCE_S * RATE, np.float32)])
        voices = self._voices(heard)
        ends = {f"silence {ms} ms": by_silence(voices, ms) for ms in _SILENCES_MS}
        ends["Smart Turn"] = by_smart_turn(voices, lambda start, end: self._complete(heard[start:end]))
        return {name: decided(clip, rate, of) for name, of in ends.items()}

    def _voices(self, audio: NDArray[np.float32]) -> list[float]:
        state, whole = VadState(), len(audio) // WINDOW
        windows = audio[: whole * WINDOW].reshape(whole, WINDOW)
        return [voice for window in windows for voice in self._vad.probabilities([window], [state])]

    def _complete(self, turn: NDArray[np.float32]) -> float:
        start_s = perf_counter()
        probability = self._smart_turn.probability(turn)
        self.smart_turn_ms.append((perf_counter() - start_s) * 1e3)
        return probability


def labelled(folders: Sequence[Path]) -> list[Clip]:
    """All clips of `folders`; raises ClipError: one without the end of its speech, or two that are alike."""
    clips = [clip for folder in folders for clip in find_clips(folder)]
    names = [(clip.name, clip.reference) for clip in clips]
    for clip, name in zip(clips, names, strict=True):
        if clip.speech_end_sample is None:
            raise ClipError(f'{clip.path}: nobody knows when its speaker was done: no "speech_end_sample"')
        if names.count(name) > 1:
            raise ClipError(f"{clip.path}: another clip has its name and its text")
    return clips


def replayed(clips: Sequence[Clip], config: Config) -> list[dict[str, Any]]:
    """The turns of the assistant as `assistant replay --json` writes them; raises as `load_pool`."""
    clock = Clock()
    pool = load_pool(config, locate(config, ModelStore()), clock)
    try:
        replay = asyncio.run(Replayer(pool, config, clock, Recorder()).replay(dealt(clips)))
    finally:
        pool.close()
    return [turn_json(turn) for turn in replay.turns]


def _turns_in(path: Path) -> list[dict[str, Any]]:
    try:
        turns: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["turns"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TraceError(f"{path}: is no report of assistant replay --json ({error})") from error
    return turns


def compare(
    clips: Sequence[Clip], turns: Sequence[Mapping[str, Any]], offline: Offline
) -> dict[str, list[Outcome]]:
    """What came of labelled clips, by rival; `turns` are the assistant's. Raises AudioError, TraceError."""
    mine = of_replay(clips, turns)
    each = [offline.outcomes(clip) for clip in clips]
    return {**{name: [of[name] for of in each] for name in each[0]}, ASSISTANT: mine}


def as_json(rivals: Mapping[str, Sequence[Outcome]]) -> dict[str, Any]:
    """All figures, and what came of each clip."""
    return {
        name: {
            "figures": {group: asdict(of) for group, of in grouped(outcomes).items()},
            "by_pause": by_kind(outcomes),
            "turns": [
                {"file": of.clip.name, "text": of.clip.reference, "wait_ms": of.wait_ms, "early": of.early}
                for of in outcomes
            ],
        }
        for name, outcomes in rivals.items()
    }


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit code 2 and one line for bad input."""
    parser = argparse.ArgumentParser(prog="python -m assistant.trace.rivals", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="Folders of labelled clips.")
    parser.add_argument("--replayed", type=Path, nargs="+", help="Reports of replays, in place of a new one.")
    parser.add_argument("--config", type=Path, help="Settings of the assistant.")
    parser.add_argument("--json", type=Path, help="Write all results.")
    options = parser.parse_args(words)
    try:
        clips, config = labelled(options.folders), read_config(options.config)
        found = fetch(ModelStore(), [VAD, TURN_END])
        offline = Offline(Vad(found[VAD]), TurnEnd(found[TURN_END]))
        if options.replayed:
            turns = [turn for path in options.replayed for turn in _turns_in(path)]
        else:
            turns = replayed(clips, config)
        rivals = compare(clips, turns, offline)
        print("\n".join(lines(rivals)))
        took_ms = median(offline.smart_turn_ms) if offline.smart_turn_ms else None
        if took_ms is not None:
            print(f"Smart Turn took {took_ms:.0f} ms (median) for each answer, which its waits do not have")
        if options.json:
            write_json(
                options.json, {"machine": machine(), "rivals": as_json(rivals), "smart_turn_ms": took_ms}
            )
    except (AudioError, ClipError, ConfigError, ModelStoreError, ReportError, TraceError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

"""`assistant eval requests`: what comes of everyday requests, typed or spoken."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest

from asr.audio import RATE
from asr.eval.evaluate import transcribe
from asr.eval.feed import Clocks
from assistant.audio import to_asr_rate
from assistant.commands.evaluate import load_recognizers
from assistant.commands.household import open_skills
from assistant.commands.preflight import check_file
from assistant.commands.say import speak_text
from assistant.config import Config, read_config
from assistant.home.scripted import ScriptedHome
from assistant.models.language import load_language
from assistant.models.load import locate_adapter, locate_llm
from assistant.models.pool import ModelPool, Models, frozen
from assistant.models.speech import asr_paths, load_speaker, locate_voice
from assistant.models.store import ModelStore
from assistant.requests import Asked, Request, Verdict, ask, judge, read_home, read_requests
from assistant.requests.read import KINDS
from assistant.runtime import Clock
from assistant.runtime.machine import machine
from assistant.trace.summary import ReportError, write_json

_SILENCE = np.zeros(RATE // 4, np.float32)
_VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "claimed")


@dataclass(frozen=True)
class Answered:
    """A request, what came of each of its turns, and the verdict."""

    request: Request
    asked: tuple[Asked, ...]
    verdict: Verdict


def run_evaluate_requests(
    folder: Path, json: Path | None, config_path: Path | None, *, spoken: bool = False
) -> None:
    """Ask every request of `folder`, print what came of it, and how often that is right.

    The home is the folder's `home.json`, if it has one; what skills keep is kept in memory. With `spoken`,
    requests go through the configured voice and the recognizer. Raises the typed errors of what cannot be
    read or loaded.
    """
    config = read_config(config_path)
    requests = read_requests(folder)
    home = read_home(folder)
    check_file(json, ReportError)
    heard = _through_speech(config, home) if spoken else _as_it_is
    answered = asyncio.run(_ask_all(config, requests, home, heard))
    _print(answered)
    if json:
        write_json(json, {"machine": machine(), "spoken": spoken, **report(answered)})


async def _ask_all(
    config: Config, requests: Sequence[Request], home: ScriptedHome, heard: Callable[[str], str]
) -> list[Answered]:
    path = None if config.llm.is_remote else locate_llm(config.llm, ModelStore())
    answered = []
    with open_skills(config, home=home, in_memory=True) as skills:
        language = load_language(config.llm, path, locate_adapter(config.llm, ModelStore()))
        pool = ModelPool(frozen(lambda: Models(language, skills=skills.open)), Clock())
        try:
            for request in _track(requests):
                stages = pool.open()
                says = [heard(turn.say) for turn in request.turns]
                asked = await ask(stages, config.llm.system_prompt, says)
                await stages.close()
                answered.append(Answered(request, tuple(asked), judge(request, asked)))
        finally:
            pool.close()
    return answered


def report(answered: Sequence[Answered]) -> dict[str, Any]:
    """The figures of each kind, and every request."""
    kinds: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        verdicts = [one.verdict for one in answered if one.request.kind == kind]
        if verdicts:
            low, high = binomtest(verdicts.count("right"), len(verdicts)).proportion_ci(method="wilson")
            kinds[kind] = {verdict: verdicts.count(verdict) for verdict in _VERDICTS}
            kinds[kind]["interval"] = [round(low, 3), round(high, 3)]
    return {"kinds": kinds, "requests": [_line(one) for one in answered]}


def _line(one: Answered) -> dict[str, object]:
    turns = [
        {"said": turn.say, **asdict(asked)} for turn, asked in zip(one.request.turns, one.asked, strict=True)
    ]
    return {"kind": one.request.kind, "verdict": one.verdict, "turns": turns}


def _as_it_is(text: str) -> str:
    return text


def _through_speech(config: Config, home: ScriptedHome) -> Callable[[str], str]:
    """What the recognizer reads of a text that the voice speaks, expecting the names of the home."""
    store = ModelStore()
    speaker = load_speaker(config.tts, locate_voice(config.tts, store))
    names = dict.fromkeys(name for entity in home.entities for name in (entity.name, entity.area) if name)
    asr = replace(config.asr, phrases=(*config.asr.phrases, *names))
    loaded = load_recognizers(asr_paths(store), asr)

    def heard(text: str) -> str:
        chunks = [chunk for chunk in speak_text(speaker, text) if len(chunk.audio)]
        audio = to_asr_rate(np.concatenate([chunk.audio for chunk in chunks]), chunks[0].sample_rate)
        audio = np.concatenate([_SILENCE, audio, _SILENCE])
        return transcribe("final", loaded, audio, config.asr.partial_ms, Clocks()).text

    return heard


def _print(answered: Sequence[Answered]) -> None:
    console = Console()
    for one in answered:
        for turn, asked in zip(one.request.turns, one.asked, strict=True):
            read = "" if asked.say == turn.say else f" [read: {asked.say}]"
            slots = ", ".join(f"{name}={value}" for name, value in asked.slots.items())
            typer.echo(f"{one.verdict:<8}{one.request.kind:<9}{turn.say}{read}")
            typer.echo(f"{'':17}{asked.intent or 'language model'}({slots}): {asked.reply}")
    table = Table("", *(f"{verdict}" for verdict in _VERDICTS), "95 % interval of right", box=None)
    for kind, figures in report(answered)["kinds"].items():
        low, high = figures["interval"]
        counts = [str(figures[verdict]) for verdict in _VERDICTS]
        table.add_row(kind, *counts, f"{low:.0%} to {high:.0%}")
    console.print(table)


def _track(requests: Sequence[Request]) -> Sequence[Request]:
    bar = Console(stderr=True)
    return track(requests, "asking", console=bar, transient=True, disable=not sys.stderr.isatty())  # type: ignore[return-value]

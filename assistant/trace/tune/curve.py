"""Given settings on all turns, nothing chosen: what each is worth, by the kind of pause."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assistant.config import ConfigError, config_of
from assistant.session.turn import TurnConfig
from assistant.trace.errors import TraceError
from assistant.trace.tune import worth
from assistant.trace.tune.sweep import Sweep
from assistant.trace.tune.worth import ALL, Worth, by_pauses

Curve = Mapping[str, Mapping[str, Worth]]
"""What the settings, as they were written, are worth on each group of turns."""


def settings_of(text: str, present: TurnConfig) -> dict[str, Any]:
    """Keys of TurnConfig from text like turn.detection="silence",turn.silence_ms=500; raises TraceError."""
    try:
        table = tomllib.loads(f"at = {{{text}}}")["at"]
    except ValueError as error:
        raise TraceError(f"--at {text!r:.60}: should be like turn.patience=0.5; texts want quotes") from error
    if set(table) != {"turn"} or not isinstance(table["turn"], dict):
        raise TraceError(f"--at {text!r:.60}: only keys of [turn] can be tried")
    try:
        config_of({"turn": {**asdict(present), **table["turn"]}}, Path("--at"))
    except ConfigError as error:
        raise TraceError(str(error)) from error
    return dict(table["turn"])


def curve(sweep: Sweep, at: Sequence[str], seed: int) -> Curve:
    """What comes of all turns under each of the settings `at`.

    Raises TraceError: one of them is none, or there are no turns.
    """
    settings = {text: settings_of(text, sweep.present) for text in at}
    if not sweep.texts:
        raise TraceError("no clip in these traces says when its speaker was done (speech_end_sample)")
    return {text: by_pauses(sweep.outcomes(of, lambda _: True), seed) for text, of in settings.items()}


def lines(found: Curve, sweep: Sweep) -> Iterator[str]:
    """How many turns there are, and what the settings are worth on them."""
    first = next(iter(found.values()))
    left_out = f", {sweep.unlabelled} clips without the end of speech left out" if sweep.unlabelled else ""
    yield f"{first[ALL].turns} turns{left_out}; with 95 % intervals"
    yield from worth.lines(found)


def as_json(found: Curve) -> dict[str, Any]:
    """All figures, by settings and group."""
    return {text: {name: asdict(of) for name, of in groups.items()} for text, groups in found.items()}

"""The settings that are tried: points spread evenly over ranges of keys of `[turn]`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from math import isfinite
from typing import Any

from scipy.stats import qmc

from assistant.session.turn import TurnConfig
from assistant.spelling import nearest
from assistant.trace.errors import TraceError

DEFAULT = (
    "turn.patience=0:1",
    "turn.min_silence_ms=64:320",
    "turn.max_silence_ms=800:2400",
)
_TYPES = {f"turn.{field.name}": field.type for field in fields(TurnConfig) if field.type in (int, float)}
_DECIMALS = 2
_TRIES = 100  # draws for each point that is wanted, where some are not possible

Settings = Mapping[str, Any]
"""Keys of TurnConfig that are to differ from the recording."""


@dataclass(frozen=True)
class Range:
    """A key of TurnConfig, and from where to where it is tried."""

    key: str
    low: float
    high: float
    whole: bool

    def at(self, share: float) -> float:
        """The value at `share` of the way, rounded as it is printed."""
        value = self.low + share * (self.high - self.low)
        return round(value) if self.whole else round(value, _DECIMALS)


def ranges_of(texts: Iterable[str]) -> list[Range]:
    """Ranges like turn.patience=0.2:0.8; raises TraceError."""
    ranges = [_range(text) for text in texts]
    if twice := [each.key for each in ranges if [other.key for other in ranges].count(each.key) > 1]:
        raise TraceError(f"--over turn.{twice[0]}: is given twice")
    return ranges


def _range(text: str) -> Range:
    name, _, ends = text.partition("=")
    if name not in _TYPES:
        raise TraceError(f"--over {name!r:.60}: no such number in [turn]{nearest(name, _TYPES)}")
    try:
        low, high = map(float, ends.split(":"))
    except ValueError as error:
        raise TraceError(f"--over {text!r:.60}: should be like {name}=LOW:HIGH") from error
    if not (isfinite(low) and isfinite(high) and low < high):
        raise TraceError(f"--over {text!r:.60}: should go from a number to a greater one")
    if name.endswith("_ms") and low < 0:
        raise TraceError(f"--over {text!r:.60}: a time is not negative")
    found = Range(name.removeprefix("turn."), low, high, _TYPES[name] is int)
    try:
        for end in (low, high):
            replace(TurnConfig(), **{found.key: end})  # type: ignore[arg-type]  # only its size counts
    except ValueError as error:
        raise TraceError(f"--over {text!r:.60}: {error}") from error
    return found


def points(ranges: Sequence[Range], count: int, seed: int, present: TurnConfig) -> list[Settings]:
    """The `present` settings, then `count` others: a scrambled Halton sequence, the same for a `seed`.

    Raises TraceError: hardly a point of these ranges is possible.
    """
    found = list(islice(_possible(ranges, count * _TRIES, seed, present), count))
    if len(found) < count:
        raise TraceError("--over: in most of these ranges max_silence_ms is not above min_silence_ms")
    return [{each.key: getattr(present, each.key) for each in ranges}, *found]


def _possible(ranges: Sequence[Range], most: int, seed: int, present: TurnConfig) -> Iterator[Settings]:
    halton = qmc.Halton(len(ranges), seed=seed)
    for _ in range(most):
        (row,) = halton.random(1)
        settings = {each.key: each.at(float(share)) for each, share in zip(ranges, row, strict=True)}
        turn = replace(present, **settings)  # type: ignore[arg-type]  # whole where they have to be
        if turn.max_silence_ms > turn.min_silence_ms:
            yield settings


def toml(settings: Settings) -> str:
    """The section of a configuration file."""
    return "\n".join(["[turn]", *(f"{key} = {value}" for key, value in settings.items())])

"""Time to first audio, split into parts that add up to it exactly."""

from collections.abc import Mapping
from dataclasses import dataclass

PARTS = (
    "endpoint.wait",
    "asr.final",
    "prompt.assemble",
    "llm.queue",
    "llm.prefill",
    "llm.first_token",
    "llm.first_phrase",
    "tts.first_chunk",
    "playback.start",
)


@dataclass(frozen=True)
class Part:
    """`ms` of the wait that this part is answerable for; `hidden_ms` ran behind an earlier part."""

    name: str
    ms: float
    hidden_ms: float


@dataclass(frozen=True)
class Boundaries:
    """When each part ended, and began its own work: by default at the end of the part before."""

    ends_ns: Mapping[str, int]
    starts_ns: Mapping[str, int]


def split(voice_end_ns: int, boundaries: Boundaries) -> list[Part]:
    """Partition the interval from `voice_end_ns` to the end of the last part.

    Work that was over before the parts in front of it were
    is hidden; only what stuck out counts, so the parts sum to the whole interval.
    """
    parts, cursor, previous_end = [], voice_end_ns, voice_end_ns
    for name in PARTS:
        end = boundaries.ends_ns[name]
        start = boundaries.starts_ns.get(name, previous_end)
        # The first part alone may be negative: a turn that was ended while the user still spoke.
        exposed = end - cursor if name == PARTS[0] else max(0, end - cursor)
        parts.append(Part(name, exposed / 1e6, max(0, end - start - exposed) / 1e6))
        cursor, previous_end = cursor + exposed, end
    return parts


def ttfa_ms(parts: list[Part]) -> float:
    """Time to first audio in milliseconds."""
    return sum(part.ms for part in parts)

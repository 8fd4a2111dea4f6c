"""Turns of a conversation with a server, as `assistant replay` tells them; pure."""

from collections.abc import Mapping

from assistant.client.state import Over, Reply
from assistant.session.parts import PARTS, Part
from assistant.session.playback import Playback
from assistant.trace.turns import ReplayedTurn

_CHARACTER_MS = 65.0  # of English speech, about; only while it is not known how long a reply will be


def spoken(reply: Reply, heard_ms: float) -> str:
    """The words of a reply that have sounded in so many ms of it: about, for no server says which do."""
    text = reply.text.strip()
    whole_ms = reply.audio_ms if reply.complete else max(reply.audio_ms, len(text) * _CHARACTER_MS)
    if not text or heard_ms >= whole_ms > 0:
        return text
    until = round(len(text) * heard_ms / whole_ms) if whole_ms else 0
    return text[: text.rfind(" ", 0, until + 1) + 1].strip()


def turn(name: str, over: Over, played: Playback | None, ended_ns: int | None) -> ReplayedTurn:
    """A turn whose last voiced sample was recorded at `ended_ns`, as far as that is known."""
    reply = over.reply
    heard = reply.text.strip() if not reply.interrupted else reply.heard
    audible_ns = played.audible_ns if played and (reply.heard_ms or not reply.interrupted) else None
    ttfa_ms = None if audible_ns is None or ended_ns is None else (audible_ns - ended_ns) / 1e6
    return ReplayedTurn(
        file=name,
        reference=None,
        transcript=over.transcript,
        reply=reply.text.strip(),
        ttfa_ms=ttfa_ms,
        parts=() if ttfa_ms is None else parts(reply.metadata, ttfa_ms),
        interrupted=reply.interrupted,
        heard=spoken(reply, reply.heard_ms) if heard is None else heard,
        underruns=played.underruns if played else 0,
    )


def parts(metadata: Mapping[str, str], ttfa_ms: float) -> tuple[Part, ...]:
    """The parts that `assistant serve` states, the last of them with the way and the devices; else none."""
    try:
        stated = [float(metadata[f"{name}_ms"]) for name in PARTS]
    except (KeyError, ValueError):
        return ()
    stated[-1] += ttfa_ms - sum(stated)
    return tuple(Part(name, ms, 0.0) for name, ms in zip(PARTS, stated, strict=True))

"""What one client heard of a clip, worked out from the events that it was sent."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from assistant.server.bench.clips import SpokenClip
from assistant.server.bench.log import Log, Received
from assistant.server.formats import PCM

_AUDIBLE = 10 ** (-50 / 20)  # as in the session: what lies below -50 dBFS nobody takes for a reply
_TEXT = ("response.output_audio_transcript.delta", "response.output_text.delta")
_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


@dataclass
class HeardReply:
    """One reply, played from when its first audio came, without a pause as long as there is more."""

    created_ns: int
    audible_ns: int | None = None
    """When its first sample of at least -50 dBFS sounds."""
    gaps_ms: list[float] = field(default_factory=list)
    """Silences inside it, where audio came after all before it had been played."""
    text: str = ""
    status: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    _played_ns: int | None = None  # when all that came has been played

    def hear(self, at_ns: int, data: bytes) -> None:
        """Play more audio, which came at `at_ns`."""
        audio = PCM.decode(data)
        if self._played_ns is not None and at_ns > self._played_ns:
            self.gaps_ms.append((at_ns - self._played_ns) / 1e6)
        start_ns = at_ns if self._played_ns is None else max(at_ns, self._played_ns)
        loud = np.flatnonzero(np.abs(audio) >= _AUDIBLE)
        if self.audible_ns is None and loud.size:
            self.audible_ns = start_ns + int(loud[0]) * 1_000_000_000 // PCM.rate
        self._played_ns = start_ns + len(audio) * 1_000_000_000 // PCM.rate


@dataclass(frozen=True)
class HeardTurn:
    """What came of one clip; `ttfa_ms` is None where there is no label or nothing was heard."""

    file: str
    reference: str | None
    transcript: str
    reply: str
    ttfa_ms: float | None
    gaps_ms: tuple[float, ...]
    cut_into: bool
    """Whether a reply began before the labelled end of speech."""
    errors: tuple[str, ...]
    broken: str
    metadata: Mapping[str, str]


def measure(spoken: SpokenClip, log: Log) -> HeardTurn:
    """Fold a client's log: of several replies the last that was audible counts."""
    replies = list(heard_replies(log.received))
    audible = [reply for reply in replies if reply.audible_ns is not None]
    end_ns = None if spoken.voice_end_s is None else log.start_ns + int(spoken.voice_end_s * 1e9)
    last = audible[-1] if audible else None
    return HeardTurn(
        file=spoken.clip.name,
        reference=spoken.clip.reference,
        transcript=transcript(log.received),
        reply=last.text if last else "",
        ttfa_ms=_ms_between(end_ns, last.audible_ns if last else None),
        gaps_ms=tuple(gap for reply in replies for gap in reply.gaps_ms),
        cut_into=end_ns is not None and any(reply.created_ns < end_ns for reply in replies),
        errors=tuple(
            str(event["error"].get("code")) for _, event in log.received if event["type"] == "error"
        ),
        broken=log.broken,
        metadata=last.metadata if last else {},
    )


def heard_replies(received: Sequence[Received]) -> Iterable[HeardReply]:
    """Every reply, in the order in which they began."""
    replies: dict[str, HeardReply] = {}
    for at_ns, event in received:
        kind = event["type"]
        if kind == "response.created":
            replies[event["response"]["id"]] = HeardReply(at_ns)
        elif kind == "response.output_audio.delta":
            replies[event["response_id"]].hear(at_ns, base64.b64decode(event["delta"]))
        elif kind in _TEXT:
            replies[event["response_id"]].text += event["delta"]
        elif kind == "response.done":
            reply = replies[event["response"]["id"]]
            reply.status = event["response"]["status"]
            reply.metadata = event["response"].get("metadata") or {}
    return replies.values()


def transcript(received: Sequence[Received]) -> str:
    """What the server understood, without the items that it took back."""
    texts: dict[str, str] = {}
    for _, event in received:
        if event["type"] == _TRANSCRIBED:
            texts[event["item_id"]] = event["transcript"].strip()
        elif event["type"] == "conversation.item.deleted":
            texts.pop(event["item_id"], None)
    return " ".join(text for text in texts.values() if text)


def _ms_between(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / 1e6

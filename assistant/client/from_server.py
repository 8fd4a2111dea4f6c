"""What each event of a server does."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from asr.audio import RATE
from asr.stabilize import Partial
from assistant.client.state import EndOfAudio, Event, Fail, Play, Reply, Say, Show, Step
from assistant.server.formats import PCM
from assistant.server.resume import NOT_FOUND, UNAVAILABLE
from assistant.session.events import ReplyStarted, SpeechStarted, SpeechStopped

_TRANSCRIBED = "conversation.item.input_audio_transcription"
_NOT_RESUMED = (NOT_FOUND, UNAVAILABLE)
PARTIALS = "partials"
CANCEL = "cancel"
HEARD = "heard "
"""`event_id`s of what a server may refuse without a word to the user; behind the last is the reply's id."""

# The user


def _speech_started(step: Step, event: Event) -> None:
    step.do(Show(SpeechStarted(event["audio_start_ms"] * RATE // 1000, event["item_id"])))
    step.interrupt()


def _speech_stopped(step: Step, event: Event) -> None:
    item, end_ms = event["item_id"], int(event["audio_end_ms"])
    step.change(ended_ms={**step.state.ended_ms, item: end_ms})
    step.do(Show(SpeechStopped(end_ms * RATE // 1000, item)))


def _committed(step: Step, event: Event) -> None:
    state, item = step.state, event["item_id"]
    step.change(asked=(*state.asked, item), ended_ms={item: state.committed_ms, **state.ended_ms})


def _partial(step: Step, event: Event) -> None:
    step.do(Show(Partial(event["stable"], event["unstable"])))


def _transcribed(step: Step, event: Event) -> None:
    text = event["transcript"].strip()
    step.change(words={**step.state.words, event["item_id"]: text})
    step.do(Show(Partial(text, "")))


def _transcription_failed(step: Step, event: Event) -> None:
    step.do(Fail("transcribe", event["error"].get("message") or "no reason was given"))


def _deleted(step: Step, event: Event) -> None:
    """The user went on speaking, or said nothing."""
    item = event["item_id"]
    step.change(
        asked=tuple(name for name in step.state.asked if name != item),
        words={name: text for name, text in step.state.words.items() if name != item},
    )
    for reply in step.state.replies.values():
        if item in reply.questions:
            left = tuple(name for name in reply.questions if name != item)
            step.update(replace(reply, questions=left, withdrawn=True))


# Replies


def _created(step: Step, event: Event) -> None:
    state, name = step.state, event["response"]["id"]
    step.change(numbers=state.numbers + 1, asked=())
    step.update(Reply(name, state.numbers, state.asked))
    step.do(Show(ReplyStarted(state.numbers, "")))


def _text(step: Step, event: Event) -> None:
    reply = step.state.replies.get(event["response_id"])
    if reply is not None:
        step.update(replace(reply, text=reply.text + event["delta"]))


def _audio(step: Step, event: Event) -> None:
    reply = step.state.replies.get(event["response_id"])
    if reply is None or reply.interrupted:
        return
    data = base64.b64decode(event["delta"], validate=True)
    if len(data) % PCM.sample_bytes:
        raise ValueError(f"{len(data)} bytes are no whole number of samples")
    ms = len(data) * 1000 / PCM.size(1000)
    step.update(replace(reply, item=event["item_id"], audio_ms=reply.audio_ms + ms))
    step.do(Play(reply.id, data))


def _audio_done(step: Step, event: Event) -> None:
    reply = step.state.replies.get(event["response_id"])
    if reply is not None:
        _complete(step, reply)


def _complete(step: Step, reply: Reply) -> None:
    if reply.complete:
        return
    step.update(replace(reply, complete=True))
    if reply.item and not reply.interrupted:
        step.do(EndOfAudio(reply.id))


def _done(step: Step, event: Event) -> None:
    response = event["response"]
    reply = step.state.replies.get(response["id"])
    if reply is None:
        return
    details = response.get("status_details") or {}
    if response["status"] == "failed":
        step.do(Fail("reply", (details.get("error") or {}).get("message") or "no reason was given"))
    _complete(step, reply)
    reply = step.state.replies[reply.id]
    metadata = response.get("metadata") or {}
    silent = reply.silent or not reply.item
    cut = not reply.item and response["status"] == "cancelled"
    step.update(
        replace(reply, done=True, silent=silent, metadata=metadata, interrupted=reply.interrupted or cut),
    )


def _retrieved(step: Step, event: Event) -> None:
    item = event["item"]
    for reply in step.state.replies.values():
        if reply.item == item["id"] and not reply.settled:
            texts = [part.get("transcript") or part.get("text") or "" for part in item["content"]]
            step.update(replace(reply, settled=True, heard=" ".join(texts).strip() or None))


def _error(step: Step, event: Event) -> None:
    error = event["error"]
    about = error.get("event_id") or ""
    reply = step.state.replies.get(about.removeprefix(HEARD)) if about.startswith(HEARD) else None
    if reply is not None:
        step.update(replace(reply, settled=True))
    elif error.get("code") in _NOT_RESUMED:
        return  # what has become of it is told when the connection is ready
    elif about not in (PARTIALS, CANCEL) and not about.startswith(HEARD):
        step.do(Say(f"the server: {error['message']}"))


def _session(step: Step, event: Event) -> None:
    session = event.get("session") or {}
    resumable = session["id"] if session.get("resumable_s") else ""
    step.change(resumable=resumable, resumed=bool(session.get("resumed")))


def _updated(step: Step, _event: Event) -> None:
    step.change(ready=True)


HANDLERS: Mapping[str, Callable[[Step, Any], None]] = {
    "session.created": _session,
    "session.updated": _updated,
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "input_audio_buffer.committed": _committed,
    f"{_TRANSCRIBED}.partial": _partial,
    f"{_TRANSCRIBED}.completed": _transcribed,
    f"{_TRANSCRIBED}.failed": _transcription_failed,
    "conversation.item.deleted": _deleted,
    "conversation.item.retrieved": _retrieved,
    "response.created": _created,
    "response.output_audio_transcript.delta": _text,
    "response.output_audio.delta": _audio,
    "response.output_audio.done": _audio_done,
    "response.done": _done,
    "error": _error,
}

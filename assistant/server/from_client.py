"""What each event of a client does."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from assistant.server.fields import Fields
from assistant.server.formats import decode_base64
from assistant.server.items import read_item, text_length, wire_item
from assistant.server.settings import Limits, echo, for_response, updated
from assistant.server.state import (
    AddItem,
    Append,
    Cancel,
    Clear,
    Commit,
    Configure,
    Entry,
    RemoveItem,
    Request,
    Response,
    State,
    Step,
    Truncate,
)
from assistant.server.wire import WireError, shown
from assistant.session.conversation import AssistantItem, Item
from assistant.session.request import ReplyRequest

_MAX_AUDIO = 15 * 2**20  # characters of base64; the message size is limited before
_MAX_MS = 86_400_000
_MIN_COMMIT_MS = 100
_METADATA = (16, 64, 512)  # pairs, characters of a key and of a value

NO_TOOLS = "The language model of this server cannot call functions; tools are kept and never called."


def take(step: Step, event: Mapping[str, Any]) -> None:
    """Take an event of the client's; one that cannot be taken is answered with an error."""
    fields = Fields.of_event(event)
    handler = HANDLERS.get(event["type"])
    try:
        if handler is None:
            raise fields.error("type", f'"{shown(event["type"])}" is unknown')
        handler(step, fields)
    except WireError as error:
        step.refuse(error)


def _update_session(step: Step, event: Fields) -> None:
    state = step.state
    session, settings = updated(state.session, event.object("session"), state.limits)
    before, now = state.settings.input_format, settings.input_format
    buffered_bytes = now.size(before.ms(state.buffered_bytes))  # it lasts as long as it did
    step.change(session=session, settings=settings, buffered_bytes=buffered_bytes)
    if settings.detection is None and state.settings.detection is not None and state.speech is None:
        step.change(buffered_bytes=0)  # what was no turn of the user's is none of the client's, either
        step.do(Clear())
    warnings = {"warnings": [NO_TOOLS]} if settings.reply.options.tools and not state.can_call else {}
    step.send("session.updated", session={**echo(session), **warnings})
    step.do(Configure(settings))


def _append(step: Step, event: Fields) -> None:
    text = event.text("audio", limit=_MAX_AUDIO)
    settings, before = step.state.settings, step.state.buffered_bytes
    data = decode_base64(text, settings.input_format, event.event_id)
    step.change(buffered_bytes=before + len(data))
    full = settings.input_format.size(step.state.limits.buffer_ms)
    if settings.detection is not None or before + len(data) <= full:
        step.do(Append(data))
    elif before <= full:  # said once
        message = "the buffer is full: commit or clear it"
        raise WireError("input_audio_buffer_full", message, "audio", event.event_id)


def _commit(step: Step, event: Fields) -> None:
    buffered_ms = step.state.settings.input_format.ms(step.state.buffered_bytes)
    if buffered_ms < _MIN_COMMIT_MS:
        message = (
            f"there are {buffered_ms} ms of audio in the buffer, and a turn has at least {_MIN_COMMIT_MS}"
        )
        raise WireError("input_audio_buffer_commit_empty", message, None, event.event_id)
    step.change(buffered_bytes=0)
    step.do(Commit())


def _clear(step: Step, _event: Fields) -> None:
    step.change(buffered_bytes=0)
    step.do(Clear())
    step.send("input_audio_buffer.cleared")


def _create_item(step: Step, event: Fields) -> None:
    state = step.state
    wanted = event.object("item")
    item = read_item(wanted, lambda: step.new_id("msg"), state.limits.item)
    after = event.text("previous_item_id", limit=128, default=None, null=None)
    if item.id in (*state.items, *_begun(state)):
        message = f"there is an item '{shown(item.id)}' already"
        raise WireError("item_create_duplicate_item_id", message, "item.id", event.event_id)
    known = _living(state.items, after)
    if after not in (None, "root") and known is None:
        message = f"there is no item '{shown(after or '')}'"
        raise WireError("item_create_invalid_previous_item_id", message, "previous_item_id", event.event_id)
    step.put(Entry(item), after, at_end=after is None)
    previous = step.previous(item.id)
    for kind in ("added", "done"):
        step.send(f"conversation.item.{kind}", previous_item_id=previous, item=wire_item(item))
    step.do(AddItem(item, None if after is None else "" if after == "root" else known))
    _forget_oldest(step)


def _begun(state: State) -> list[str]:
    """The items that will be, or were deleted before they are complete."""
    speech = [state.speech.item] if state.speech else []
    return speech + ([state.response.item] if state.response else [])


def _living(items: Mapping[str, Entry], name: str | None) -> str | None:
    """The item `name`, or the nearest before it, that the conversation still has; "" if there is none."""
    if name not in items:
        return None
    living = ""
    for other, entry in items.items():
        living = living if entry.gone else other
        if other == name:
            break
    return living


def _forget_oldest(step: Step) -> None:
    oldest = too_old(_announced(step.state.items), step.state.limits)
    if oldest:
        _forget(step, *oldest)


def too_old(items: Mapping[str, Entry], limits: Limits) -> list[str]:
    """The oldest of `items`, as long as there are too many, or too much is in them; the last one stays."""
    lengths = {name: text_length(entry.item) for name, entry in items.items()}
    whole, oldest = sum(lengths.values()), []
    for left, name in zip(range(len(items), 1, -1), items, strict=False):
        if left <= limits.items and whole <= limits.history:
            break
        whole -= lengths[name]
        oldest.append(name)
    return oldest


def _announced(items: Mapping[str, Entry]) -> Mapping[str, Entry]:
    return {name: entry for name, entry in items.items() if entry.announced}


def _forget(step: Step, *names: str) -> None:
    items, forgotten = step.state.items, set(names)
    step.change(items={name: kept for name, kept in items.items() if name not in forgotten})
    for name in names:
        step.send("conversation.item.deleted", item_id=name)
        if not items[name].gone:
            step.do(RemoveItem(name))


def _known(step: Step, event: Fields, code: str) -> Entry:
    name = event.text("item_id", limit=1024)
    entry = step.state.items.get(name)
    if entry is None or not entry.announced:
        raise WireError(code, f"there is no item '{shown(name)}'", "item_id", event.event_id)
    return entry


def _retrieve_item(step: Step, event: Fields) -> None:
    entry = _known(step, event, "item_retrieve_invalid_item_id")
    complete = not isinstance(entry.item, AssistantItem) or entry.item.complete
    status = "completed" if complete else "incomplete"
    step.send("conversation.item.retrieved", item=wire_item(entry.item, spoken=entry.spoken, status=status))


def _delete_item(step: Step, event: Fields) -> None:
    _forget(step, _known(step, event, "item_delete_invalid_item_id").item.id)


def _truncate_item(step: Step, event: Fields) -> None:
    entry = _known(step, event, "item_truncate_invalid_item_id")
    event.integer("content_index", low=0, high=64, default=0, null=0)
    ms = event.integer("audio_end_ms", low=0, high=_MAX_MS)
    if not entry.spoken:
        raise event.error("item_id", "is no reply with audio")
    ms = min(ms, entry.sent_ms)
    if not entry.gone:
        step.do(Truncate(entry.item.id, ms))
    response = step.state.response
    if response is not None and response.item == entry.item.id:
        _cancel(step)  # nobody listens any more
    step.send("conversation.item.truncated", item_id=entry.item.id, content_index=0, audio_end_ms=ms)


def _create_response(step: Step, event: Fields) -> None:
    state = step.state
    response = None if state.response and state.response.cancelled else state.response
    if active := response or state.pending:  # one that is cancelled is over before the next begins
        message = f"the response {active.id} is in progress"
        code = "conversation_already_has_active_response"
        raise WireError(code, message, None, event.event_id)
    wanted = event.object("response", default=None, null=None) or Fields({}, "response", event.event_id)
    settings = for_response(state.session, wanted, state.limits)
    outside = wanted.choice("conversation", ("auto", "none"), default="auto", null="auto") == "none"
    pending = Response(
        step.new_id("resp"), settings, event.event_id, _metadata(wanted), in_conversation=not outside
    )
    request = ReplyRequest(
        tag=pending.id,
        settings=settings.reply,
        instructions=wanted.text("instructions", limit=state.limits.instructions, default=None, null=None),
        items=_input(step, wanted),
        in_conversation=not outside,
    )
    step.change(pending=pending)
    step.do(Request(request))


def _input(step: Step, wanted: Fields) -> tuple[Item, ...] | None:
    """What a response answers in place of the conversation."""
    limits = step.state.limits
    listed = wanted.array("input", limit=limits.items, default=None, null=None)
    if listed is None:
        return None
    items: list[Item] = []
    for index in listed:
        each = listed.object(index)
        if each.values.get("type") != "item_reference":
            items.append(read_item(each, lambda: step.new_id("msg"), limits.item))
            continue
        name = each.text("id", limit=1024)
        if name not in step.state.items:
            raise each.error("id", "names no item")
        items.append(step.state.items[name].item)
    return tuple(items)


def _metadata(wanted: Fields) -> Mapping[str, str] | None:
    found = wanted.object("metadata", default=None, null=None)
    if found is None:
        return None
    pairs, key_length, value_length = _METADATA
    if len(found) > pairs or any(len(key) > key_length for key in found):
        raise wanted.error("metadata", f"must have at most {pairs} keys of at most {key_length} characters")
    return {key: found.text(key, limit=value_length) for key in found}


def _cancel_response(step: Step, event: Fields) -> None:
    state = step.state
    wanted = event.text("response_id", limit=1024, default=None, null=None)
    if wanted not in (None, *(response.id for response in (state.response, state.pending) if response)):
        raise _not_active(event)
    if state.quiet:
        raise _not_active(event)
    _cancel(step)


def _not_active(event: Fields) -> WireError:
    message = "Cancellation failed: no such response is in progress"
    return WireError("response_cancel_not_active", message, None, event.event_id)


def _clear_output(step: Step, _event: Fields) -> None:
    """As a client of WebRTC stops a reply; without one there is nothing to stop."""
    _cancel(step)


def _cancel(step: Step) -> None:
    """Stop the response in progress, or the one that is asked for, each once."""
    state = step.state
    for which, response in (("response", state.response), ("pending", state.pending)):
        if response is not None and not response.cancelled:
            step.change(**{which: replace(response, cancelled=True)})
            step.do(Cancel())
            return


HANDLERS: Mapping[str, Callable[[Step, Fields], None]] = {
    "session.update": _update_session,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "conversation.item.create": _create_item,
    "conversation.item.retrieve": _retrieve_item,
    "conversation.item.delete": _delete_item,
    "conversation.item.truncate": _truncate_item,
    "response.create": _create_response,
    "response.cancel": _cancel_response,
    "output_audio_buffer.clear": _clear_output,
}

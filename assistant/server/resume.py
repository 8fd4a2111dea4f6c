"""The first events of a connection, of one that goes on with a conversation, too. Pure."""

from dataclasses import dataclass

from assistant.server.fields import Fields
from assistant.server.from_client import too_old
from assistant.server.items import wire_item
from assistant.server.kept import Kept
from assistant.server.settings import echo, updated
from assistant.server.state import AddItem, Configure, Entry, Step
from assistant.server.wire import WireError
from assistant.session.conversation import AssistantItem

NOT_FOUND = "resume_not_found"
UNAVAILABLE = "resume_unavailable"


@dataclass(frozen=True)
class Resume:
    """What becomes of the conversation that a client asks for, and what will of the present one."""

    resumable_s: int | None = None
    """How long this one can be resumed after its last change; None if it cannot."""
    id: str = ""
    """Of the session that `kept` is from."""
    kept: Kept | None = None
    refusal: WireError | None = None
    """Why there is none."""


NOTHING = Resume()


def begin(step: Step, resume: Resume) -> None:
    """Tell the client of the session, then of each item of the conversation that goes on in it."""
    refusal = resume.refusal
    entries: tuple[Entry, ...] = ()
    told: dict[str, object] = {}
    if resume.resumable_s is not None:
        told["resumable_s"] = resume.resumable_s
    if resume.kept is not None:
        try:
            _set(step, resume.kept)
            entries, told["resumed"] = resume.kept.entries, resume.id
        except WireError as error:
            refusal = WireError(NOT_FOUND, f"the settings are no longer taken: {error.message}", "resume")
    step.send("session.created", session={**echo(step.state.session), **told})
    if refusal is not None:
        step.refuse(refusal)
    items = {entry.item.id: entry for entry in entries}
    for name in too_old(items, step.state.limits):
        del items[name]
    step.change(items=items)
    for previous, entry in zip((None, *items), items.values(), strict=False):
        _tell(step, previous, entry)


def _set(step: Step, kept: Kept) -> None:
    """Merge what the client had set; raises WireError if that goes beyond the limits here."""
    state = step.state
    try:
        session, settings = updated(state.session, Fields(kept.settings, "session"), state.limits)
    except ValueError as error:  # NaN, which no client can have set
        raise WireError("invalid_value", str(error)) from None
    step.change(session=session, settings=settings)
    step.do(Configure(settings))


def _tell(step: Step, previous: str | None, entry: Entry) -> None:
    item = entry.item
    complete = not isinstance(item, AssistantItem) or item.complete
    whole = wire_item(item, spoken=entry.spoken, status="completed" if complete else "incomplete")
    for kind in ("added", "done"):
        step.send(f"conversation.item.{kind}", previous_item_id=previous, item=whole)
    step.do(AddItem(item, None))

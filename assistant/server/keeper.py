"""A conversation is kept in a store as it changes, in a task of its own: no turn ever waits for the store."""

import asyncio
from contextlib import suppress
from typing import Protocol

from assistant.runtime import Clock
from assistant.server.kept import UnreadableError, Writer, read_kept, same
from assistant.server.logs import logger
from assistant.server.resume import NOT_FOUND, NOTHING, UNAVAILABLE, Resume
from assistant.server.state import State
from assistant.server.wire import WireError

_EVERY_NS = 250_000_000  # from one save to the next: a reply that sounds changes all the time
_AGAIN_NS = 1_000_000_000  # until a store that failed is tried again


class StoreLost(Exception):  # noqa: N818  # a condition with a name of its own
    """The store does not answer, or refuses; it has said so in the log."""


class Store(Protocol):
    """Conversations by the ids of their sessions, for a while after their last change."""

    @property
    def lost(self) -> bool:
        """Whether it failed last."""
        ...

    async def load(self, session_id: str) -> bytes | None:
        """What was saved last; None if there is nothing, or nothing any more. Raises StoreLost, soon."""
        ...

    async def save(self, session_id: str, text: str) -> None:
        """Put `text` in the place of what was saved before. Raises StoreLost, soon."""
        ...


class Keeper:
    """Of one connection: `note` each state, and `run` beside it. The newest state wins."""

    def __init__(self, store: Store, session_id: str, writer: Writer, clock: Clock) -> None:
        self._store, self._id, self._writer, self._clock = store, session_id, writer, clock
        self._newest: State | None = None
        self._saved: State | None = None
        self._changed = asyncio.Event()
        self._too_large = False

    def note(self, state: State) -> None:
        """The connection has come to this state; returns at once."""
        if self._newest is None or not same(self._newest, state):
            self._newest = state
            self._changed.set()

    async def run(self) -> None:
        """Save what changes, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._save()
                wait_ns = _EVERY_NS
            except StoreLost:
                self._changed.set()
                wait_ns = _AGAIN_NS
            await self._clock.sleep_until(self._clock.now_ns() + wait_ns)

    async def settle(self) -> None:
        """Save what `run` had no time for, once that is over; a store that is lost is not waited for."""
        if self._newest is not self._saved and not self._store.lost:
            with suppress(StoreLost):
                await self._save()

    async def _save(self) -> None:
        state = self._newest
        assert state is not None, "a change of something"
        text = self._writer.write(state)
        if text is None:
            self._tell_too_large()
        else:
            await self._store.save(self._id, text)
        self._saved = state

    def _tell_too_large(self) -> None:
        if not self._too_large:
            logger().warning(
                "conversation not kept", why="its settings are larger than [server] resume_bytes"
            )
        self._too_large = True


async def find(store: Store | None, session_id: str, resumable_s: int) -> Resume:
    """What becomes of the conversation of `session_id`, which a client asks for; "" asks for none.

    It can be resumed by any number of clients: each goes on with a copy of its own, under another id.
    """
    if store is None:
        return (
            Resume(refusal=_refusal(UNAVAILABLE, "this server keeps no conversations"))
            if session_id
            else NOTHING
        )
    if not session_id:
        return Resume(resumable_s)
    try:
        text = await store.load(session_id)
        kept = None if text is None else read_kept(text)
    except StoreLost:
        return Resume(
            resumable_s, refusal=_refusal(UNAVAILABLE, "the store of conversations does not answer")
        )
    except UnreadableError as error:
        logger().warning("conversation unreadable", why=str(error))
        kept = None
    if kept is None:
        return Resume(
            resumable_s, refusal=_refusal(NOT_FOUND, "no such conversation is kept, or not any more")
        )
    logger().info("conversation resumed", items=len(kept.entries))
    return Resume(resumable_s, session_id, kept)


def _refusal(code: str, message: str) -> WireError:
    return WireError(code, f"{message}: this is a new one", "resume")

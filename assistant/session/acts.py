"""What skills do for one reply: begun once, never broken off half-way, and taken back in order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from assistant.session.context import Context, one_line
from assistant.session.events import Failed
from assistant.session.stages import Plan

UNDONE = "Sorry, that did not work."

_LONGEST_S = 10.0  # what takes longer has failed: a reply waits for it, and so does the end of a session

T = TypeVar("T")


class Acts:
    """The acts of one reply, which may be cancelled while one is under way.

    That goes on, as a task of `group`: what was done half-way nobody could take back. `lock` lets one act or
    undoing of a session go on at a time, in the order in which they were begun.
    """

    def __init__(self, context: Context, number: int, group: asyncio.TaskGroup, lock: asyncio.Lock) -> None:
        self._context, self._tracer, self._number = context, context.tracer.of_reply(number), number
        self._group, self._lock = group, lock
        self._begun: list[Plan] = []

    async def carry_out(self, plan: Plan) -> tuple[str, str]:
        """What is to be said, and why the reply ends."""
        self._begun.append(plan)
        name = f"act-{self._number}"
        return await asyncio.shield(self._group.create_task(self._act(plan), name=name))

    def take_back(self) -> None:
        """Undo all that was begun, the last first."""
        plans, self._begun = self._begun[::-1], []
        for plan in plans:
            self._group.create_task(self._in_order(plan.undo), name=f"undo-{self._number}")

    async def _act(self, plan: Plan) -> tuple[str, str]:
        start_ns = self._context.clock.now_ns()
        said = await self._in_order(plan.act)
        self._tracer.record("skill", "generate", start_ns, intent=plan.intent)
        return (UNDONE, "error") if said is None else (said, "end")

    async def _in_order(self, do: Callable[[], Awaitable[T]]) -> T | None:
        """What comes of it; None if it fails, which is told: a skill may raise anything."""
        try:
            async with self._lock, asyncio.timeout(_LONGEST_S):
                return await do()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._fail(error)  # it was not this task that was cancelled, but what the skill waited for
        except Exception as error:  # noqa: BLE001  # see above; the session goes on
            self._fail(error)
        return None

    def _fail(self, error: BaseException) -> None:
        self._context.emit(Failed("skill", one_line(error), self._number))

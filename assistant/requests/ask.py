"""Asking an assistant, typed: what it understood, and what it said."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from assistant.runtime import Clock, Recorder
from assistant.session.announcement import Announced
from assistant.session.events import ReplyDone
from assistant.session.session import Input, Session, SessionConfig, Typed
from assistant.session.stages import Stages


@dataclass(frozen=True)
class Asked:
    """One turn. `intent` is empty where the language model answered."""

    say: str
    intent: str
    slots: Mapping[str, object]
    reply: str


async def ask(stages: Stages, system_prompt: str, says: Sequence[str]) -> list[Asked]:
    """Say all of `says` in one conversation, each once the one before it was answered."""
    session = Session(stages, SessionConfig(system_prompt), Clock(), Recorder())
    events, answered = session.subscribe(), asyncio.Event()
    replies: list[ReplyDone] = []

    async def lines() -> AsyncIterator[Input]:
        for say in says:
            answered.clear()
            yield Typed(say)
            await answered.wait()

    async def follow() -> None:
        async for event in events:
            if isinstance(event, ReplyDone) and not isinstance(event.plan, Announced):
                replies.append(event)
                answered.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(session.run(lines()), name="session")
        group.create_task(follow(), name="events")
    return [
        Asked(
            say,
            reply.plan.intent if reply.plan else "",
            reply.plan.slots if reply.plan else {},
            reply.reply,
        )
        for say, reply in zip(says, replies, strict=True)
    ]

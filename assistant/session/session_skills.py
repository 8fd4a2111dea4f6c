"""What a session asks of its skills, and what they say unasked; nothing that they raise ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from assistant.runtime import Tracer
from assistant.session.context import one_line
from assistant.session.events import Failed, SessionEvent
from assistant.session.request import ReplySettings
from assistant.session.stages import Device, Plan, Skills
from llm.decode.generate import Called
from llm.text.message import Message

_AGAIN_NS = 5_000_000_000  # after which skills are run again that could not ring


class SessionSkills:
    """The skills of one session, or none. `settings` and `history` are those of the session, when asked."""

    def __init__(
        self,
        skills: Skills | None,
        device: Device,
        tracer: Tracer,
        emit: Callable[[SessionEvent], None],
        settings: Callable[[], ReplySettings],
        history: Callable[[], Sequence[Message]],
    ) -> None:
        self._skills, self._device, self._tracer, self._emit = skills, device, tracer, emit
        self._settings, self._history = settings, history
        self._changed = asyncio.Event()

    def configured(self) -> None:
        """The settings have changed."""
        self._changed.set()

    def are_asked(self, settings: ReplySettings) -> bool:
        """A client with functions of its own, or that wants no skills, has the language model alone."""
        return self._settings().skilled and not settings.options.tools

    def with_calls(self, settings: ReplySettings) -> ReplySettings:
        """The language model may call what skills do, and may not claim to do it."""
        if self._skills is None or not self.are_asked(settings):
            return settings
        options = replace(settings.options, tools=self._skills.tools, calls=self._skills.calls)
        return replace(settings, options=options, acted_for=True)

    def plan(self, text: str, history: Sequence[Message]) -> Plan | None:
        """The reply that skills give, if they understand."""
        if self._skills is None:
            return None
        start_ns = self._tracer.clock.now_ns()
        try:
            return self._skills.answer(text, history, self._device)
        except Exception as error:  # noqa: BLE001  # a skill may raise anything; the language model answers
            self._fail(error)
            return None
        finally:
            self._tracer.record("match", "assemble", start_ns)

    def plan_spoken(self, text: str) -> Plan | None:
        """The same of what the user says, if skills are asked."""
        return self.plan(text, self._history()) if self.are_asked(self._settings()) else None

    def plan_call(self, called: Called) -> Plan | None:
        """What comes of a language model's call; None if no skill takes it."""
        assert self._skills is not None, "a call that skills take"
        try:
            return self._skills.call(called.name, called.arguments, self._device)
        except Exception as error:  # noqa: BLE001  # a skill may raise anything; it is said that it cannot be
            self._fail(error)
            return None

    def expected(self, words: str) -> str:
        """What would be said to `words`, of which more may follow; "" if none understands them."""
        plan = self.plan_spoken(words)
        return plan.text if plan else ""

    def forget(self) -> None:
        """The language model has answered."""
        try:
            if self._skills is not None:
                self._skills.forget()
        except Exception as error:  # noqa: BLE001  # a skill may raise anything; the session goes on
            self._fail(error)

    async def run(self, announce: Callable[[str], Awaitable[None]]) -> None:
        """Let them ring, and `announce` what they say, for as long as they are asked at all."""
        while True:
            await self._until(asked=True)
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._announce(announce), name="announce"),
                    group.create_task(self._ring(), name="skills"),
                ]
                await self._until(asked=False)
                for task in beside:
                    task.cancel()

    async def _until(self, *, asked: bool) -> None:
        while self.are_asked(self._settings()) != asked:
            self._changed.clear()
            await self._changed.wait()

    async def _announce(self, announce: Callable[[str], Awaitable[None]]) -> None:
        if self._skills is not None:
            async for text in self._skills.announcements():
                await announce(text)

    async def _ring(self) -> None:
        """What fails may succeed later, such as a file that another process held: what is due must ring."""
        told = ""
        while self._skills is not None:
            try:
                await self._skills.run()
            except Exception as error:  # noqa: BLE001  # a skill may raise anything; the session goes on
                if one_line(error) != told:  # said once, not every time
                    told = one_line(error)
                    self._emit(Failed("skills", told))
            else:
                return
            await self._tracer.clock.sleep_until(self._tracer.clock.now_ns() + _AGAIN_NS)

    def _fail(self, error: Exception) -> None:
        self._emit(Failed("skill", one_line(error)))

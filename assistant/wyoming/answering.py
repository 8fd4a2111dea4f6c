"""Replies to texts: the conversations that clients name, and who answers in them."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from assistant.runtime import Clock
from assistant.server.logs import logger
from assistant.session.acts import UNDONE
from assistant.session.context import one_line
from assistant.session.conversation import AssistantItem, Conversation, Spoken, UserItem
from assistant.session.device import SessionDevice
from assistant.session.request import ReplySettings
from assistant.session.stages import LanguageModel, Plan, Skills, Stages
from llm.decode import BrokenLogits, ContextFull, CudaBroken, EngineOutOfMemory, Finished, Prompt, Token
from llm.remote import RemoteError
from tts.phrases import PhraseSplitter

_MOST_KEPT = 32
_KEPT_NS = 300_000_000_000  # as long as Home Assistant keeps a conversation's id
_MOST_ITEMS = 64
_NO_DEVICE = SessionDevice(lambda: None, ReplySettings, lambda _: None)  # whoever asked has it

Respond = Callable[[str], Awaitable[str | None]]
"""A text to the reply; None if there is none."""


@dataclass(frozen=True)
class Talk:
    """A conversation, and the skills that are asked first in it."""

    conversation: Conversation
    skills: Skills | None = None

    def add(self, text: str, reply: str) -> None:
        """What was said enters the conversation; of a long one the beginning is forgotten."""
        conversation = self.conversation
        conversation.forget(len(conversation.items) + 2 - _MOST_ITEMS)
        conversation.add(UserItem(conversation.new_id(), text))
        spoken = (Spoken(reply, 0.0),)
        conversation.add(AssistantItem(conversation.new_id(), spoken, complete=True))


Responder = Callable[[Stages, Talk, Clock], Respond]
"""Who answers in a conversation. What is said is theirs to add to it."""


@dataclass
class Conversations:
    """The latest conversations, by the ids that clients give them.

    Home Assistant connects anew for each text, with the id of the conversation in the event's context.
    """

    instructions: str
    clock: Clock
    open_skills: Callable[[], Skills | None] = lambda: None
    _kept: OrderedDict[str, tuple[Talk, int]] = field(default_factory=OrderedDict)

    def new(self) -> Talk:
        """One that nobody can come back to."""
        return Talk(Conversation(self.instructions), self.open_skills())

    def get(self, name: str) -> Talk:
        """The conversation called `name`, a new one if it is not kept."""
        now_ns = self.clock.now_ns()
        talk, last_ns = self._kept.pop(name, (self.new(), now_ns))
        if now_ns - last_ns > _KEPT_NS:
            talk = self.new()
        self._kept[name] = talk, now_ns
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return talk


def by_skills(otherwise: Responder) -> Responder:
    """Skills answer what they understand; see Responder."""

    def responder(stages: Stages, talk: Talk, clock: Clock) -> Respond:
        ask_model = otherwise(stages, talk, clock)

        async def respond(text: str) -> str | None:
            try:
                plan = _plan(talk, text)
                reply = await plan.act() if plan else None
                if plan is None and talk.skills:
                    talk.skills.forget()
            except Exception as error:  # noqa: BLE001  # a skill may raise anything; the next text may succeed
                logger().warning("skill failed", why=one_line(error))
                return UNDONE
            if reply is None:
                return await ask_model(text)
            talk.add(text, reply)
            return reply

        return respond

    return responder


def _plan(talk: Talk, text: str) -> Plan | None:
    if talk.skills is None:
        return None
    return talk.skills.answer(text, talk.conversation.messages(), _NO_DEVICE)


def by_language_model(stages: Stages, talk: Talk, clock: Clock) -> Respond:
    """The language model answers, with what was said before; see Responder."""

    async def respond(text: str) -> str | None:
        try:
            prompt = stages.language.prompt(talk.conversation.messages(), text)
            reply = await _generated(stages.language, prompt, clock.now_ns())
        except (BrokenLogits, ContextFull, CudaBroken, EngineOutOfMemory, RemoteError) as error:
            logger().warning("no reply", why=str(error))
            return None
        if not any(map(str.isalnum, reply)):
            return None
        talk.conversation.forget(prompt.dropped)
        talk.add(text, reply)
        return reply

    return respond


async def _generated(language: LanguageModel, prompt: Prompt, asked_ns: int) -> str:
    """The whole reply. A sentence that ran into the limit is left out: it will be spoken."""
    splitter, phrases, rest = PhraseSplitter(), list[str](), list[str]()
    async with aclosing(language.reply(prompt, lambda: (0, asked_ns))) as items:
        async for item in items:
            if isinstance(item, Token | Finished):
                phrases += splitter.push(item.text)
            if isinstance(item, Finished):
                rest = splitter.flush()
                phrases += [] if phrases and item.reason == "length" else rest
    return "".join(phrases).strip()

"""All skills together, and what each conversation knows of them."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from assistant.session.stages import Device
from assistant.skills.announcements import Announcements
from assistant.skills.matcher import Matcher
from assistant.skills.skill import Answer, Choice, Intent, Recognizes, Services, Situation, Skill, SkillError
from assistant.skills.timers.due import Due
from assistant.skills.tools import slots_of
from llm.text.message import Message, Tool

_LONGEST = 500
"""Characters: more than anybody says in a command. What takes milliseconds for a sentence grows with the
square of its length."""
_LONGEST_FOUND = 2500
"""For what skills recognize by themselves: that grows with the length."""


class Skills:
    """The skills of a process; conversations share them."""

    def __init__(
        self,
        skills: Sequence[Skill],
        services: Services,
        announcements: Announcements | None = None,
        due: Due | None = None,
    ) -> None:
        """`announcements` are what `services.announce` fills; `due` is what rings. Raises SkillError."""
        self.due = due
        self._skills, self.services = tuple(skills), services
        self.tools: tuple[Tool, ...] = ()
        """Functions that language models are told of which take any; none unless somebody sets them."""
        self.calls: tuple[str, ...] | None = None
        """Names of the functions that a language model may call; None: of all."""
        self.announcements = announcements or Announcements()
        self._matcher = Matcher(table for skill in skills for table in skill.sentences)
        # The final transcript is often what the last partial was, and is waited for.
        self._asked: tuple[str, Mapping[str, Sequence[Choice]]] | None = None
        self._found: list[Intent] = []
        self._of: dict[str, Skill] = {}
        for skill in skills:
            names = set(_names(skill))
            if taken := names & self._of.keys():
                raise SkillError(f"skill {type(skill).__module__}: another skill has the intent {min(taken)}")
            self._of |= dict.fromkeys(names, skill)

    def open(self) -> "Conversation":
        """What one conversation asks."""
        return Conversation(self)

    def warm_up(self) -> None:
        """Match once: what `hassil` makes of numbers takes a third of a second, the first time."""
        self.open().answer("set a timer for 5 minutes and dim the lights to 20 percent at 10 degrees")

    def intents(self, text: str) -> list[Intent]:
        """What `text` may mean, the most literal reading first; see `Recognizes` for what is around it.

        Of a text that is too long for a command only what is urgent is found, near its end.
        """
        if len(text) > _LONGEST:
            return list(self._recognized(text[-_LONGEST_FOUND:], urgent=True))
        lists: dict[str, Sequence[Choice]] = {}
        for skill in self._skills:
            lists.update(skill.lists)
        if self._asked != (text, lists):
            self._asked, self._found = (text, lists), self._match(text, lists)
        return self._found

    def _match(self, text: str, lists: Mapping[str, Sequence[Choice]]) -> list[Intent]:
        urgent, others = self._recognized(text, urgent=True), self._recognized(text, urgent=False)
        return [*urgent, *self._matcher.match(text, lists), *others]

    def _recognized(self, text: str, *, urgent: bool) -> Iterator[Intent]:
        for skill in self._skills:
            if isinstance(skill, Recognizes) and skill.urgent == urgent:
                intent = skill.recognize(text)
                if intent is not None:
                    yield replace(intent, open_ended=True)  # words within what was said, not all of it

    @property
    def names(self) -> tuple[str, ...]:
        """Of all intents."""
        return tuple(self._of)

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """What the intent's skill makes of it; None if there is none, or it declines."""
        skill = self._of.get(intent.name)
        return None if skill is None else skill.answer(intent, situation)


def _names(skill: Skill) -> Iterator[str]:
    for table in skill.sentences:
        yield from table.get("intents", {})
    if isinstance(skill, Recognizes):
        yield from skill.names


class Conversation:
    """Answers what skills understand, and knows what was understood last; see `session.stages.Skills`."""

    def __init__(self, skills: Skills) -> None:
        self._skills = skills
        self.before: Intent | None = None

    def answer(
        self, transcript: str, history: Sequence[Message] = (), device: Device | None = None
    ) -> "Planned | None":
        """What comes of a transcript, before anything is done; None if no skill understands it."""
        said = (message.content for message in reversed(history) if message.role == "assistant")
        situation = self._situation(next(said, ""), device)
        for intent in self._skills.intents(transcript):
            answer = self._skills.answer(intent, situation)
            if answer is not None:
                return Planned(answer.intent or intent, answer, self, self.before)
        return None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Functions that a language model is told of, if it takes any."""
        return self._skills.tools

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of all functions that a language model may call."""
        return self._skills.names if self._skills.calls is None else self._skills.calls

    def call(self, name: str, arguments: str, device: Device | None = None) -> "Planned | None":
        """What comes of a language model's call; None if no skill takes it as it is."""
        slots = slots_of(name, arguments)
        if slots is None:
            return None
        intent = Intent(name, slots)
        answer = self._skills.answer(intent, self._situation("", device))
        return None if answer is None else Planned(answer.intent or intent, answer, self, self.before)

    def _situation(self, last_reply: str, device: Device | None) -> Situation:
        return Situation(self._skills.services.now(), last_reply, self.before, device)

    def announcements(self) -> AsyncIterator[str]:
        """What is to be said without being asked, from now on."""
        return self._skills.announcements.listen()

    async def run(self) -> None:
        """Ring what is due, for as long as the conversation lasts; raises StoreError.

        Every open conversation does: nothing rings where nobody hears it.
        """
        if self._skills.due is not None:
            await self._skills.due.run()

    def forget(self) -> None:
        """The language model answered the turn that is over."""
        self.note(None)

    def note(self, understood: Intent | None) -> None:
        """A turn of the user's is over: what rings falls silent."""
        self.before = understood
        if self._skills.due is not None:
            self._skills.due.silence()


@dataclass(frozen=True)
class Planned:
    """An answer that is ready; nothing is done before `act`."""

    understood: Intent
    answer: Answer
    conversation: Conversation = field(repr=False)
    before: Intent | None = None
    """What was understood in the turn before."""

    @property
    def intent(self) -> str:
        """The name of what was understood."""
        return self.understood.name

    @property
    def slots(self) -> Mapping[str, object]:
        """What was understood of it."""
        return self.understood.slots

    @property
    def text(self) -> str:
        """What is said if all goes as expected."""
        return self.answer.text

    @property
    def complete(self) -> bool:
        """Whether nothing need follow what was said to have something done.

        What is refused is often known by how it begins ("call ..."), and what to be reminded of goes on.
        """
        refused = self.understood.name.startswith("Cannot")
        return not (refused or self.understood.open_ended or "text" in self.understood.slots)

    async def act(self) -> str:
        """Do it; returns what is to be said."""
        said = await self.answer.act() if self.answer.act else None
        self.conversation.note(self.understood)
        return self.answer.text if said is None else said

    async def undo(self) -> None:
        """Take back what was done."""
        if self.answer.undo:
            await self.answer.undo()
        self.conversation.before = self.before

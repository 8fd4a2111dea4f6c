"""What a server is sent in a conversation that is spoken, typed, broken off, held and answered by skills."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from fakes import Scene, ScriptedPlan, ScriptedSkills, Timing, Voice
from world import Machine, World

from assistant.runtime import VirtualLoop
from assistant.session.events import ReplyHeld
from assistant.session.scheduled import SessionLanguageModel
from assistant.session.session import Input, Typed
from assistant.session.stages import AskUrgency, Stages
from llm.decode.generate import GenerateConfig, Generated
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.remote.chat_api import request_body
from llm.remote.client import RemoteModel
from llm.remote.config import RemoteConfig
from llm.remote.layout import closed_turns
from llm.text.chat import Message

SEEDS = 30
TWICE = (35, 61, 62, 126)
"""Where a reply is prepared while one is held that makes the conversation forget."""
Sent = Mapping[str, str]


class Asked:
    """Writes down the messages that a server would be sent for each reply, and lets the script answer."""

    takes_tools = True
    tells_ends = False

    def __init__(self, writer: SessionLanguageModel, budget: int) -> None:
        self._writer, self.sent = writer, dict[int, list[Sent]]()
        config = RemoteConfig("http://127.0.0.1/v1", max_prompt_chars=budget)
        self._remote, self.forgets = RemoteModel(config, GenerateConfig()), True
        self.history: list[Message] = []  # of the last prompt

    async def read_ahead(
        self,
        history: Sequence[Message],
        words: str,
        wanted: Callable[[], bool],
        options: ReplyOptions = AS_CONFIGURED,
    ) -> None:
        """Nothing, as with a server."""

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        task = asyncio.current_task()
        assert task
        number = int(task.get_name().removeprefix("reply-").removesuffix(".assemble"))
        asked = self._remote.prompt(history, transcript, options)
        body = json.loads(request_body("tiny", asked.history, GenerateConfig(), options))
        self.sent[number] = body["messages"]
        self.history = list(history)
        prompt = self._writer.prompt(history, transcript, options)
        return replace(prompt, dropped=asked.dropped if self.forgets else 0)

    def reply(self, prompt: Prompt, urgency: AskUrgency) -> AsyncGenerator[Generated, None]:
        return self._writer.reply(prompt, urgency)


class Improvised(dict[str, str | Exception]):
    """A reply to any transcript, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def __contains__(self, transcript: object) -> bool:
        return True

    def __missing__(self, transcript: str) -> str | Exception:
        rng = random.Random(f"{self._seed} {transcript}")
        self[transcript] = rng.choice(["Yes. Certainly.", " ".join(["word"] * 30) + ".", "Is it? So"])
        return self[transcript]


class Prefixed(World):
    """A session of up to eight turns whose language model is asked as a server would be."""

    def __init__(self, seed: int, budget: int) -> None:
        rng = random.Random(seed)
        voices: list[Voice] = []
        inputs: dict[int, Input] = {}
        at = 200
        for number in range(rng.randint(3, 8)):
            if rng.random() < 0.2:
                inputs[at // 20 * 20] = Typed(f"typed {number}")
                at += rng.choice([60, 300, 2500])
                continue
            end = at + rng.randrange(320, 700)
            words = rng.choices(["yeah", "light on", f"a{number} b{number}"], [15, 15, 70])[0]
            voices.append(Voice(at, end, words, rng.choice([0.1, 0.99]), rng.choice([0.1, 0.99])))
            at = end + rng.choice([400, 800, 2500, 5000])
        scene = Scene(tuple(voices), Improvised(seed), at + 4000, Timing(word=120))
        loop = VirtualLoop()
        self._budget = budget
        super().__init__(
            scene,
            loop=loop,
            machine=Machine(loop),
            inputs=inputs,
            skills=ScriptedSkills({"light on": ScriptedPlan("It is on.")}),
        )
        self.speaker.also += ["It is on."]
        self.strict = []

    def _stages(self) -> Stages:
        stages = super()._stages()
        assert isinstance(stages.language, SessionLanguageModel)
        self.asked = Asked(stages.language, self._budget)
        return replace(stages, language=self.asked)

    def check_history(self) -> None:
        """It loses what does not fit, and a skill's answers are in it."""

    def spoken_history(self) -> list[Message]:
        return self.asked.history

    def answered(self) -> list[list[Sent]]:
        """What was sent for the replies that were released and not taken back, in order."""
        kept = [record.number for record in self.records if not record.reopened]
        return [self.asked.sent[number] for number in kept if number in self.asked.sent]


def differing(before: Sequence[Sent], after: Sequence[Sent]) -> int | None:
    """Where the first message of `before` is that `after` does not repeat."""
    return next((at for at, one in enumerate(before) if after[at : at + 1] != [one]), None)


def test_each_request_begins_with_that_of_the_turn_before() -> None:
    """But for the end of it: the user's words before any of a reply was heard, or a reply that was held."""
    checked = grown = held = 0
    for seed in range(SEEDS):
        world = Prefixed(seed, 10**6)
        world.run_unchecked()
        for before, after in pairwise(world.answered()):
            checked += 1
            at = differing(before, after)
            if at is None:
                continue
            grown += 1
            one, other = before[at], after[at]
            assert one["role"] == other["role"]
            assert other["content"].startswith(one["content"].rstrip(".?!"))
            # Behind a reply of which more had sounded than was known then comes what broke it off.
            assert at == len(before) - (1 if one["role"] == "user" else 2)
        held += any(isinstance(event, ReplyHeld) for event in world.events)
    assert checked > 60 and held > 10
    assert 0 < grown < checked / 2


def test_what_no_longer_fits_is_forgotten_once_and_in_large_steps() -> None:
    """Of 50 characters a quarter is free after each cut, however replies were held and prepared meanwhile.

    A conversation that forgets nothing has the server sent the same: where it is cut is known from it alone.
    """
    cut = 0
    for seed in (*range(20), *TWICE):
        forgetful, world = Prefixed(seed, 50), Prefixed(seed, 50)
        world.asked.forgets = False
        forgetful.run_unchecked()
        world.run_unchecked()
        assert forgetful.asked.sent == world.asked.sent
        if answered := forgetful.answered():  # and what it holds now begins where what was sent last did
            assert closed_turns(forgetful.history())[1].content.startswith(
                answered[-1][1]["content"].rstrip(".")
            )
        for before, after in pairwise(world.answered()):
            at = differing(before, after)
            if at is None or at >= len(before) - 2:
                continue
            cut += 1
            users = sum(message["role"] == "user" for message in after)
            assert sum(len(message["content"]) for message in after) <= 37 + users or users == 1
    assert cut > 10

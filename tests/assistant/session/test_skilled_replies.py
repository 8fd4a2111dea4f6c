"""Replies that skills give, on virtual time: worked out by hand as in test_session.py."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from fakes import Scene, ScriptedPlan, ScriptedSkills, Timing, Voice
from world import SYSTEM, World

from assistant.session.acts import UNDONE
from assistant.session.announcement import Announcement
from assistant.session.reply import UNABLE
from assistant.session.request import ReplySettings
from assistant.session.session import Input, Typed
from assistant.session.turn import ReplyCancelled
from llm.decode.generate import Called
from llm.text.chat import Message

LIGHT = Voice(320, 960, "light on")


def world(
    voices: tuple[Voice, ...],
    plans: dict[str, ScriptedPlan],
    replies: dict[str, str] | None = None,
    inputs: dict[int, Input] | None = None,
    timing: Timing | None = None,
) -> World:
    scene = Scene(voices, replies or {}, 6000, timing or Timing())
    made = World(scene, inputs=inputs, skills=ScriptedSkills(plans))
    said = [plan.says for plan in plans.values() if isinstance(plan.says, str)]
    made.speaker.also += [UNDONE, UNABLE, *said, *(plan.text for plan in plans.values())]
    return made


def test_a_command_is_done_once_its_turn_is_over_and_answered_without_the_language_model() -> None:
    """The transcript is there at 1140, both words are synthesized by 1200; decided at 1220, and heard behind
    20 ms of latency and 10 of leading silence."""
    plan = ScriptedPlan("It's on.")
    made = world((LIGHT,), {"light on": plan}).run()
    (record,) = made.records
    assert (record.reply, record.heard, record.reason) == ("It's on.", "It's on.", "end")
    assert record.plan is plan and plan.done == ["act"]
    assert made.writer.transcripts == [], "the language model was asked"
    assert made.ms(record.decided_ns) == 1220
    assert record.boundaries is not None
    assert made.ms(record.boundaries.ends_ns["playback.start"]) == pytest.approx(1250, abs=1)
    assert made.history()[1:] == [Message("user", "light on"), Message("assistant", "It's on.")]


def test_nothing_is_done_for_a_turn_that_goes_on() -> None:
    """The pause is shorter than what ends a turn."""
    on, both = ScriptedPlan("It's on."), ScriptedPlan("Both are on.")
    voices = (LIGHT, Voice(1100, 1600, "and heating"))
    made = world(voices, {"light on": on, "light on and heating": both}).run()
    assert on.done == [] and both.done == ["act"]
    assert [record.reply for record in made.records] == ["Both are on."]


def test_what_was_done_too_early_is_taken_back() -> None:
    """Decided at 1220 and done; from 1260 the user goes on, before the reply sounds, and the turn is one."""
    on, both = ScriptedPlan("It's on."), ScriptedPlan("Both are on.")
    voices = (LIGHT, Voice(1260, 1900, "and heating"))
    timing = Timing(chunk=100)  # two words, from 1140 on: 1340
    made = world(voices, {"light on": on, "light on and heating": both}, timing=timing).run()
    cut, whole = made.records
    assert cut.reopened and not whole.reopened
    assert on.done in (["act", "undo"], []) and both.done == ["act"]


def test_an_action_whose_turn_was_not_over_is_undone() -> None:
    """Prepared by 1200, done at 1220 and heard from 1250; a voice from 1260 on reopens the turn."""
    on, both = ScriptedPlan("It's on, and it is warm."), ScriptedPlan("Both are on.")
    voices = (LIGHT, Voice(1260, 1900, "and heating"))
    made = world(voices, {"light on": on, "light on and heating": both}, timing=Timing(chunk=1)).run()
    assert [record.reopened for record in made.records] == [True, False]
    assert on.done == ["act", "undo"] and both.done == ["act"]


def test_what_came_of_it_is_said_and_not_what_was_expected() -> None:
    plan = ScriptedPlan("It's on.", says="The light does not answer.")
    made = world((LIGHT,), {"light on": plan}).run()
    assert [record.heard for record in made.records] == ["The light does not answer."]
    assert [word for word, _, _ in made.sounded()] == ["The", "light", "does", "not", "answer."]


def test_a_skill_that_fails_is_said_to_have_failed() -> None:
    plan = ScriptedPlan("It's on.", says=OSError("disk full"))
    made = world((LIGHT,), {"light on": plan}).run()
    assert [(record.heard, record.reason) for record in made.records] == [(UNDONE, "error")]
    assert [(failed.stage, failed.why) for failed in made.failures] == [("skill", "disk full")]


class Raising(ScriptedSkills):
    def answer(self, transcript: str, history: object, device: object) -> ScriptedPlan | None:
        raise RuntimeError("no such list")


def test_the_language_model_answers_where_skills_cannot_be_asked() -> None:
    made = World(Scene((LIGHT,), {"light on": "Which one?"}, 4000), skills=Raising({})).run()
    assert [record.reply for record in made.records] == ["Which one?"]
    assert {(failed.stage, failed.why) for failed in made.failures} == {("skill", "no such list")}


def test_the_language_model_answers_where_a_client_wants_no_skills() -> None:
    made = world((LIGHT,), {"light on": ScriptedPlan("It's on.")}, {"light on": "Which one?"})
    made.session.reply_settings = ReplySettings(skilled=False)
    made.run()
    assert [record.reply for record in made.records] == ["Which one?"]


def test_what_was_talked_about_is_forgotten_once_the_language_model_has_answered() -> None:
    voices = (LIGHT, Voice(3000, 3600, "who are you"))
    made = world(voices, {"light on": ScriptedPlan("It's on.")}, {"who are you": "A friend."})
    made.run()
    assert [record.reply for record in made.records] == ["It's on.", "A friend."]
    assert made.skills is not None and made.skills.forgotten == 1


def test_a_typed_command_is_done_at_once() -> None:
    plan = ScriptedPlan("It's on.")
    made = world((), {"light on": plan}, inputs={1000: Typed("light on")}).run_unchecked()
    assert plan.done == ["act"] and made.records[0].heard == "It's on."


def test_a_reply_is_there_when_the_turn_ends_if_its_words_were_complete_before() -> None:
    """Partials are asked for every 480 ms; the one at 1280 has both words, and the user hums on until 1920.
    Its phrase is synthesized before the silence, and the transcript, there at 2100, finds it."""
    plan = ScriptedPlan("It's on.")
    voices = (Voice(320, 960, "light on"), Voice(980, 1920, ""))
    made = world(voices, {"light on": plan}, timing=Timing(chunk=400))
    made.run()
    (record,) = made.records
    assert record.boundaries is not None and record.heard == "It's on."
    assert record.boundaries.ends_ns["playback.start"] - record.decided_ns < 40 * 1_000_000
    assert made.speaker.words == ["It's", " on."]


def test_a_phrase_that_was_said_before_is_not_synthesized_again() -> None:
    plan = ScriptedPlan("It's on.")
    made = world((LIGHT, Voice(3000, 3640, "light on")), {"light on": plan}).run()
    assert [record.heard for record in made.records] == ["It's on.", "It's on."]
    assert made.speaker.words == ["It's", " on."]


@pytest.mark.parametrize("spoken", [True, False])
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("I've set a timer for you. It will ring.", UNABLE),
        ("Fine. I am calling her now. Bye.", f"Fine. {UNABLE}"),
        ("I'm going to order it.", UNABLE),
        ("I set out to see the world once. It was big.", "I set out to see the world once. It was big."),
    ],
)
def test_the_language_model_does_not_claim_what_no_skill_did(reply: str, said: str, spoken: bool) -> None:
    made = world((LIGHT,), {}, {"light on": reply})
    made.speaker.also.append(said)
    made.session.reply_settings = ReplySettings(spoken=spoken)
    made.run()
    assert [record.heard.strip() for record in made.records] == [said]


def test_a_client_without_skills_hears_whatever_its_model_says() -> None:
    made = world((LIGHT,), {}, {"light on": "I am calling her now."})
    made.session.reply_settings = ReplySettings(skilled=False)
    made.run()
    assert [record.heard for record in made.records] == ["I am calling her now."]


ANNOUNCED = "The tea is ready."


def announced(at_ms: int, *voices: Voice, replies: dict[str, str] | None = None) -> World:
    made = world(voices, {}, replies, {at_ms: Announcement(ANNOUNCED)})
    made.speaker.also.append(ANNOUNCED)
    return made.run_unchecked()


def test_an_announcement_is_said_at_once_where_nobody_speaks() -> None:
    made = announced(1000)
    assert [(record.heard, record.transcript) for record in made.records] == [(ANNOUNCED, "")]
    assert made.history() == [Message("system", SYSTEM), Message("assistant", ANNOUNCED)]
    assert made.sounded()[0][1] < 1200


def test_an_announcement_waits_until_the_user_was_answered() -> None:
    made = announced(800, LIGHT, replies={"light on": "Which one?"})
    assert [record.heard for record in made.records] == ["Which one?", ANNOUNCED]
    assert not any(record.interrupted for record in made.records)


def test_announcements_that_come_together_are_said_one_after_the_other() -> None:
    later = "The eggs are ready."
    made = world((), {}, None, {1000: Announcement(ANNOUNCED), 1020: Announcement(later)})
    made.speaker.also += [ANNOUNCED, later]
    made.run_unchecked()
    assert [record.heard for record in made.records] == [ANNOUNCED, later]


def called(*whats: str) -> tuple[Called, ...]:
    return tuple(Called(f"call_{n}", "do", json.dumps({"what": what})) for n, what in enumerate(whats))


def test_the_language_model_may_call_a_skill_whose_words_are_said() -> None:
    plan = ScriptedPlan("It's on.", says="It was on.")
    made = world((LIGHT,), {"the light": plan}, {"light on": called("the light")}).run()  # type: ignore[dict-item]
    (record,) = made.records
    assert record.heard == "It was on." and record.plan is plan and plan.done == ["act"]
    assert [message.role for message in made.history()] == ["system", "user", "assistant"]


def test_a_call_is_not_carried_out_before_the_turn_is_over() -> None:
    """Called at 1225, while the pause is still shorter than what ends this turn."""
    plan = ScriptedPlan("It's on.")
    voices = (Voice(320, 960, "light on", reads=0.5, sounds=0.2), Voice(1400, 1900, "or not"))
    replies = {"light on": called("the light"), "light on or not": "Fine."}
    made = world(voices, {"the light": plan}, replies).run()  # type: ignore[arg-type]
    assert plan.done == [] and [record.heard for record in made.records] == ["Fine."]


def test_a_call_that_no_skill_takes_is_said_to_be_beyond_it() -> None:
    made = world((LIGHT,), {}, {"light on": called("the moon")}).run()  # type: ignore[dict-item]
    assert [record.heard for record in made.records] == [UNABLE]


def test_a_model_that_calls_and_calls_is_stopped_from_doing_so() -> None:
    plans = {name: ScriptedPlan(f"{name} it is.") for name in ("One", "Two", "Three", "Four", "Five")}
    said = f"One it is. Two it is. Three it is. Four it is. {UNABLE}"
    made = world((LIGHT,), plans, {"light on": called(*plans)})  # type: ignore[dict-item]
    made.speaker.also.append(said)
    made.run()
    assert [plan.done for plan in plans.values()] == [["act"]] * 4 + [[]]
    assert [record.reply for record in made.records] == [said]


class Slow(ScriptedPlan):
    """Takes 400 ms to be done, and to be taken back."""

    async def act(self) -> str:
        self.done.append("begins")
        await asyncio.sleep(0.4)
        return await super().act()

    async def undo(self) -> None:
        self.done.append("goes back")
        await asyncio.sleep(0.4)
        await super().undo()


class Noting(ScriptedPlan):
    """Notes as well what another has done when it is done itself."""

    other: ScriptedPlan

    async def act(self) -> str:
        self.done += self.other.done
        return await super().act()


def test_what_is_under_way_when_its_turn_goes_on_is_done_and_undone_before_anything_else_is() -> None:
    """Begun at 1220; the turn is reopened from 1260 on and ends at 1620, before 400 ms twice are over."""
    on, both = Slow("It's on."), Noting("Both are on.")
    both.other = on
    voices = (LIGHT, Voice(1260, 1400, "and heating"))
    made = world(voices, {"light on": on, "light on and heating": both}, timing=Timing(chunk=1)).run()
    assert [record.reopened for record in made.records] == [True, False]
    assert both.done == ["begins", "act", "goes back", "undo", "act"]


def test_a_command_that_is_cancelled_is_not_done_by_half() -> None:
    on = Slow("It's on.")
    made = world((LIGHT,), {"light on": on}, inputs={1400: ReplyCancelled()}).run()
    assert [record.interrupted for record in made.records] == [True]
    assert on.done == ["begins", "act"]


class Broken(ScriptedPlan):
    """Waits for something that somebody else cancels."""

    async def act(self) -> str:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        return str(await waiting)


class Endless(ScriptedPlan):
    async def act(self) -> str:
        await asyncio.sleep(1000)
        raise AssertionError("nobody waits for so long")


@pytest.mark.parametrize(
    ("plan", "why"), [(Broken("It's on."), "CancelledError"), (Endless("It's on."), "TimeoutError")]
)
def test_a_reply_ends_whatever_becomes_of_its_skill(plan: ScriptedPlan, why: str) -> None:
    scene = Scene((LIGHT,), {}, 14000)
    made = World(scene, skills=ScriptedSkills({"light on": plan}))
    made.speaker.also += [UNDONE, plan.text]
    made.run()
    assert [(record.heard, record.reason) for record in made.records] == [(UNDONE, "error")]
    assert [failed.why for failed in made.failures] == [why]


class Forgetless(ScriptedSkills):
    """Fails in whatever a session asks of it but answers; runs at the second attempt."""

    runs = 0

    def forget(self) -> None:
        super().forget()
        raise OSError("disk full")

    def call(self, name: str, arguments: str, device: object) -> ScriptedPlan | None:
        raise OSError("disk full")

    async def run(self) -> None:
        self.runs += 1
        if self.runs < 3:
            raise OSError("locked")


def test_a_session_outlives_its_skills() -> None:
    skills = Forgetless({})
    voices = (LIGHT, Voice(4000, 4600, "thanks"))
    replies = {"light on": called("the light"), "thanks": "You are welcome."}
    made = World(Scene(voices, replies, 14000), skills=skills)  # type: ignore[arg-type]
    made.speaker.also.append(UNABLE)
    made.run()
    assert [record.heard for record in made.records] == [UNABLE, "You are welcome."]
    assert skills.forgotten == 2 and skills.runs == 3
    assert [(failed.stage, failed.why) for failed in made.failures].count(("skills", "locked")) == 1


def test_what_cannot_be_synthesized_is_done_all_the_same() -> None:
    plan = ScriptedPlan("It's on.")
    made = world((LIGHT,), {"light on": plan})
    made.speaker.also.clear()  # an assertion fails for every phrase
    made.run_unchecked()
    assert plan.done == ["act"]


class Ringing(ScriptedSkills):
    """Announces something a second after it is asked to; notes who listens."""

    listened = ran = 0

    async def announcements(self) -> AsyncIterator[str]:
        self.listened += 1
        await asyncio.sleep(1)
        yield ANNOUNCED
        await asyncio.sleep(1000)

    async def run(self) -> None:
        self.ran += 1
        await asyncio.sleep(1000)


@pytest.mark.parametrize(("skilled_from", "heard"), [(None, []), (500, [ANNOUNCED])])
def test_nothing_rings_where_a_client_has_an_assistant_of_its_own(
    skilled_from: int | None, heard: list[str]
) -> None:
    skills = Ringing({})
    made = World(Scene((), {}, 6000), skills=skills)
    made.speaker.also.append(ANNOUNCED)
    made.session.reply_settings = ReplySettings(skilled=False)
    if skilled_from is not None:
        made.loop.call_later(skilled_from / 1e3, setattr, made.session, "reply_settings", ReplySettings())
    made.run()
    assert [record.heard for record in made.records] == heard
    assert skills.listened == skills.ran == len(heard)


def test_what_a_client_takes_over_falls_silent() -> None:
    skills = Ringing({})
    made = World(Scene((), {}, 6000), skills=skills)
    made.loop.call_later(0.5, setattr, made.session, "reply_settings", ReplySettings(skilled=False))
    made.run()
    assert made.records == [] and skills.listened == 1

"""The scenarios, told to any client by way of `Session`."""

import asyncio

from kit import Connect, Options, Reply, Scenario, Session, Setup, heard_s, microphone

QUESTION = "capital of france"  # what question.pcm asks
AUDIBLE_S = 0.5  # of a reply that was spoken


def expect(text: str, words: str) -> None:
    """Fail unless the text has the words."""
    if words not in text.lower():
        raise AssertionError(f"{words!r} is not in {text!r}")


def expect_reply(reply: Reply, words: str, *, pcmu: bool = False) -> None:
    """Fail unless the reply is whole, has the words and can be heard."""
    expect(reply.text, words)
    if (seconds := heard_s(reply.audio, pcmu=pcmu)) < AUDIBLE_S:
        raise AssertionError(f"only {seconds:.2f} s of {len(reply.audio)} bytes can be heard")
    if reply.status != "completed":
        raise AssertionError(f"the reply is {reply.status}")


async def typed_turn(
    session: Session, text: str = "Hello there.", words: str = "you said: hello there"
) -> None:
    """Type, and hear the reply."""
    await session.ask(text)
    expect_reply(await session.heard.replies.get(), words)


async def spoken(setup: Setup, connect: Connect) -> None:
    """Speech in real time is transcribed and answered aloud."""
    async with connect(setup, Options()) as session, microphone(session) as mic:
        mic.say(setup.clip("question.pcm"))
        expect(await session.heard.transcripts.get(), QUESTION)
        expect_reply(await session.heard.replies.get(), QUESTION)


async def typed(setup: Setup, connect: Connect) -> None:
    """Text is answered aloud."""
    async with connect(setup, Options()) as session:
        await typed_turn(session)


async def text_only(setup: Setup, connect: Connect) -> None:
    """Text is answered by text, without audio."""
    async with connect(setup, Options(text_only=True)) as session:
        await session.ask("Hello there.")
        reply = await session.heard.replies.get()
        expect(reply.text, "you said: hello there")
        if reply.audio or any("output_audio" in name for name in session.heard.seen):
            raise AssertionError("audio came")


async def second_turn(setup: Setup, connect: Connect) -> None:
    """The second reply quotes the first question."""
    async with connect(setup, Options()) as session:
        await typed_turn(session, "My name is Ada.", "you said: my name is ada")
        await typed_turn(session, "What did I say first?", "first you said: my name is ada")


async def barge_in(setup: Setup, connect: Connect) -> None:
    """A voice over the reply cancels it, the client truncates it, and the voice is answered."""
    async with connect(setup, Options()) as session, microphone(session) as mic:
        await session.ask("Please count.")
        await session.heard.audible.wait()
        await asyncio.sleep(1.5)
        mic.say(setup.clip("question.pcm"))
        cut = await session.heard.replies.get()
        if cut.status not in ("cancelled", "incomplete"):
            raise AssertionError(f"the reply that was spoken over is {cut.status}")
        await session.truncated()
        expect(await session.heard.transcripts.get(), QUESTION)
        expect_reply(await session.heard.replies.get(), QUESTION)


async def manual_commit(setup: Setup, connect: Connect) -> None:
    """Without turn detection the client ends its turn and asks for the reply."""
    async with connect(setup, Options(manual=True)) as session:
        clip = setup.clip("question.pcm")
        for start in range(0, len(clip), 4800):
            await session.push(clip[start : start + 4800])
        await session.commit()
        expect(await session.heard.transcripts.get(), QUESTION)
        expect_reply(await session.heard.replies.get(), QUESTION)


async def idle_cancel(setup: Setup, connect: Connect) -> None:
    """A cancel with nothing to cancel is refused by its code, and the session lives."""
    async with connect(setup, Options()) as session:
        await typed_turn(session)
        refusal = await session.cancel()
        if refusal and refusal.code != "response_cancel_not_active":
            raise AssertionError(f"refused with {refusal.code}")
        await typed_turn(session, "And again.", "you said: and again")


async def malformed(setup: Setup, connect: Connect) -> None:
    """Each bad event is refused with its own id, and the session lives."""
    async with connect(setup, Options()) as session:
        if not session.malformed:
            raise AssertionError("the client names no bad event")
        for event in session.malformed:
            await session.send_raw(event)
            refusal = await session.heard.refusals.get()
            wanted = event["event_id"] if isinstance(event, dict) else None
            if refusal.event_id != wanted:
                raise AssertionError(f"the refusal of {wanted} names {refusal.event_id}")
        await typed_turn(session)


async def tool(setup: Setup, connect: Connect) -> None:
    """The client runs the function that the model calls, and the reply quotes its output."""
    async with connect(setup, Options(weather=True)) as session:
        await session.ask("What is the weather in Paris?")
        reply = await session.heard.replies.get()
        if not reply.text:  # the call is a response of its own
            reply = await session.heard.replies.get()
        expect_reply(reply, "18 degrees")


async def g711(setup: Setup, connect: Connect) -> None:
    """A spoken turn in G.711 mu-law, both ways."""
    async with connect(setup, Options(pcmu=True)) as session, microphone(session, pcmu=True) as mic:
        mic.say(setup.clip("question.ulaw"))
        expect(await session.heard.transcripts.get(), QUESTION)
        expect_reply(await session.heard.replies.get(), QUESTION, pcmu=True)


async def items(setup: Setup, connect: Connect) -> None:
    """An item keeps the client's id, can be retrieved, and is gone after it was deleted."""
    async with connect(setup, Options()) as session:
        item_id = "item_conformance"
        await session.create(item_id, "My name is Ada.")
        expect(await session.retrieve(item_id) or "", "my name is ada")
        await session.delete(item_id)
        if await session.retrieve(item_id) is not None:
            raise AssertionError("a deleted item was retrieved")
        await typed_turn(session)


SCENARIOS: dict[str, Scenario] = {
    "spoken": spoken,
    "typed": typed,
    "text-only": text_only,
    "second-turn": second_turn,
    "barge-in": barge_in,
    "manual-commit": manual_commit,
    "idle-cancel": idle_cancel,
    "malformed": malformed,
    "tool": tool,
    "g711": g711,
    "items": items,
}

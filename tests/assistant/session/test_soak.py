"""500 conversations, 8 at a time on the same workers, with everything that happens in one, leave nothing."""

import asyncio
import gc
import random
import threading
from collections import Counter

from fakes import Scene, Timing, Voice
from world import Machine, World

from assistant.runtime import Channel, StreamJob, VirtualLoop, run_virtual
from assistant.session.events import ReplyContinued, ReplyHeld
from assistant.session.reply import FALLBACK, Reply
from assistant.session.session import Session
from assistant.session.user_turn import UserTurn
from llm.decode.engine import ContextFull

CONVERSATIONS, SESSIONS = 500, 8


class Improvised(dict[str, str | Exception]):
    """A reply to any transcript, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def __contains__(self, transcript: object) -> bool:
        return True

    def __missing__(self, transcript: str) -> str | Exception:
        rng = random.Random(f"{self._seed} {transcript}")
        few, many = (" ".join(f"w{i}" for i in range(count)) + "." for count in (12, 300))
        choices = ("Yes. Certainly.", few, few, many, "", "...", ContextFull(9000, 2048))
        self[transcript] = rng.choice(choices)
        return self[transcript]


def improvise(seed: int) -> Scene:
    """Up to three voices, complete or not, or noise, with pauses from a breath to a full answer."""
    rng = random.Random(seed)
    voices: list[Voice] = []
    at = rng.randrange(0, 300)
    for number in range(rng.randint(1, 3)):
        end = at + rng.randrange(320, 700)
        words = rng.choices(["", "yeah", f"a{number} b{number}"], [15, 30, 55])[0]
        sounds, reads = rng.choice([0.02, 0.5, 0.99]), rng.choice([0.02, 0.5, 0.99])
        voices.append(Voice(at, end, words, sounds, reads))
        at = end + rng.choice([rng.randrange(100, 300), rng.randrange(300, 700), rng.randrange(800, 2200)])
    hangs_up = rng.random() < 0.2
    timing = Timing(
        score=rng.choice([20, 60, 150]),
        read=rng.choice([40, 100, 300]),
        prefill=rng.choice([20, 80]),
        chunk=rng.choice([0, 15, 120]),
        word=rng.choice([80, 120]),
    )
    end_ms = at if hangs_up else at + 3000
    return Scene(tuple(voices), Improvised(seed), end_ms, timing, idle_end_ms=at + 500)


async def converse(seed: int, machine: Machine) -> Counter[str]:
    """One conversation; what happened in it."""
    scene = improvise(seed)
    world = World(scene, loop=machine.loop, machine=machine, name=f"c{seed}")
    world.strict = []  # which of the possible replies are asked for, only the session knows
    await world.converse()
    if world.session.idle:
        world.check_sink()
    assert {span.session for span in world.recorder.spans} == {f"c{seed}"}
    spoken = " ".join(voice.words for voice in scene.voices if voice.words)
    understood = " ".join(m.content for m in world.history() if m.role == "user")
    continued = sum(isinstance(event, ReplyContinued) for event in world.events)
    if continued:  # "yeah" over a reply is no turn
        spoken, understood = (" ".join(text.replace("yeah", "").split()) for text in (spoken, understood))
    assert spoken == understood if world.session.idle else spoken.startswith(understood)
    return Counter(
        turns=len(world.records),
        reopened=sum(record.reopened for record in world.records),
        barge_ins=sum(record.interrupted and not record.reopened for record in world.records),
        fallbacks=sum(FALLBACK in record.reply for record in world.records),
        held=sum(isinstance(event, ReplyHeld) for event in world.events),
        continued=continued,
        noises=sum(not text for text in world.reader.finals),
        discarded=len(set(world.writer.transcripts)) - len({record.transcript for record in world.records}),
        cut_off=not world.session.idle,
    )


async def soak(machine: Machine) -> Counter[str]:
    happened: Counter[str] = Counter()
    seeds = iter(range(CONVERSATIONS))

    async def take_places() -> None:
        """A place of the machine, taken by one conversation after the other."""
        for seed in seeds:
            happened.update(await converse(seed, machine))

    async with asyncio.TaskGroup() as group:
        for _ in range(SESSIONS):
            group.create_task(take_places())
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.sleep(60)
    workers = (machine.vad, machine.asr, machine.llm, machine.tts)
    assert [(worker.pending, worker.refused) for worker in workers] == [(0, 0)] * len(workers)
    assert not machine.batcher._waiting
    return happened


def kept() -> list[object]:
    """What of any session is still there."""
    gc.collect()
    of_sessions = Channel | Reply | Session | UserTurn | StreamJob
    return [item for item in gc.get_objects() if issubclass(type(item), of_sessions)]


def test_500_conversations_leave_nothing_behind() -> None:
    threads, before = set(threading.enumerate()), kept()
    loop = VirtualLoop()
    machine = Machine(loop, sessions=SESSIONS)
    happened = run_virtual(soak(machine), loop)
    assert set(threading.enumerate()) == threads
    assert [item for item in kept() if not any(item is other for other in before)] == []
    # The mix held everything it was meant to hold.
    assert happened["turns"] > CONVERSATIONS / 2
    for kind in ("reopened", "barge_ins", "held", "fallbacks", "noises", "discarded", "cut_off"):
        assert happened[kind] > CONVERSATIONS / 25, (kind, happened)
    assert happened["continued"] > CONVERSATIONS / 50, happened
    assert max(machine.vad_model.batches) > 1

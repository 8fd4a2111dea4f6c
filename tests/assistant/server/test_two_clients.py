"""Two clients at once, on the models that they share: neither ever hears the other."""

import asyncio
import random
from unittest.mock import patch

import pytest
from fakes import Scene, Timing, Voice
from remote import EXACT, Remote, typed
from world import Machine

from assistant.runtime import VirtualLoop, run_virtual
from assistant.server import formats

WORDS = {
    "a": ("apples or pears", "Apples are red. Pears are green."),
    "b": ("boats or trains", "Boats are slow. Trains are fast."),
}
TYPED = {"a": ("another apple", "Another apple it is."), "b": ("another boat", "Another boat it is.")}


def client(name: str, loop: VirtualLoop, machine: Machine, draw: random.Random) -> Remote:
    """One that speaks, then types over the reply or after it, at times of its own."""
    said, answer = WORDS[name]
    written, second = TYPED[name]
    begin = draw.randrange(100, 900, 4)
    timing = Timing(token=draw.choice([5, 15, 40]), chunk=draw.choice([10, 30, 80]))
    scene = Scene((Voice(begin, begin + 640, said),), {said: answer, written: second}, 9000, timing)
    cancel = {"type": "response.cancel"}
    at = draw.randrange(2400, 5000, 20)
    says = {at: [cancel, typed(written)], at + 200: {"type": "response.create"}}
    return Remote(scene, says, loop=loop, machine=machine)


@pytest.mark.parametrize("seed", range(100))
def test_neither_hears_the_other(seed: int) -> None:
    draw, loop = random.Random(seed), VirtualLoop()
    machine = Machine(loop, sessions=2)
    clients = {name: client(name, loop, machine, draw) for name in WORDS}

    async def both() -> None:
        await asyncio.gather(*(each.connect() for each in clients.values()))

    with patch.dict(formats.FORMATS, {EXACT.name: EXACT}):
        run_virtual(both(), loop)
    for name, each in clients.items():
        mine = " ".join((*WORDS[name], *TYPED[name]))
        told = [
            event[key]
            for _, event in each.sent
            for key in ("delta", "transcript")
            if key in event and event["type"] != "response.output_audio.delta"
        ]
        assert any(WORDS[name][0] in text for text in told)
        words = {word.strip(".") for text in told for word in text.split()}
        assert words and words <= {word.strip(".") for word in mine.split()}
        ids = {event["event_id"].rsplit("_", 1)[0] for _, event in each.sent}
        assert len(ids) == 1
        said = [message.content for message in each.history()[1:]]
        assert all(set(text.replace(".", "").split()) <= set(mine.replace(".", "").split()) for text in said)

"""Replies on the loudspeaker, one behind the other, on virtual time; checked on what was played."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
from fake_port import OUT_LATENCY_S
from rig import Rig

from assistant.client.player import Player

RATE = 24000


def level(ms: int, value: float) -> np.ndarray:
    return np.full(ms * RATE // 1000, value, np.float32)


class Played:
    def __init__(self, script: Callable[["Played"], Awaitable[None]]) -> None:
        self.rig = Rig()
        self.over: list[tuple[str, float]] = []

        async def main() -> None:
            self.player = Player(self.rig.sink, self.rig.loop.clock, RATE, self.note)
            running = asyncio.create_task(self.player.run())
            await script(self)
            running.cancel()
            await asyncio.wait([running])

        self.rig.run(main)
        self.sound = next(s for s in self.rig.port.streams if s.direction == "output").sound()

    def note(self, reply: str) -> None:
        self.over.append((reply, self.rig.now_ms))

    def lasted_ms(self, value: float) -> float:
        """How long the loudspeaker gave this level."""
        return float((np.abs(self.sound - value) < 0.01).sum()) / 48


def test_a_reply_sounds_whole_and_is_over_when_it_has_sounded() -> None:
    async def script(test: Played) -> None:
        test.player.play("a", level(500, 0.25))
        test.player.play("a", level(500, 0.25))
        test.player.finish("a")
        await test.rig.until(3000)
        assert test.player.stop() == {}

    test = Played(script)
    ((name, over_ms),) = test.over
    assert name == "a" and abs(test.lasted_ms(0.25) - 1000) < 12
    last = np.flatnonzero(np.abs(test.sound) > 0.01)[-1] / 48 + OUT_LATENCY_S * 1000
    assert last - 12 <= over_ms <= last + 30


def test_two_replies_come_one_behind_the_other() -> None:
    async def script(test: Played) -> None:
        for name, value in (("a", 0.25), ("b", 0.5)):
            test.player.play(name, level(400, value))
            test.player.finish(name)
        await test.rig.until(3000)

    test = Played(script)
    assert [name for name, _ in test.over] == ["a", "b"]
    assert abs(test.lasted_ms(0.25) - 400) < 12 and abs(test.lasted_ms(0.5) - 400) < 12


def test_a_stop_is_silence_and_what_was_heard_is_known_to_the_millisecond() -> None:
    async def script(test: Played) -> None:
        test.player.play("a", level(5000, 0.25))
        test.player.play("b", level(500, 0.5))
        await test.rig.until(1500)
        test.heard = test.player.stop()  # type: ignore[attr-defined]
        await test.rig.until(2500)
        test.player.play("c", level(300, 0.75))
        test.player.finish("c")
        await test.rig.until(4000)

    test = Played(script)
    heard = test.heard  # type: ignore[attr-defined]
    assert set(heard) == {"a", "b"} and heard["b"] == 0
    sounded = np.flatnonzero((np.abs(test.sound) > 0.001) & (np.arange(len(test.sound)) < 2400 * 48))
    assert abs(heard["a"] - (sounded[-1] - sounded[0]) / 48) < 12
    assert sounded[-1] / 48 <= 1500 + 10 + 10 + 5
    assert test.lasted_ms(0.5) == 0 and abs(test.lasted_ms(0.75) - 300) < 12
    assert [name for name, _ in test.over] == ["c"]

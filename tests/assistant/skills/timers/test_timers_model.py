"""Ten thousand random operations on timers, against a model that goes from second to second."""

import random
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from spoken_to import Home

from assistant.skills import Intent, Situation
from assistant.skills.timers.timers import Timers

NAMES = ("pasta", "egg", "rice", "tea", "bread")


@dataclass(frozen=True)
class Timer:
    name: str
    left_s: int
    paused: bool = False
    rung: int = 0
    rings_in_s: int = 0


class Model:
    """Timers that count down one second at a time; each rings when it is over, and once more after 20 s."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def newest(self, name: str, *, paused: bool | None = None) -> int | None:
        known = [
            place
            for place, timer in enumerate(self.timers)
            if timer.name == name and timer.left_s > 0 and paused in (None, timer.paused)
        ]
        return known[-1] if known else None

    def ring(self) -> list[str]:
        """What is said in this second."""
        said, timers = [], []
        over = sorted((t for t in self.timers if not t.paused and t.left_s <= 0), key=lambda t: t.left_s)
        for timer in over:
            if timer.rings_in_s <= 0:
                late = timer.rung == 0 and timer.left_s <= -60
                said.append(f"{timer.name} late" if late else timer.name)
        for timer in self.timers:
            if not timer.paused and timer.left_s <= 0 and timer.rings_in_s <= 0:
                last = timer.rung == 1 or timer.left_s <= -300
                if not last:
                    timers.append(replace(timer, rung=1, rings_in_s=20))
            else:
                timers.append(timer)
        self.timers = timers
        return said

    def second(self) -> None:
        self.timers = [
            t if t.paused else replace(t, left_s=t.left_s - 1, rings_in_s=t.rings_in_s - 1)
            for t in self.timers
        ]

    def restart(self) -> None:
        """Nobody knows any more how often it rang."""
        self.timers = [replace(t, rung=0, rings_in_s=0) for t in self.timers]


def finish(work: Coroutine[Any, Any, Any]) -> None:
    """Run what waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def operate(model: Model, kind: str, name: str, seconds: int) -> tuple[str, dict[str, Any]]:
    """Change the model; returns the intent that is to do the same."""
    match kind:
        case "start":
            model.timers.append(Timer(name, seconds))
            return "HassStartTimer", {"name": name, "seconds": seconds}
        case "cancel":
            if (place := model.newest(name)) is not None:
                del model.timers[place]
            return "HassCancelTimer", {"name": name}
        case "pause" | "resume":
            place = model.newest(name, paused=kind == "resume")
            if place is not None:
                model.timers[place] = replace(model.timers[place], paused=kind == "pause")
            return "HassPauseTimer" if kind == "pause" else "HassUnpauseTimer", {"name": name}
        case _:
            sign = 1 if kind == "add" else -1
            place = model.newest(name)
            if place is not None and model.timers[place].left_s + sign * seconds > 0:
                timer = model.timers[place]
                model.timers[place] = replace(timer, left_s=timer.left_s + sign * seconds)
            return "HassIncreaseTimer" if sign > 0 else "HassDecreaseTimer", {
                "name": name,
                "seconds": seconds,
            }


def heard(text: str) -> str:
    """The name in what is announced, and whether it is late."""
    return f"{text.split()[1]}{' late' if text.endswith('ago.') else ''}"


def test_ten_thousand_operations_end_as_in_the_model() -> None:
    chance, home, model = random.Random(5), Home(), Model()
    timers = Timers(home.services, home.due)
    rang = 0
    for number in range(10_000):
        kind = chance.choice(
            ["start", "cancel", "pause", "resume", "add", "take", "wait", "wait", "restart", "away"]
        )
        if kind in ("restart", "away"):
            if kind == "away":
                home.now = home.now.fromtimestamp(home.now.timestamp() + 150, home.now.tzinfo)
                for _ in range(150):
                    model.second()
            home.restart()
            model.restart()
            timers = Timers(home.services, home.due)
        elif kind == "wait":
            seconds, said = chance.randrange(90), model.ring()
            for _ in range(seconds):
                model.second()
                said += model.ring()
            assert [heard(text) for text in home.wait(seconds=seconds)] == said, number
            rang += len(said)
        else:
            before, undone = list(model.timers), chance.random() < 0.1
            name, slots = operate(model, kind, chance.choice(NAMES), chance.randrange(1, 200))
            answer = timers.answer(Intent(name, slots, f"{kind} the timer"), Situation(home.now))
            assert answer is not None
            kept = home.state()
            if answer.act is not None:
                assert home.state() == kept, "an answer changes nothing"
                finish(answer.act())
                if undone and answer.undo is not None:
                    finish(answer.undo())
            if undone:
                model.timers = before
        now_s = home.now.timestamp()
        kept = [(item.text, item.left(home.now), item.due_s is None) for item in home.due.items("timer")]
        assert kept == [(t.name, t.left_s, t.paused) for t in model.timers], (number, kind, now_s)
    assert rang > 1000

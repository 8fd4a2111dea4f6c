"""What rings, when, and for how long; on a clock that tests move, and after a process was killed."""

import asyncio
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from spoken_to import WEDNESDAY, Home

from assistant.runtime import VirtualLoop, run_virtual
from assistant.skills import Services, Store, StoreError
from assistant.skills.timers.due import Due, Item

ROOT = Path(__file__).parents[4]
NOW_S = WEDNESDAY.timestamp()


def timer(in_s: float, name: str = "", length_s: float = 600) -> Item:
    return Item("timer", NOW_S + in_s, name, length_s)


def test_a_timer_rings_twice_and_a_reminder_once() -> None:
    home = Home()
    home.due.put(timer(60, "pasta"))
    home.due.put(Item("reminder", NOW_S + 60, "call your mother"))
    assert home.wait(seconds=59) == []
    assert home.wait(seconds=1) == ["Your pasta timer is done.", "Here is your reminder: call your mother."]
    assert home.wait(seconds=19) == []
    assert home.wait(hours=2) == ["Your pasta timer is done."]
    assert home.state() == []


def test_an_alarm_rings_for_five_minutes() -> None:
    home = Home()
    home.due.put(Item("alarm", NOW_S + 30 * 60))
    assert home.wait(minutes=30) == ["It's 6 p.m., and this is your alarm."]
    assert len(home.wait(minutes=5)) == 15  # each 20 s, the last after five minutes
    assert home.wait(hours=1) == []
    assert home.state() == []


def test_it_rings_until_somebody_stops_it() -> None:
    home = Home()
    home.due.put(Item("alarm", NOW_S + 60))
    home.due.put(timer(60))
    assert len(home.wait(seconds=81)) == 4
    assert [item.kind for item in home.due.ringing] == ["alarm"]
    home.due.silence()
    assert home.due.ringing == []
    assert home.wait(hours=1) == []


def test_what_is_not_due_yet_is_not_silenced() -> None:
    home = Home()
    home.due.put(timer(60))
    home.due.silence()
    assert len(home.wait(minutes=2)) == 2


def test_two_that_are_due_at_once_both_ring() -> None:
    home = Home()
    home.due.put(timer(300, "eggs"))
    home.due.put(timer(300, "toast"))
    assert home.wait(seconds=300) == ["Your eggs timer is done.", "Your toast timer is done."]


def test_an_alarm_comes_again_on_its_days_and_at_its_time() -> None:
    friday = datetime(2026, 3, 6, 6, 59, tzinfo=ZoneInfo("America/New_York"))
    home = Home(friday)
    home.due.put(Item("alarm", friday.timestamp() + 60, clock="07:00", days="01234"))
    assert len(home.wait(hours=1)) == 16
    monday = datetime.fromtimestamp(home.due.items("alarm")[0].due_s or 0, friday.tzinfo)
    assert monday.isoformat() == "2026-03-09T07:00:00-04:00"  # clocks were put forward on Sunday
    assert home.wait(days=2) == []
    home.wait(days=1)
    home.due.silence()
    assert len(home.due.items("alarm")) == 1


def test_what_became_due_meanwhile_is_said_at_once_with_how_late_it_is(tmp_path: Path) -> None:
    home = Home(path=tmp_path / "skills.db")
    home.due.put(timer(60, "pasta"))
    home.due.put(Item("alarm", NOW_S + 120))
    home.due.put(Item("reminder", NOW_S + 180, "leave"))
    home.now += timedelta(hours=14)
    home.restart()
    assert home.wait(hours=1) == [
        "Your pasta timer ended 13 hours and 59 minutes ago.",
        "Your alarm for 5:32 p.m. was due 13 hours and 58 minutes ago.",
        "I was to remind you at 5:33 p.m. yesterday, 13 hours and 57 minutes ago: leave.",
    ]
    assert home.state() == []


def test_what_is_only_a_little_late_rings_on() -> None:
    home = Home()
    home.due.put(Item("alarm", NOW_S + 60))
    home.now += timedelta(seconds=180)
    home.restart()
    assert home.wait(seconds=0) == ["Your alarm for 5:31 p.m. was due 2 minutes ago."]
    assert home.wait(seconds=20) == ["It's 5:33 p.m., and this is your alarm."]


def test_a_clock_that_is_put_back_while_it_rings_does_not_keep_it_ringing() -> None:
    home = Home()
    home.due.put(timer(60))
    home.wait(seconds=60)
    home.now -= timedelta(days=1)
    assert home.wait(seconds=10) == []  # it is not due now
    home.due.put(Item("alarm", home.now.timestamp()))
    assert len(home.wait(minutes=10)) == 16


def test_a_kept_timer_is_no_other_after_a_restart() -> None:
    home = Home()
    first = home.due.put(timer(60, "eggs"))
    home.due.remove(first)
    home.restart()
    assert home.due.put(timer(60, "toast")).id != first.id


KILLED = """
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from assistant.skills import Services, Store
from assistant.skills.timers.due import Due, Item

now = datetime.fromtimestamp(float(sys.argv[2]), timezone.utc)
due = Due(Services(Store(Path(sys.argv[1])), lambda: now, lambda text: print(text, flush=True)))
due.put(Item("timer", now.timestamp() + float(sys.argv[3]), "pasta", 600.0))
due.ring()
print("ready", flush=True)
sys.stdin.read()
"""


def kill_after(path: Path, in_s: float) -> list[str]:
    """A process that keeps a timer, rings if it is due, and is killed; returns what it said."""
    command = [sys.executable, "-c", KILLED, str(path), str(NOW_S), str(in_s)]
    said = []
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline().strip()) not in ("ready", ""):
            said.append(line)
        process.kill()
    return said


def test_a_process_that_was_killed_rings_after_its_restart(tmp_path: Path) -> None:
    assert kill_after(tmp_path / "skills.db", 600) == []
    home = Home(WEDNESDAY + timedelta(minutes=4), tmp_path / "skills.db")
    assert home.wait(minutes=5, seconds=59) == []
    assert home.wait(seconds=1) == ["Your pasta timer is done."]


def test_a_process_that_was_killed_while_it_rang_rings_again(tmp_path: Path) -> None:
    assert kill_after(tmp_path / "skills.db", 0) == ["Your pasta timer is done."]
    home = Home(WEDNESDAY + timedelta(seconds=5), tmp_path / "skills.db")
    assert home.wait(minutes=1) == ["Your pasta timer is done."] * 2
    assert home.state() == []


def on_virtual_time(
    changes: dict[float, Item], jump: tuple[float, float], until_s: float
) -> list[tuple[float, str]]:
    """What `run` says and when; `changes` adds items at seconds, `jump` sets the clock on the wall."""
    loop, said = VirtualLoop(), list[tuple[float, str]]()

    def now() -> datetime:
        jumped_s = jump[1] if loop.time() >= jump[0] else 0.0
        return WEDNESDAY + timedelta(seconds=loop.time() + jumped_s)

    async def live() -> None:
        due = Due(Services(Store(), now, lambda text: said.append((round(loop.time(), 2), text))))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(due.run())
            for at_s, item in changes.items():
                await asyncio.sleep(at_s - loop.time())
                due.put(item)
            await asyncio.sleep(until_s - loop.time())
            running.cancel()

    run_virtual(live(), loop)
    return said


def test_it_waits_for_what_is_due_next_and_hears_of_what_is_new() -> None:
    said = on_virtual_time({0.0: timer(3000, "ham"), 10.0: timer(11, "egg")}, (9e9, 0.0), 3010.0)
    assert said == [
        (11.0, "Your egg timer is done."),
        (31.0, "Your egg timer is done."),
        (3000.0, "Your ham timer is done."),
    ]


def test_a_clock_that_is_set_or_a_machine_that_slept_is_noticed_within_half_a_minute() -> None:
    (first, text), *_ = on_virtual_time({0.0: timer(3600, "ham")}, (1000.0, 3000.0), 1100.0)
    assert 1000.0 <= first <= 1030.0
    assert text == f"Your ham timer ended {int((first + 3000 - 3600) // 60)} minutes ago."


class FullDisk(Store):
    """Writes nothing while it is full."""

    full = False

    def write(self, sql: str, *values: object) -> int:
        if self.full:
            raise StoreError("the disk is full")
        return super().write(sql, *values)


def test_all_that_is_due_is_said_though_none_of_it_can_be_written_down() -> None:
    home, store = Home(), FullDisk()
    services = Services(store, lambda: home.now, home.announced.append)
    due = Due(services)
    for what in ("feed the cat", "call your mother"):
        due.put(Item("reminder", NOW_S, what))
    store.full = True
    for _ in range(3):
        with pytest.raises(StoreError):
            due.ring()
        home.now += timedelta(seconds=30)
    assert home.announced == [
        "Here is your reminder: feed the cat.",
        "Here is your reminder: call your mother.",
    ]
    store.full = False
    due.ring()
    assert due.items("reminder") == []


def test_what_is_silenced_stays_silent_though_that_cannot_be_written_down() -> None:
    home, store = Home(), FullDisk()
    due = Due(Services(store, lambda: home.now, home.announced.append))
    due.put(Item("alarm", NOW_S))
    due.ring()
    store.full = True
    due.silence()
    assert due.ringing == []
    home.now += timedelta(seconds=20)
    with pytest.raises(StoreError):
        due.ring()
    assert len(home.announced) == 1


def test_rows_of_a_newer_version_are_passed_over() -> None:
    home = Home()
    home.services.store.write("INSERT INTO due VALUES (NULL, 'nap', 1, '', 1, 1, '', '')")
    home.due.put(timer(60))
    assert len(home.wait(minutes=1)) == 1

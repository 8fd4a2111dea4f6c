"""What was run on virtual time, step by step: for whom, and what it waited for."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

SESSION: ContextVar[str] = ContextVar("session", default="")
"""The name of the session that asks, set by who runs it."""


@dataclass(frozen=True, eq=False, slots=True)
class StepRun:
    """A step of a job, or a call on the event loop: `session` and `task` asked for it.

    It was ready at `ready_ns`, began when a thread was free, and takes `alone_ns` with cores to itself.
    """

    worker: str
    session: str
    task: str
    kind: str
    job: int
    """Its number among those of its worker: that of all its steps."""
    ready_ns: int
    began_ns: int
    ended_ns: int
    alone_ns: int
    width: int = 1
    """The cores that it kept busy."""
    wanted: bool = True
    """Whether somebody still waited for it when it was over."""


def task_name() -> str:
    """The name of the task that runs."""
    task = asyncio.current_task()
    return task.get_name() if task else ""

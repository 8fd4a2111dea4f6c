"""How a replica learns that it is to go.

Serve has no hook for that: it stops sending requests, waits until those that it has are over, and calls
`__del__` then. A conversation would go on to the end of that wait. So the replica looks at the flag that
Serve sets first, in the actor that this process is.
"""

import asyncio
from collections.abc import Callable

_POLL_S = 0.1


def going() -> Callable[[], bool]:
    """What says whether Serve has told this replica to go; to be called in one."""
    from ray._private import worker  # noqa: PLC0415  # manifests are written without Ray

    process = worker.global_worker
    replica = process.actors[process.actor_id]._replica_impl
    assert isinstance(replica._shutting_down, bool), "ray[serve] is another than the one in constraints.txt"
    return lambda: replica._shutting_down


async def watch(is_going: Callable[[], bool], draining: asyncio.Event) -> None:
    """Set `draining` once this replica is to go; `is_going` is what `going` gave."""
    while not is_going():  # noqa: ASYNC110  # nobody sets an event
        await asyncio.sleep(_POLL_S)
    draining.set()

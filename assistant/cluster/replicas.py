"""The replicas that run, as Ray tells."""

from dataclasses import dataclass
from typing import Any

import ray
from ray._private.state import actors

from assistant.cluster.deployment import NAME

_PREFIX = f"SERVE_REPLICA::{NAME}#{NAME}#"
_ANSWER_S = 5.0


@dataclass(frozen=True)
class Running:
    """One replica."""

    name: str
    state: str
    conversations: int
    """And other requests, which take no time."""
    pid: int


def replicas() -> list[Running]:
    """Those that live, by name; to be called by a driver."""
    found = [actor for actor in actors().values() if str(actor["Name"]).startswith(_PREFIX)]
    return sorted(
        (_asked(actor) for actor in found if actor["State"] == "ALIVE"), key=lambda replica: replica.name
    )


def _asked(actor: dict[str, Any]) -> Running:
    handle = ray.get_actor(actor["Name"], namespace="serve")
    ongoing = ray.get(handle.get_num_ongoing_requests.remote(), timeout=_ANSWER_S)
    return Running(actor["Name"].removeprefix(_PREFIX), "running", ongoing, actor["Pid"])

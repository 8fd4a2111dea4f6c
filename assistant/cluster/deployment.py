"""How many replicas, where, and how they come and go, in Serve's terms."""

from collections.abc import Mapping
from typing import Any

from ray import serve

from assistant.cluster.replica import Opened, Replica
from assistant.config import ClusterConfig, Config

NAME = "assistant"
_QUEUED = 16  # handshakes that wait at a proxy for a free place; Restarts gives each a few seconds
_CLOSE_S = 5.0  # in which clients answer the close frames


def options(config: Config) -> dict[str, Any]:
    """The options of the deployment; conversations are Serve's ongoing requests."""
    cluster, sessions = config.cluster, config.llm.sessions
    return {
        "name": NAME,
        "max_ongoing_requests": sessions,
        "max_queued_requests": _QUEUED,
        "graceful_shutdown_wait_loop_s": 0.2,
        "graceful_shutdown_timeout_s": config.server.drain_s + _CLOSE_S,
        "health_check_period_s": 2,
        "health_check_timeout_s": 10,
        "ray_actor_options": {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus},
        **_scale(cluster, sessions),
    }


def application(table: Mapping[str, Any], config: Config, opened: Opened) -> Any:  # noqa: ANN401  # Serve's
    """The application that `serve.run` takes; replicas open their models with `opened`."""
    replica = serve.ingress(None)(Replica)
    return serve.deployment(replica, **options(config)).bind(dict(table), opened, _replica_id)


def _replica_id() -> str:
    """In the process of a replica."""
    return str(serve.get_replica_context().replica_tag)


def _scale(cluster: ClusterConfig, sessions: int) -> dict[str, Any]:
    if cluster.max_replicas <= cluster.replicas:
        return {"num_replicas": cluster.replicas}
    return {
        "autoscaling_config": {
            "min_replicas": cluster.replicas,
            "max_replicas": cluster.max_replicas,
            "target_ongoing_requests": cluster.fill * sessions,
            "upscale_delay_s": cluster.upscale_s,
            "downscale_delay_s": cluster.downscale_s,
        }
    }

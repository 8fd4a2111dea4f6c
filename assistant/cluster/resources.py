"""Whether replicas find room in a Ray that runs: Serve waits for ever where they do not."""

from collections.abc import Mapping

from assistant.cluster.errors import ClusterError
from assistant.config import ClusterConfig


def check_room(cluster: ClusterConfig, resources: Mapping[str, float]) -> None:
    """Raise ClusterError if Ray, which has `resources` by its names, has no room for all replicas."""
    for name, each in (("CPU", cluster.cpus), ("GPU", cluster.gpus)):
        wanted, there = cluster.replicas * each, resources.get(name, 0.0)
        if wanted > there:
            raise ClusterError(
                f"{cluster.replicas} replicas want {wanted:g} {name}s, and the cluster has {there:g}:"
                " take fewer, or begin anew with assistant cluster down"
            )

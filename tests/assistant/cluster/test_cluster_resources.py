"""Replicas that a running Ray has no room for."""

import pytest

from assistant.cluster.errors import ClusterError
from assistant.cluster.resources import check_room
from assistant.config import ClusterConfig


def test_replicas_that_fit_are_taken() -> None:
    check_room(ClusterConfig(replicas=2, cpus=1.5, gpus=0.5), {"CPU": 3.0, "GPU": 1.0, "memory": 9e9})
    check_room(ClusterConfig(replicas=2, max_replicas=9, cpus=1.0), {"CPU": 2.0})


def test_replicas_beyond_the_processors_are_an_error_of_one_line() -> None:
    with pytest.raises(ClusterError, match=r"^3 replicas want 4\.5 CPUs, and the cluster has 3: [^\n]*$"):
        check_room(ClusterConfig(replicas=3, cpus=1.5), {"CPU": 3.0})
    with pytest.raises(ClusterError, match=r"^1 replicas want 0\.5 GPUs, and the cluster has 0: "):
        check_room(ClusterConfig(replicas=1, cpus=1.0, gpus=0.5), {"CPU": 3.0})

"""These tests start Ray: `make test-cluster` runs them, which sets CLUSTER_TESTS."""

import os
from collections.abc import Iterator

import pytest
from local_cluster import Cluster, cluster_of_two

collect_ignore_glob = [] if os.environ.get("CLUSTER_TESTS") else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_of_two(tmp_path_factory.mktemp("cluster")) as running:
        yield running

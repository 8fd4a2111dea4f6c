"""A cluster written down: for `serve deploy`, and for the KubeRay operator. Pure functions."""

from math import ceil
from typing import Any

import yaml

from assistant.cluster.environment import PROXY
from assistant.cluster.replica import RESUME, TOKEN, table_of
from assistant.config import Config

RAY_VERSION = "2.60.0"
BUILDER = "assistant.commands.cluster_app:build"
_NAME = "assistant"
_ALL = "0.0.0.0"
_HEAD = {"cpu": "1", "memory": "4Gi"}
_HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001}  # the operator asks them
_MEMORY_PER_WORKER = "4Gi"


def serve_manifest(config: Config) -> dict[str, Any]:
    """What Serve calls ServeDeploySchema. Proxies listen on all addresses, as pods have to."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": _ALL, "port": config.cluster.port},
        "applications": [
            {"name": _NAME, "route_prefix": "/", "import_path": BUILDER, "args": table_of(config, _ALL)}
        ],
    }


def kuberay_manifest(config: Config, image: str) -> dict[str, Any]:
    """A RayService with a worker for each replica; the token is in a secret.

    A worker has whole CPUs and GPUs: one with a replica of half a CPU has room for two, and Ray may fill it.
    """
    cluster = config.cluster
    most = max(cluster.replicas, cluster.max_replicas)
    resources = {"cpu": str(ceil(cluster.cpus)), "memory": _MEMORY_PER_WORKER}
    if cluster.gpus:
        resources["nvidia.com/gpu"] = str(ceil(cluster.gpus))
    workers = {
        "groupName": "replicas",
        "replicas": cluster.replicas,
        "minReplicas": cluster.replicas,
        "maxReplicas": most,
        "rayStartParams": {},
        "template": _pod("ray-worker", image, resources, {"serve": cluster.port}),
    }
    head = {
        "rayStartParams": {"num-cpus": "0", "disable-usage-stats": "true"},
        "template": _pod("ray-head", image, _HEAD, {**_HEAD_PORTS, "serve": cluster.port}),
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": _NAME},
        "spec": {
            "serveConfigV2": text(serve_manifest(config)),
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "enableInTreeAutoscaling": most > cluster.replicas,
                "headGroupSpec": head,
                "workerGroupSpecs": [workers],
            },
        },
    }


def text(manifest: dict[str, Any]) -> str:
    """A manifest as YAML."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stay lines, and what is the same twice is written twice."""

    def ignore_aliases(self, _: object) -> bool:
        return True


_Dumper.add_representer(
    str,
    lambda dumper, value: dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    ),
)


def _pod(container: str, image: str, resources: dict[str, str], ports: dict[str, int]) -> dict[str, Any]:
    token = {"secretKeyRef": {"name": _NAME, "key": "token"}}
    resume = {"secretKeyRef": {"name": _NAME, "key": "resume", "optional": True}}
    secrets = [{"name": TOKEN, "valueFrom": token}, {"name": RESUME, "valueFrom": resume}]
    environment = [{"name": name, "value": value} for name, value in PROXY.items()]
    own = {
        "name": container,
        "image": image,
        "env": [*environment, *secrets],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "resources": {"requests": resources, "limits": resources},
    }
    return {"spec": {"containers": [own]}}

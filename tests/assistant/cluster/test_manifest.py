"""Manifests against the schema of KubeRay, and what of a configuration they hold.

The models are an extract of KubeRay's types RayServiceSpec, RayClusterSpec, HeadGroupSpec, WorkerGroupSpec
(ray-operator/apis/ray/v1/rayservice_types.go and raycluster_types.go, read in November 2026), and of
Kubernetes' PodTemplateSpec, Container, EnvVar, ContainerPort and ResourceRequirements (core/v1) what is used
here. A field that they do not know is an error, as it is to the operator's CRD.
"""

from dataclasses import replace
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assistant.cluster.manifest import kuberay_manifest, serve_manifest, text
from assistant.cluster.replica import configured, table_of
from assistant.config import ClusterConfig, Config, LlmConfig, ServerConfig

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SecretKey(Strict):
    name: DnsLabel
    key: str
    optional: bool = False


class ValueFrom(Strict):
    secretKeyRef: SecretKey  # noqa: N815  # Kubernetes' names


class EnvVar(Strict):
    name: str
    value: str | None = None
    valueFrom: ValueFrom | None = None  # noqa: N815


class Port(Strict):
    name: Annotated[DnsLabel, Field(max_length=15)]
    containerPort: Annotated[int, Field(ge=1, le=65535)]  # noqa: N815


class Resources(Strict):
    requests: dict[str, Quantity]
    limits: dict[str, Quantity]


class Container(Strict):
    name: DnsLabel
    image: str
    env: list[EnvVar]
    ports: list[Port]
    resources: Resources


class PodSpec(Strict):
    containers: Annotated[list[Container], Field(min_length=1)]


class PodTemplate(Strict):
    spec: PodSpec


class HeadGroup(Strict):
    rayStartParams: dict[str, str]  # noqa: N815
    template: PodTemplate


class WorkerGroup(Strict):
    groupName: DnsLabel  # noqa: N815
    replicas: int
    minReplicas: int  # noqa: N815
    maxReplicas: int  # noqa: N815
    rayStartParams: dict[str, str]  # noqa: N815
    template: PodTemplate


class RayCluster(Strict):
    rayVersion: str  # noqa: N815
    enableInTreeAutoscaling: bool  # noqa: N815
    headGroupSpec: HeadGroup  # noqa: N815
    workerGroupSpecs: list[WorkerGroup]  # noqa: N815


class Spec(Strict):
    serveConfigV2: str  # noqa: N815
    rayClusterConfig: RayCluster  # noqa: N815


class Metadata(Strict):
    name: DnsLabel


class RayService(Strict):
    apiVersion: Literal["ray.io/v1"]  # noqa: N815
    kind: Literal["RayService"]
    metadata: Metadata
    spec: Spec


CONFIG = replace(
    Config(),
    llm=LlmConfig(sessions=4, system_prompt="Line one.\nLine two."),
    server=ServerConfig(token="a-secret-word", origins=("https://example.org",)),
    cluster=ClusterConfig(replicas=2, max_replicas=6, cpus=3.5, gpus=0.25, port=8100),
)


def test_a_ray_service_has_no_field_that_the_operator_does_not_know() -> None:
    written = yaml.safe_load(text(kuberay_manifest(CONFIG, "registry.example/assistant:1")))
    service = RayService.model_validate(written)
    cluster = service.spec.rayClusterConfig
    (workers,) = cluster.workerGroupSpecs
    assert (workers.replicas, workers.minReplicas, workers.maxReplicas) == (2, 2, 6)
    assert cluster.enableInTreeAutoscaling
    (worker,) = workers.template.spec.containers
    assert worker.resources.requests == {"cpu": "4", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert [port.containerPort for port in worker.ports] == [8100]
    (head,) = cluster.headGroupSpec.template.spec.containers
    assert {port.name for port in head.ports} >= {"gcs-server", "dashboard", "serve"}
    assert yaml.safe_load(service.spec.serveConfigV2) == serve_manifest(CONFIG)


def test_the_schema_knows_a_wrong_field() -> None:
    written = kuberay_manifest(CONFIG, "image")
    written["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["minimum"] = 1
    with pytest.raises(ValidationError, match="minimum"):
        RayService.model_validate(written)


def test_a_manifest_holds_the_configuration_but_not_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    written = text(serve_manifest(CONFIG))
    assert "a-secret-word" not in text(kuberay_manifest(CONFIG, "image"))
    (application,) = yaml.safe_load(written)["applications"]
    monkeypatch.setenv("ASSISTANT_TOKEN", "another-word")
    read = configured(application["args"])
    expected = replace(
        CONFIG,
        llm=replace(CONFIG.llm, threads=3),
        server=replace(CONFIG.server, token="another-word", host="0.0.0.0"),
    )
    assert read == expected


def test_secrets_of_the_table_win_over_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a replica is that of Ray, and so of the first `up`; the table is of the last."""
    monkeypatch.setenv("ASSISTANT_TOKEN", "the-first")
    monkeypatch.setenv("ASSISTANT_RESUME", "redis://first")
    server = configured({"server": {"token": "the-second", "resume": "redis://second"}}).server
    assert (server.token, server.resume) == ("the-second", "redis://second")


def test_replicas_are_not_all_named_alike() -> None:
    named = replace(CONFIG, server=replace(CONFIG.server, replica="one-machine"))
    assert table_of(named, "0.0.0.0") == table_of(CONFIG, "0.0.0.0")


def test_what_is_as_by_default_is_not_written() -> None:
    (application,) = serve_manifest(Config())["applications"]
    assert application["args"] == {"server": {"host": "0.0.0.0"}}

"""The configuration for `serve deploy` against Ray's own schema."""

import subprocess
import sys

from pages import ROOT

_CHECK = """
import sys, yaml
from ray.serve.schema import ServeDeploySchema
schema = ServeDeploySchema.model_validate(yaml.safe_load(sys.stdin))
(application,) = schema.applications
print(application.name, application.import_path, schema.http_options.port)
"""


def test_ray_takes_the_manifest_and_no_other() -> None:
    words = ["cluster", "manifest", "--kind", "serve", "--replicas", "2", "--port", "8100"]
    code = "from assistant.cli import main; main()"
    manifest = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    taken = _checked(manifest)
    assert (taken.returncode, taken.stdout) == (0, "assistant assistant.commands.cluster_app:build 8100\n")
    refused = _checked(manifest.replace("import_path", "import_from"))
    assert refused.returncode != 0 and "import_path" in refused.stderr


def _checked(manifest: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _CHECK]
    return subprocess.run(
        command, cwd=ROOT, input=manifest, capture_output=True, text=True, timeout=120, check=False
    )


_DEPLOY = """
from assistant.commands.cluster_app import build
args = {"llm": {"sessions": 4}, "server": {"drain_s": 11.0}}
args["cluster"] = {"replicas": 2, "max_replicas": 6, "fill": 0.5, "cpus": 1.5, "gpus": 0.25}
deployment = build(args)._bound_deployment
scaling = deployment._deployment_config.autoscaling_config
print(deployment.max_ongoing_requests, deployment._deployment_config.graceful_shutdown_timeout_s)
print(scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests)
print(deployment.ray_actor_options["num_cpus"], deployment.ray_actor_options["num_gpus"])
"""


def test_serve_is_told_what_the_configuration_says() -> None:
    command = [sys.executable, "-c", _DEPLOY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["4", "16.0", "2", "6", "2.0", "1.5", "0.25"]), (
        done.stderr
    )

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

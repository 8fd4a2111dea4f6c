"""The application that a Serve configuration names as its import path."""

from typing import Any

from assistant.cluster.deployment import application
from assistant.cluster.replica import configured
from assistant.commands.serve import loaded


def build(args: dict[str, Any]) -> Any:  # noqa: ANN401  # Serve's
    """The application of the configuration `args`, in which the sections of a TOML file are tables."""
    return application(args, configured(args), loaded)

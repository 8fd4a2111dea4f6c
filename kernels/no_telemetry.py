"""Telemetry of the libraries that this project uses: off, unless the user's environment says otherwise.

The `__init__` of each package calls `switch_off` before any library is imported: ONNX Runtime reads its
variable when it is imported. OpenTelemetry exports only what `--otel` asks for; the others send nothing.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["OFF", "switch_off"]

OFF: Mapping[str, str] = MappingProxyType(
    {
        # ONNX Runtime, from 1.29 on: keeps a device id and events under the user's cache, sends them to
        # Microsoft.
        "ORT_DISABLE_TELEMETRY": "1",
        # huggingface_hub, hf_xet under it, and transformers. DO_NOT_TRACK would do as well, but speaks for
        # every program.
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
)
"""The variables that libraries read, and the values that switch telemetry off."""


def switch_off() -> None:
    """Set the variables that the environment does not set already; child processes inherit them."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)

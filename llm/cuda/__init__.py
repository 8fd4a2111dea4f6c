"""The GPU engine. `CudaModel` is in `model`, as it loads torch."""

from llm.cuda.device import Device, has_driver, unsupported_reason

__all__ = ["Device", "has_driver", "unsupported_reason"]

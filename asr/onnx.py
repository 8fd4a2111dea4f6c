"""ONNX Runtime sessions with the options that every model here shares."""

from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as errors

ort.set_default_logger_severity(3)  # warnings about optimised .ort files are noise to a user

# ONNX Runtime's exceptions have no base class but Exception.
_REFUSALS = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NoSuchFile,
    errors.NotImplemented,
    errors.RuntimeException,
    RuntimeError,
)


class ModelFileError(ValueError):
    """A model file that ONNX Runtime refuses; the message names the file."""


def open_session(path: Path, *, threads: int, spin: bool = False) -> ort.InferenceSession:
    """Load `path` on the CPU with `threads` intra-op threads; raise ModelFileError if it can't be.

    Spinning is off by default: an idle pool that spins takes the core from the models that
    run beside it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{path}: not a model that ONNX Runtime can load: {reason}") from error

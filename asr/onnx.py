"""ONNX Runtime sessions with the options that every model here shares."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as errors

ort.set_default_logger_severity(3)  # warnings about optimised .ort files are noise to a user

# ONNX Runtime's exceptions have no base class but Exception.
REFUSALS = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NoSuchFile,
    errors.NotImplemented,
    errors.RuntimeException,
    RuntimeError,
)


WEIGHTS_FILE = "weights"
"""What an OnnxGraph calls the file that its weights are in."""


@dataclass(frozen=True)
class OnnxGraph:
    """A serialized ONNX model, and the bytes of `WEIGHTS_FILE` that it refers to."""

    model: bytes
    weights: NDArray[np.uint8]


class ModelFileError(ValueError):
    """A model file that ONNX Runtime refuses; the message names the file."""


def open_session(path: Path, *, threads: int) -> ort.InferenceSession:
    """Load `path` on the CPU with `threads` intra-op threads; raise ModelFileError if it can't be."""
    try:
        return ort.InferenceSession(str(path), _options(threads), providers=["CPUExecutionProvider"])
    except REFUSALS as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{path}: not a model that ONNX Runtime can load: {reason}") from error


def open_graph(graph: OnnxGraph, *, threads: int) -> ort.InferenceSession:
    """A session of a graph in memory.

    What ONNX Runtime would fuse is fused in our graphs; a sum and the norm after it it had better not: its
    SkipLayerNormalization is scalar code.
    """
    options = _options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if graph.weights.size:
        options.add_external_initializers_from_files_in_memory(
            [WEIGHTS_FILE], [graph.weights], [graph.weights.nbytes]
        )
    return ort.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it keeps a plan for every length of audio that ever came in
    # Without VNNI, sums of 8-bit products would saturate at 16 bits; on other processors this does nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    # An idle pool that spins takes the core from the models that run beside it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options

"""What runs things and knows no speech: clock, workers, graph, spans."""

from assistant.runtime.clock import Clock
from assistant.runtime.graph import Channel, Edge, Graph, Node, render
from assistant.runtime.lag import LagProbe
from assistant.runtime.schedule import Job, Schedule, Urgency
from assistant.runtime.spans import Recorder, Span, Tracer, Value
from assistant.runtime.virtual import Cores, DeadlockError, InlineWorker, VirtualLoop, run_virtual
from assistant.runtime.worker import Later, Stopped, StreamJob, ThreadWorker, Worker, WorkerFull, asked_ns

__all__ = [
    "Channel",
    "Clock",
    "Cores",
    "DeadlockError",
    "Edge",
    "Graph",
    "InlineWorker",
    "Job",
    "LagProbe",
    "Later",
    "Node",
    "Recorder",
    "Schedule",
    "Span",
    "Stopped",
    "StreamJob",
    "ThreadWorker",
    "Tracer",
    "Urgency",
    "Value",
    "VirtualLoop",
    "Worker",
    "WorkerFull",
    "asked_ns",
    "render",
    "run_virtual",
]

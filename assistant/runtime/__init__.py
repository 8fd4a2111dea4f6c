"""What runs things and knows no speech: clock, workers, graph, spans."""

from assistant.runtime.clock import Clock
from assistant.runtime.graph import Channel, Edge, Graph, Node, render
from assistant.runtime.lag import LagProbe
from assistant.runtime.schedule import Job, Schedule, Urgency
from assistant.runtime.spans import Recorder, Span, Tracer, Value
from assistant.runtime.virtual import DeadlockError, InlineWorker, VirtualLoop, run_virtual
from assistant.runtime.worker import Stopped, StreamJob, ThreadWorker, Worker, WorkerFull

__all__ = [
    "Channel",
    "Clock",
    "DeadlockError",
    "Edge",
    "Graph",
    "InlineWorker",
    "Job",
    "LagProbe",
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
    "render",
    "run_virtual",
]

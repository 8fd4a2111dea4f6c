"""Figures for Prometheus, in a registry of their own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from assistant.runtime import LagProbe, Recorder, Span

_TTFA_S = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
_PART_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_TOKENS_PER_S = (5, 10, 20, 40, 60, 80, 120, 160, 240, 320, 500, 1000)
_SESSION_S = (1, 5, 15, 60, 180, 600, 1800, 3600)
LAG_PROBES = 2000  # the last ten seconds


@dataclass(frozen=True)
class FinishedReply:
    """One reply, as it is counted when it is over."""

    model: str
    ttfa_ms: float | None
    """None if nothing was heard."""
    parts: Mapping[str, float]
    """Of the time to first audio, in milliseconds."""
    tokens: int
    seconds_generating: float
    interrupted: bool
    underruns: int
    """Gaps in its audio."""


class Metrics:
    """What happened, counted on the event loop; `registry` is what /metrics shows."""

    def __init__(self, replica: str = "") -> None:
        """If the process is one of several, `replica` is its name, and the label of all its figures."""
        self.registry = registry = _Labelled({"replica": replica} if replica else {})
        self._sessions = Counter("assistant_sessions", "Conversations begun.", registry=registry)
        self._session_s = Histogram(
            "assistant_session_seconds", "Length of a conversation.", registry=registry, buckets=_SESSION_S
        )
        self._refusals = Counter(
            "assistant_refusals", "Connections refused before the upgrade.", ["code"], registry=registry
        )
        self._errors = Counter(
            "assistant_event_errors", "Errors sent to clients.", ["code"], registry=registry
        )
        self._dropped = Counter("assistant_dropped_frames", "Audio frames dropped.", registry=registry)
        self._wyoming = Counter(
            "assistant_wyoming_requests", "Requests answered by Wyoming.", ["service"], registry=registry
        )
        self._replies = _ReplyMetrics(registry)

    def session_opened(self) -> None:
        """A conversation began."""
        self._sessions.inc()

    def session_closed(self, seconds: float) -> None:
        """A conversation of this length ended."""
        self._session_s.observe(seconds)

    def refused(self, code: str) -> None:
        """A connection was refused before the upgrade."""
        self._refusals.labels(code).inc()

    def event_error(self, code: str) -> None:
        """A client was sent an error of this code."""
        self._errors.labels(code).inc()

    def dropped_frames(self, count: int) -> None:
        """So many audio frames were dropped because listening fell behind."""
        self._dropped.inc(count)

    def wyoming_request(self, service: str) -> None:
        """A request to this service was answered."""
        self._wyoming.labels(service).inc()

    def reply_done(self, reply: FinishedReply) -> None:
        """A reply is over."""
        self._replies.observe(reply)

    def watch_sessions(self, in_use: Callable[[], int], capacity: int) -> None:
        """Show how many places there are, and how many are in use."""
        gauge = Gauge("assistant_sessions_in_use", "Conversations now.", registry=self.registry)
        gauge.set_function(in_use)
        places = Gauge("assistant_sessions_capacity", "Conversations at most.", registry=self.registry)
        places.set(capacity)

    def watch_loop(self, probe: LagProbe) -> None:
        """Show the worst lag of the event loop in the last ten seconds."""
        name = "assistant_event_loop_lag_seconds"
        gauge = Gauge(name, "Worst lag of the event loop in the last 10 s.", registry=self.registry)
        gauge.set_function(lambda: max(islice(reversed(probe.lags_ms), LAG_PROBES), default=0.0) / 1e3)

    def watch_tasks(self, count: Callable[[], int]) -> None:
        """Show how many tasks the event loop has."""
        gauge = Gauge("assistant_tasks", "Tasks of the event loop.", registry=self.registry)
        gauge.set_function(count)

    def watch_cache(self, held: Callable[[], int]) -> None:
        """Show the bytes of keys and values that the language model holds."""
        gauge = Gauge("assistant_kv_cache_bytes", "Keys and values held.", registry=self.registry)
        gauge.set_function(held)

    def watch_waits(self, recorder: Recorder) -> None:
        """Show how long things wait on each edge of the sessions' graphs."""
        waits = Histogram(
            "assistant_queue_wait_seconds",
            "Wait on an edge of a session's graph.",
            ["edge"],
            registry=self.registry,
            buckets=_PART_S,
        )

        def observe(span: Span) -> None:
            if span.name == "queue":
                waits.labels(span.track).observe(span.ms / 1e3)

        recorder.exporters.append(observe)

    def watch_queues(self, lengths: Callable[[], Mapping[str, int]]) -> None:
        """Show how many jobs wait for each worker."""
        self.registry.register(_Queues(lengths))


class _Labelled(CollectorRegistry):
    """Gives each sample further labels."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        super().__init__()
        self._labels = labels

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [one._replace(labels={**one.labels, **self._labels}) for one in metric.samples]
            yield metric


class _ReplyMetrics:
    """Replies by model: how soon they were heard, and how fast they were generated."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str) -> Counter:
            return Counter(f"assistant_{name}", meaning, ["model"], registry=registry)

        def histogram(name: str, meaning: str, labels: list[str], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"assistant_{name}", meaning, labels, registry=registry, buckets=buckets)

        self._replies = counter("replies", "Replies.")
        self._interrupted = counter("replies_interrupted", "Replies that the user interrupted.")
        self._underruns = counter("underruns", "Gaps inside replies.")
        self._tokens = counter("tokens", "Tokens generated.")
        self._ttfa = histogram("ttfa_seconds", "Time to first audio.", ["model"], _TTFA_S)
        parts = "Part of the time to first audio."
        self._part = histogram("ttfa_part_seconds", parts, ["model", "part"], _PART_S)
        speed = "Tokens per second of a reply."
        self._speed = histogram("tokens_per_second", speed, ["model"], _TOKENS_PER_S)

    def observe(self, reply: FinishedReply) -> None:
        model = reply.model
        self._replies.labels(model).inc()
        self._interrupted.labels(model).inc(int(reply.interrupted))
        self._underruns.labels(model).inc(reply.underruns)
        self._tokens.labels(model).inc(reply.tokens)
        if reply.seconds_generating > 0:
            self._speed.labels(model).observe(reply.tokens / reply.seconds_generating)
        if reply.ttfa_ms is not None:
            self._ttfa.labels(model).observe(_seconds(reply.ttfa_ms))
            for part, ms in reply.parts.items():
                self._part.labels(model, part).observe(_seconds(ms))


def _seconds(ms: float) -> float:
    """Not negative, as a turn's wait is that was ended while the user still spoke: a sum must not fall."""
    return max(0.0, ms) / 1e3


class _Queues(Collector):
    """Reads the queues' lengths when it is asked."""

    def __init__(self, lengths: Callable[[], Mapping[str, int]]) -> None:
        self._lengths = lengths

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "assistant_worker_queue_jobs", "Jobs that wait for a worker.", labels=["worker"]
        )
        for worker, length in self._lengths().items():
            gauge.add_metric([worker], length)
        yield gauge

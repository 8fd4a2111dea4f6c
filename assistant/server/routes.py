"""Plain HTTP: health, metrics, the list of models and the page."""

import asyncio
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder
from websockets.http11 import Request, Response

from assistant.config import ServerConfig
from assistant.server.access import check_token, not_allowed, not_found
from assistant.server.application import Application
from assistant.server.conversations import Conversations
from assistant.server.metrics import Metrics
from assistant.server.pages import Pages
from assistant.server.responses import as_json, refuse, respond, text, without_body


class Routes:
    """Answers requests that ask for no WebSocket."""

    def __init__(
        self,
        application: Application,
        config: ServerConfig,
        conversations: Conversations,
        metrics: Metrics,
        models: Sequence[str],
        draining: asyncio.Event,
    ) -> None:
        self._application, self._config, self._metrics = application, config, metrics
        self._conversations = conversations
        self._models, self._draining = models, draining
        self._started = int(time.time())
        self._pages = Pages()
        self._open = {"/healthz": self._health, "/readyz": self._ready}
        self._guarded: dict[str, Callable[[Request], Response]] = {
            "/metrics": self._measured,
            "/v1/models": self._listed,
        }

    def answer(self, request: Request) -> Response:
        """The answer to any request."""
        if request.method == "HEAD":
            return without_body(self._get(request))
        return self._get(request) if request.method == "GET" else refuse(not_allowed("GET, HEAD"))

    def _get(self, request: Request) -> Response:
        path = urlsplit(request.path).path
        if "Upgrade" in request.headers:
            return refuse(not_found())
        if path in self._open:
            return self._open[path]()
        if path in self._guarded:
            refusal = check_token(request, self._config)
            return refuse(refusal) if refusal else self._guarded[path](request)
        return self._pages.answer(path, request) or refuse(not_found())

    def _health(self) -> Response:
        return text(HTTPStatus.OK, "ok")

    def _ready(self) -> Response:
        if self._draining.is_set():
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "draining")
        if not self._application.ready:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "loading")
        if self._conversations.full:
            retry = {"Retry-After": str(self._config.retry_after_s)}
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "busy", retry)
        return text(HTTPStatus.OK, "ready")

    def _measured(self, request: Request) -> Response:
        encode, kind = choose_encoder(", ".join(request.headers.get_all("Accept")))
        return respond(HTTPStatus.OK, kind, encode(self._metrics.registry))

    def _listed(self, _: Request) -> Response:
        models = [
            {"id": name, "object": "model", "created": self._started, "owned_by": "assistant"}
            for name in self._models
        ]
        return as_json(HTTPStatus.OK, {"object": "list", "data": models})

"""The middleware of Serve's proxies; RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names `middlewares`."""

from starlette.middleware import Middleware

from assistant.cluster.restarts import Restarts


def middlewares() -> list[Middleware]:
    """What each proxy puts around its application."""
    return [Middleware(Restarts)]

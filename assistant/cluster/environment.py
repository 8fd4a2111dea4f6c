"""What Ray reads of its environment when it is imported."""

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "assistant.cluster.proxy:middlewares",
}
"""Of every process of a cluster on this machine: loopback only (as Ray does by default on macOS and Windows),
no telemetry, and the middleware of the proxies."""

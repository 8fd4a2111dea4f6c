"""What Ray reads of its environment when it is imported."""

PROXY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "assistant.cluster.proxy:middlewares",
}
"""On every machine of a cluster: no telemetry, and the middleware of the proxies."""

ENVIRONMENT = {**PROXY, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
"""Of every process of a cluster on this machine: loopback only, as by itself on macOS and Windows, and no
other user of the machine, since Ray runs what it is sent.
"""

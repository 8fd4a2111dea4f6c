"""What can go wrong with a cluster."""


class ClusterError(RuntimeError):
    """The cluster cannot be had; the message says why and what to do."""

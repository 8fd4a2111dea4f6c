"""Keeps a replica on loopback. Serve lets each listen for others on all addresses, whatever Ray is told."""

_ALL = "[::]:0"  # any port


def keep_to_loopback() -> None:
    """Have the gRPC server of this replica listen on 127.0.0.1; it unpickles what it is sent."""
    from ray.serve._private import replica  # noqa: PLC0415  # manifests are written without Ray

    add = replica.add_port_to_grpc_server

    def add_on_loopback(server: object, address: str) -> int:
        assert address == _ALL, "ray[serve] is another than the one in constraints.txt"
        return int(add(server, "127.0.0.1:0"))

    replica.add_port_to_grpc_server = add_on_loopback

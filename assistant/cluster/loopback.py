"""Keeps a replica on loopback. Serve lets each listen for others on all addresses, whatever Ray is told."""


def keep_to_loopback() -> None:
    """Have the gRPC server of this replica listen on 127.0.0.1; it unpickles what it is sent."""
    from ray.serve._private import replica  # noqa: PLC0415  # manifests are written without Ray

    add = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, address: add(
        server, address.replace("[::]", "127.0.0.1")
    )

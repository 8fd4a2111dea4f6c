"""The address at which a replica's gRPC server listens, with a module in the place of Serve's."""

import sys
from types import ModuleType

import pytest

from assistant.cluster.loopback import keep_to_loopback


def serve_of(added: list[str], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A `ray.serve._private.replica` that notes the addresses."""

    def add(server: object, address: str) -> int:
        added.append(address)
        return 1234

    private, replica = ModuleType("ray.serve._private"), ModuleType("ray.serve._private.replica")
    replica.add_port_to_grpc_server = add  # type: ignore[attr-defined]
    private.replica = replica  # type: ignore[attr-defined]
    for module in (ModuleType("ray"), ModuleType("ray.serve"), private, replica):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return replica


def test_all_addresses_become_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[str] = []
    replica = serve_of(added, monkeypatch)
    keep_to_loopback()
    assert replica.add_port_to_grpc_server(None, "[::]:0") == 1234
    assert added == ["127.0.0.1:0"]


def test_an_address_that_is_not_known_is_not_listened_at(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[str] = []
    replica = serve_of(added, monkeypatch)
    keep_to_loopback()
    with pytest.raises(AssertionError, match=r"ray\[serve\] is another"):
        replica.add_port_to_grpc_server(None, "0.0.0.0:0")
    assert added == []

"""The Wyoming server from its first connection to its last."""

import asyncio
import socket
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from assistant.config import ServerConfig
from assistant.server.access import is_loopback
from assistant.server.errors import ServerError
from assistant.server.listen import bound
from assistant.server.logs import logger
from assistant.server.wire import WireError
from assistant.wyoming.connection import Connection
from assistant.wyoming.service import Service

# Home Assistant has one for each thing that it wants; who only asks for a description needs no place.
_CONNECTIONS_PER_PLACE = 4


def listen_wyoming(config: ServerConfig) -> socket.socket:
    """A socket that listens where `config.wyoming` says; raises ServerError.

    Wyoming knows neither token nor TLS: an address that other machines can reach is refused unless it is said
    which of them may connect.
    """
    assert config.wyoming is not None, "nobody asked for Wyoming"
    host, port = _address(config.wyoming)
    if not config.wyoming_clients and not is_loopback(host):
        raise ServerError(
            f"{host} can be reached from other machines, and Wyoming has no token: "
            "list the address of Home Assistant in [server] wyoming_clients"
        )
    return bound(host, port, "--wyoming takes another port, and 0 one that is free")


def wyoming_url(config: ServerConfig, sock: socket.socket) -> str:
    """The address to give to clients."""
    assert config.wyoming is not None, "nobody asked for Wyoming"
    host, _ = _address(config.wyoming)
    return f"tcp://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"


async def run_wyoming(service: Service, sock: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then let the requests that are begun end within `drain_s` seconds."""
    async with asyncio.TaskGroup() as group:
        clients = _Clients(service, group)
        server = await asyncio.start_server(clients.admit, sock=sock, limit=service.limits.wire.header)
        try:
            await stop.wait()
            server.close()
            await clients.drained(service.config.server.drain_s)
        finally:
            server.close()
            clients.cancel()
    await server.wait_closed()


def may_connect(address: str, config: ServerConfig) -> bool:
    """Whether a client at this IP address may connect."""
    ip = ip_address(address.partition("%")[0])  # of a link-local address, without the interface
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or any(ip in ip_network(network) for network in config.wyoming_clients)


class _Clients:
    """The open connections and their tasks."""

    def __init__(self, service: Service, group: asyncio.TaskGroup) -> None:
        self._service, self._group = service, group
        self._most = _CONNECTIONS_PER_PLACE * service.pool.sessions
        self._open: dict[asyncio.Task[None], Connection] = {}

    def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client that has connected, in a task of its own, or turn it away."""
        count, peer = len(self._open), writer.get_extra_info("peername")
        if peer is None or count >= 2 * self._most or not may_connect(peer[0], self._service.config.server):
            logger().warning("wyoming client refused", remote=peer[0] if peer else "gone", connections=count)
            writer.transport.abort()
            return
        connection = Connection(reader, writer, self._service)
        full = WireError("busy", f"{self._most} connections are open")
        serving = connection.run() if count < self._most else connection.refuse(full)
        task = self._group.create_task(serving, name="wyoming.client")
        self._open[task] = connection
        task.add_done_callback(self._open.pop)

    async def drained(self, within_s: float) -> None:
        """End the connections that wait, and wait for the requests of the others."""
        for task, connection in list(self._open.items()):
            connection.end_after_request()
            if connection.idle:
                task.cancel()
        if self._open:
            await asyncio.wait(list(self._open), timeout=within_s)

    def cancel(self) -> None:
        """Cancel what has not ended."""
        for task in self._open:
            task.cancel()


def _address(uri: str) -> tuple[str, int]:
    parts = urlsplit(uri)
    assert parts.hostname is not None and parts.port is not None, "ServerConfig has checked it"
    return parts.hostname, parts.port

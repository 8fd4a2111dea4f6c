"""What a cluster on this machine can be reached by."""

import json
from ipaddress import ip_address

import psutil
from local_cluster import Cluster


def test_everything_listens_on_loopback_only(cluster: Cluster) -> None:
    state = json.loads((cluster.folder / "assistant" / "cluster.json").read_text())
    head = psutil.Process(state["pid"])
    listening = {
        connection.laddr
        for process in [head, *head.children(recursive=True)]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert cluster.port in {address.port for address in listening}
    hosts = {ip_address(address.ip.removeprefix("::ffff:")) for address in listening}
    assert all(host.is_loopback for host in hosts), hosts

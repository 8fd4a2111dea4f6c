"""The end of the cluster, behind all other tests of it."""

import asyncio

import pytest
from local_cluster import Cluster, said
from talks import talk
from websockets.exceptions import ConnectionClosed


async def test_a_reply_is_spoken_to_its_end_before_the_cluster_is_down(cluster: Cluster) -> None:
    one = await talk(cluster.url)
    await one.ask("Count to twenty.")
    await one.read_until("response.output_audio.delta")
    ending = cluster.start("down")
    done = await one.read_until("response.done")
    assert done["response"]["status"] == "completed"
    with pytest.raises(ConnectionClosed) as closed:
        await one.read_until("response.created")
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    assert await asyncio.to_thread(said, ending) == ""
    nothing = cluster.start("status").communicate(timeout=60)
    assert nothing == ("", "assistant: no cluster runs here: assistant cluster up starts one\n")

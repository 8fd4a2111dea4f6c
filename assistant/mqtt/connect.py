"""The home of a conversation, behind the broker of the section [mqtt], if it names one."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from assistant.config import MqttConfig
from assistant.mqtt.callbacks import Callbacks
from assistant.mqtt.errors import BrokerError

if TYPE_CHECKING:
    from assistant.mqtt.bridge import Bridge


@asynccontextmanager
async def connected(
    config: MqttConfig, callbacks: Callbacks | None = None, environment: Mapping[str, str] = os.environ
) -> AsyncIterator["Bridge | None"]:
    """The home behind the broker that `config` names, for as long as the context lasts; None without one.

    It does not wait for the broker: until that is reached, there are no entities. Raises BrokerError for a
    password, a certificate or an extra that is not there.
    """
    if not config.host:
        yield None
        return
    bridge = _bridge(config, callbacks or Callbacks(), environment)
    # No TaskGroup: what is raised inside the context is to leave it as it is.
    task = asyncio.create_task(bridge.run(), name="mqtt")
    try:
        yield bridge
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


def _bridge(config: MqttConfig, callbacks: Callbacks, environment: Mapping[str, str]) -> "Bridge":
    try:
        from assistant.mqtt.bridge import Bridge  # noqa: PLC0415  # aiomqtt is optional
        from assistant.mqtt.broker import login  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise BrokerError(
            f"[mqtt] needs {error.name}, which is not installed: pip install -e '.[mqtt]'"
        ) from None
    return Bridge(config, login(config, environment), callbacks)

"""The home behind the broker: the only part that waits for the network, in a task of its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random

from aiomqtt import Client, Message, MqttError

import assistant
from assistant.config import MqttConfig
from assistant.home.effects import check, effect
from assistant.home.entities import Command, Entity, HomeUnavailable, State
from assistant.mqtt.answers import Answers
from assistant.mqtt.broker import MOST_WAITING, TIMEOUT_S, Login, backoff_s, expiring, open_connection
from assistant.mqtt.callbacks import Callbacks
from assistant.mqtt.fields import one_line
from assistant.mqtt.house import House
from assistant.mqtt.messages import subscriptions
from assistant.mqtt.own import Mute, Offers, Own, Say, Told
from assistant.mqtt.parts import Publication
from assistant.mqtt.told import messages
from assistant.session.events import Listener, ListenerLagged, SessionEvent

_TOPICS_AT_ONCE = 100


class _Lost(Exception):  # noqa: N818  # a condition with a name of its own
    """The connection is given up; the message says why."""


class Bridge:
    """A Home. `run` it; before that, and while the broker is down, commands fail at once."""

    def __init__(
        self,
        config: MqttConfig,
        login: Login,
        callbacks: Callbacks,
        *,
        answer_s: float = 1.0,
        random: Random | None = None,
        wait_s: Callable[[int, Random], float] = backoff_s,
    ) -> None:
        """`answer_s`: how long a command may take until its state was reported."""
        self.changed: Callable[[], None] = lambda: None
        self._config, self._login, self._callbacks = config, login, callbacks
        self._answer_s, self._random, self._wait_s = answer_s, random or Random(), wait_s
        self._own = Own(
            config, assistant.__version__, Offers(callbacks.say is not None, callbacks.mute is not None)
        )
        self._house = House(config.discovery_prefix, frozenset(p.topic for p in self._own.discovery))
        self._answers = Answers()
        self._told: Told = "idle"
        first = (self._own.state("idle"), *((self._own.muted(False),) if callbacks.mute else ()))
        self._latest = {publication.topic: publication for publication in first}  # what each connection tells
        self._untold: dict[str, Publication] = {}
        self._something = asyncio.Event()
        self._client: Client | None = None
        self._broken = asyncio.Event()
        self._was_up = False
        self._where = f"MQTT broker {config.host}:{config.port}"

    @property
    def connected(self) -> bool:
        """Whether commands reach the broker now."""
        return self._client is not None

    @property
    def entities(self) -> tuple[Entity, ...]:
        """See Home. They stay while the broker is down."""
        return self._house.entities

    def state(self, entity_id: str) -> State | None:
        """See Home; None while the broker is down."""
        known = self._house.get(entity_id)
        return known.state if known and self.connected else None

    async def command(self, entity_id: str, command: Command) -> State | None:
        """See Home."""
        client, known = self._client, self._house.get(entity_id)
        if client is None:
            raise HomeUnavailable("the broker of the home cannot be reached")
        if known is None or not known.available:
            raise HomeUnavailable("it cannot be reached" if known else "it is not there any more")
        domain = known.component.entity.domain
        check(domain, command)
        publications = known.component.parts.publish(command, known.state)
        with self._answers.expected(entity_id, domain, command) as answer:
            deadline = asyncio.get_running_loop().time() + self._answer_s
            await self._send(client, publications, deadline)
            if not known.reports:
                return self._house.assume(entity_id, effect(domain, command, known.state))
            try:
                async with asyncio.timeout_at(deadline):
                    return await answer.fulfilled
            except TimeoutError:
                return answer.latest

    async def _send(self, client: Client, publications: tuple[Publication, ...], deadline: float) -> None:
        """Give all to the broker. Raises HomeUnavailable if it does not confirm them in time."""
        try:
            async with asyncio.timeout_at(deadline):
                for each in publications:
                    await client.publish(each.topic, each.payload, qos=1, properties=expiring())
        except (MqttError, OSError):  # TimeoutError, too
            if self._client is client:
                self._broken.set()  # or the network would deliver it at some later time
            raise HomeUnavailable("the broker has not confirmed it", in_doubt=True) from None

    async def follow(self, listener: Listener) -> None:
        """Tell Home Assistant what happens in a session, until it is over."""
        try:
            async for event in listener:
                self.happened(event)
        except ListenerLagged:
            pass  # it was away for so long that what it missed does not matter any more

    def happened(self, event: SessionEvent) -> None:
        """Tell one event; at once, and nothing waits for the broker."""
        self._told, published = messages(self._own, self._told, event)
        self._tell(*published)

    def muted(self, muted: bool) -> None:
        """Tell whether the microphone is muted, when that was done here."""
        if self._callbacks.mute is not None:
            self._tell(self._own.muted(muted))

    def _tell(self, *publications: Publication) -> None:
        """Publish soon; what is still untold on the same topic is replaced, so that nothing piles up."""
        for publication in publications:
            self._untold[publication.topic] = publication
            if publication.retain:
                self._latest[publication.topic] = publication
            self._something.set()

    async def run(self) -> None:
        """Keep connected until cancelled; then tell that the assistant is offline."""
        failures, said = 0, ""
        while True:
            self._was_up = False
            connection = asyncio.create_task(self._connection(), name="mqtt-connection")
            try:  # in a task of its own: its TaskGroup may forget a cancellation if it is lost just then
                await asyncio.wait({connection})
            finally:
                connection.cancel()
                await asyncio.wait({connection})
            why = connection.result()
            if self._was_up:
                failures, said = 0, ""
            if why != said:
                self._callbacks.tell(f"{self._where}: {why}; trying again")
            said = why
            await asyncio.sleep(self._wait_s(failures, self._random))
            failures += 1

    async def _connection(self) -> str:
        """One connection, until it is lost; why it was."""
        why = ""
        try:
            async with open_connection(self._config, self._login, self._own.offline) as client:
                await self._converse(client)
        except* (MqttError, OSError, _Lost) as group:
            why = one_line(str(_first(group))) or "no connection"
        return why

    async def _converse(self, client: Client) -> None:
        self._broken.clear()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(client), name="mqtt-listen")
                group.create_task(self._speak(client), name="mqtt-speak")
                group.create_task(self._watch(), name="mqtt-watch")
        except asyncio.CancelledError:
            with suppress(MqttError, OSError):
                await _publish(client, self._own.offline)
            raise
        finally:
            self._client = None
            self._answers.fail("the connection to the broker broke")

    async def _watch(self) -> None:
        await self._broken.wait()
        raise _Lost("the broker does not answer")

    async def _listen(self, client: Client) -> None:
        """Take all that comes in. Entities are told of when nothing more waits: they come in crowds."""
        wanted = {*subscriptions(self._config.discovery_prefix), *self._own.commands}
        subscribed = await _subscribe(client, set(), wanted | self._house.topics)
        self._client, self._was_up = client, True
        self._callbacks.tell(f"{self._where}: connected")
        changed, incoming = False, client.messages
        async for message in incoming:
            if len(incoming) >= MOST_WAITING - 1:
                raise _Lost("more messages than can be looked at")
            changed = self._take(message) or changed
            if not len(incoming):
                subscribed = await _subscribe(client, subscribed, wanted | self._house.topics)
                if changed:
                    changed = False
                    self.changed()

    def _take(self, message: Message) -> bool:
        """Whether entities have changed by a message."""
        topic, payload = str(message.topic), message.payload
        if not isinstance(payload, bytes):
            return False
        if topic in self._own.commands:
            if not message.retain:  # what somebody wanted at some time is not wanted at every start
                self._asked(self._own.heard(topic, payload))
            return False
        changed = self._house.declare(topic, payload)
        for entity_id in self._house.report(topic, payload):
            if not message.retain and (known := self._house.get(entity_id)):
                self._answers.reported(entity_id, known.state)
        return changed

    def _asked(self, asked: Say | Mute | None) -> None:
        if isinstance(asked, Say) and self._callbacks.say is not None:
            self._callbacks.say(asked.text)
        if isinstance(asked, Mute) and self._callbacks.mute is not None:
            self._callbacks.mute(asked.muted)
            self.muted(asked.muted)

    async def _speak(self, client: Client) -> None:
        """Tell what the assistant is and does, then what changes; with each connection anew."""
        self._untold.clear()
        for publication in (*self._own.discovery, self._own.online, *self._latest.values()):
            await _publish(client, publication)
        while True:
            while self._untold:
                publication = self._untold.pop(next(iter(self._untold)))
                await _publish(client, publication)
            self._something.clear()
            await self._something.wait()


async def _publish(client: Client, publication: Publication) -> None:
    """Raises MqttError, and TimeoutError for a broker that does not confirm it."""
    async with asyncio.timeout(TIMEOUT_S):
        await client.publish(publication.topic, publication.payload, qos=1, retain=publication.retain)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _subscribe(client: Client, subscribed: set[str], wanted: set[str]) -> set[str]:
    """Subscribe to what is wanted now, with QoS 1, and to nothing else. Raises MqttError and TimeoutError."""
    new, old = sorted(wanted - subscribed), sorted(subscribed - wanted)
    for start in range(0, len(new), _TOPICS_AT_ONCE):
        async with asyncio.timeout(TIMEOUT_S):
            await client.subscribe([(topic, 1) for topic in new[start : start + _TOPICS_AT_ONCE]])
    for start in range(0, len(old), _TOPICS_AT_ONCE):
        async with asyncio.timeout(TIMEOUT_S):
            await client.unsubscribe(old[start : start + _TOPICS_AT_ONCE])
    return wanted

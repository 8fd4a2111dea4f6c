"""The assistant's own entities on a real broker, and how it opens the connection: passwords, TLS, extras."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bridged import bridged
from brokers import HOST, Broker, devices, free_port, listening, needs_mosquitto, running

from assistant.config import MqttConfig
from assistant.mqtt.bridge import Bridge
from assistant.mqtt.broker import PASSWORD, login
from assistant.mqtt.callbacks import Callbacks
from assistant.mqtt.connect import connected
from assistant.mqtt.errors import BrokerError
from assistant.session.conversation import ItemAdded, UserItem
from assistant.session.events import Listener, ReplyStarted, SpeechStarted

OPENSSL = shutil.which("openssl")


@needs_mosquitto
async def test_it_announces_itself_and_says_when_it_goes(broker: Broker) -> None:
    async with bridged(broker.port, callbacks=True) as home:
        await home.told(": connected")
        async with listening(broker.port, "assistant/#") as told:
            listener = Listener()
            following = asyncio.create_task(home.bridge.follow(listener))
            listener.push(SpeechStarted(0, "a"))
            while (await told.get())[:2] != ("assistant/state", "listening"):
                pass
            home.bridge.muted(True)
            while (await told.get())[:2] != ("assistant/mute", "ON"):
                pass
            listener.close()
            await following
    async with listening(broker.port, "assistant/#") as told:
        retained = dict([(await told.get())[:2], (await told.get())[:2], (await told.get())[:2]])
    assert retained == {
        "assistant/availability": "offline",
        "assistant/state": "listening",
        "assistant/mute": "ON",
    }


@needs_mosquitto
async def test_a_broker_tells_that_it_is_gone_when_it_is_killed(broker: Broker) -> None:
    code = (
        "import asyncio\nfrom assistant.config import MqttConfig\n"
        "from assistant.mqtt.connect import connected\n"
        f"async def main():\n    async with connected(MqttConfig(host={HOST!r}, port={broker.port})):\n"
        "        await asyncio.Event().wait()\nasyncio.run(main())\n"
    )
    async with listening(broker.port, "assistant/availability") as told:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        assert (await told.get())[1] == "online"
        process.kill()
        await process.wait()
        assert (await told.get())[1] == "offline"


@needs_mosquitto
async def test_say_and_mute_are_called_but_not_for_what_was_retained(broker: Broker) -> None:
    async with devices(broker.port) as people:
        await people.say("assistant/say", "An old announcement.", retain=True)
        await people.say("assistant/mute/set", "ON", retain=True)
        async with bridged(broker.port, callbacks=True) as home:
            await home.told(": connected")
            await people.say("assistant/say", "Dinner is ready.")
            await people.say("assistant/mute/set", "ON")
            assert [await home.asked.get(), await home.asked.get()] == ["Dinner is ready.", True]
            async with listening(broker.port, "assistant/mute") as told:
                assert (await told.get())[1] in ("ON", "OFF")
            await home.caught_up(people)
            assert home.asked.empty()


@needs_mosquitto
async def test_what_is_told_while_the_broker_is_down_is_no_pile(broker: Broker) -> None:
    async with bridged(broker.port, share_transcripts=True) as home:
        await home.told(": connected")
        await broker.kill()
        await home.told("trying again")
        for number in range(5000):
            home.bridge.happened(SpeechStarted(number, "a"))
            home.bridge.happened(ItemAdded(UserItem("a", f"secret {number}"), None))
            home.bridge.happened(ReplyStarted(number, "b"))
        await broker.start()
        await home.told(": connected")
        async with listening(broker.port, "assistant/#") as told:
            home.bridge.happened(SpeechStarted(1, "a"))
            seen = []
            while not seen or seen[-1][:2] != ("assistant/state", "listening"):
                seen.append(await told.get())
        assert [topic for topic, _, _ in seen if topic == "assistant/transcript"] == []
        assert len(seen) < 10


def password_file(folder: Path) -> Path:
    """What the broker knows of the user `voice`; mosquitto_passwd is in mosquitto's package."""
    made = folder / "passwords"
    made.write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(made), "voice", "s3cret"], check=True, capture_output=True)
    return made


@needs_mosquitto
async def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    passwords = password_file(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    config = MqttConfig(host=HOST, username="voice", password_file=str(secret))
    with_password = [login(config, {}), login(config, {PASSWORD: "s3cret"})]
    async with running(tmp_path, f"allow_anonymous false\npassword_file {passwords}") as broker:
        for given in with_password:
            async with bridged(broker.port, login=given, username="voice") as home:
                await home.told(": connected")
        wrong = login(config, {PASSWORD: "guessed"})
        async with bridged(broker.port, login=wrong, username="voice") as home:
            assert "uthorized" in await home.told("trying again")
    assert "s3cret" not in repr(with_password)


def certified(folder: Path) -> None:
    """A CA, a certificate of 127.0.0.1 and one of a client, made by openssl."""

    def openssl(*words: str) -> None:
        assert OPENSSL is not None
        subprocess.run([OPENSSL, *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "ca.ext").write_text(
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
    )
    (folder / "server.ext").write_text(f"subjectAltName=IP:{HOST}\nauthorityKeyIdentifier=keyid\n")
    (folder / "client.ext").write_text("authorityKeyIdentifier=keyid\n")
    for name in ("ca", "server", "client"):
        openssl("req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signer = (
            ["-signkey", "ca.key"]
            if name == "ca"
            else ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
        )
        extra = ("-extfile", f"{name}.ext", "-days", "2")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signer, *extra)


@needs_mosquitto
@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_tls_with_a_ca_and_a_certificate_of_the_client(tmp_path: Path) -> None:
    certified(tmp_path)
    options = f"allow_anonymous true\ncafile {tmp_path}/ca.crt\ncertfile {tmp_path}/server.crt\n"
    options += f"keyfile {tmp_path}/server.key\nrequire_certificate true"
    tls = {
        "tls": True,
        "tls_ca": f"{tmp_path}/ca.crt",
        "tls_cert": f"{tmp_path}/client.crt",
        "tls_key": f"{tmp_path}/client.key",
    }
    good = MqttConfig(host=HOST, **tls)  # type: ignore[arg-type]
    stranger = MqttConfig(host=HOST, tls=True)
    async with running(tmp_path, options) as broker:
        async with bridged(broker.port, login=login(good, {}), **tls) as home:
            await home.told(": connected")
        async with bridged(broker.port, login=login(stranger, {}), tls=True) as home:
            assert "certificate verify failed" in await home.told("trying again")


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"username": "a", "password_file": "missing.txt"}, "password_file missing.txt"),
        ({"tls": True, "tls_ca": "missing.pem"}, "tls_ca missing.pem"),
        ({"tls": True, "tls_cert": "missing.pem", "tls_key": "k"}, "tls_cert missing.pem"),
    ],
)
async def test_what_is_missing_is_named_before_anything_starts(config: dict[str, object], part: str) -> None:
    with pytest.raises(BrokerError, match=part) as caught:
        async with connected(MqttConfig(host="x", **config), environment={}):  # type: ignore[arg-type]
            pass
    assert "\n" not in str(caught.value)


async def test_without_a_host_there_is_no_home() -> None:
    async with connected(MqttConfig()) as home:
        assert home is None


def test_the_client_is_loaded_only_for_a_broker() -> None:
    code = (
        "import sys, assistant.mqtt.connect, assistant.cli, assistant.errors; print('aiomqtt' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    for name in ("bridge", "broker"):
        monkeypatch.delitem(sys.modules, f"assistant.mqtt.{name}", raising=False)
    with pytest.raises(BrokerError, match=r"pip install -e '\.\[mqtt\]'"):
        async with connected(MqttConfig(host="x")):
            pass


async def test_what_goes_wrong_inside_leaves_as_it_is_and_the_task_ends() -> None:
    told: list[str] = []
    with pytest.raises(KeyError, match="mine"):
        async with connected(MqttConfig(host=HOST, port=free_port()), Callbacks(tell=told.append)) as home:
            assert isinstance(home, Bridge) and home.entities == ()
            raise KeyError("mine")
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("mqtt")] == []

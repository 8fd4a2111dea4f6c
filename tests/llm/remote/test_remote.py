import asyncio
import gc
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest
from remote_server import CHUNKED, DONE, ROLE, SSE, RemoteServer, Step, chunk, event

from llm.decode.generate import Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.responder import Prompt
from llm.decode.sample import Sampling
from llm.remote.client import RemoteConfig, RemoteError, RemoteModel
from llm.text.chat import Message

SYSTEM = Message("system", "Be brief.")
SECRET = "sk-5ecre7"
QUESTION = "Where is the treasure?"
CONFIG = GenerateConfig(max_tokens=20)
HELLO = Step([ROLE, chunk("Hel"), chunk("lo"), chunk("."), chunk(None, "stop"), DONE])
SAYS_HELLO = ["Hel", "lo", "."]


@pytest.fixture(scope="module")
def server() -> Iterator[RemoteServer]:
    server = RemoteServer.start()
    yield server
    server.close()


def model(server: RemoteServer, generate: GenerateConfig = CONFIG, **changes: object) -> RemoteModel:
    """Patient with a machine that is slow, unless told otherwise."""
    waits = {"connect_s": 20.0, "first_token_s": 20.0, "between_tokens_s": 20.0}
    config = {"url": f"http://127.0.0.1:{server.port}/v1", "model": "tiny", **waits, **changes}
    return RemoteModel(RemoteConfig(**config), generate, {"KEY": SECRET})  # type: ignore[arg-type]


def start(remote: RemoteModel) -> AsyncGenerator[Generated, None]:
    return remote.reply(remote.prompt([SYSTEM], QUESTION))


async def say(remote: RemoteModel) -> list[Generated]:
    return [item async for item in start(remote)]


async def say_until_error(remote: RemoteModel) -> tuple[list[str], RemoteError]:
    """The texts that came, and what ended them."""
    texts: list[str] = []
    with pytest.raises(RemoteError) as caught:
        async for item in start(remote):
            if isinstance(item, Token):
                texts.append(item.text)
    assert SECRET not in str(caught.value)
    assert QUESTION not in str(caught.value)
    assert "\n" not in str(caught.value)
    return texts, caught.value


async def say_until_cancelled(remote: RemoteModel, server: RemoteServer) -> list[Generated]:
    """What came before the task was cancelled, which it is when the server has sent all that it will."""
    items: list[Generated] = []

    async def collect() -> None:
        async for item in start(remote):
            items.append(item)

    task = asyncio.create_task(collect())
    await asyncio.to_thread(server.until, "sent")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return items


def texts(items: list[Generated]) -> list[str]:
    return [item.text for item in items if isinstance(item, Token)]


# A reply


async def test_a_reply_comes_as_from_a_model_at_home(server: RemoteServer) -> None:
    server.play(HELLO)
    started, prefilled, *tokens, finished = await say(model(server))
    assert started == Started()
    assert isinstance(prefilled, Prefilled)
    assert prefilled.logits.shape == (0, 0)
    assert tokens == [Token(-1, text) for text in SAYS_HELLO]
    assert finished == Finished("end", "")
    assert len(server.requests()) == 1


async def test_the_request_asks_for_what_is_configured(server: RemoteServer) -> None:
    server.play(HELLO)
    sampling = Sampling(repetition_penalty=1.3, temperature=0.5, top_p=0.9, min_p=0.1, seed=7)
    remote = model(server, GenerateConfig(max_tokens=9, sampling=sampling), api_key_env="KEY")
    history = [SYSTEM, Message("user", "Hi."), Message("assistant", "Hello."), Message("user", "Do you")]
    _ = [item async for item in remote.reply(remote.prompt(history, "know Rome"))]
    (request,) = server.requests()
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["host"] == f"127.0.0.1:{server.port}"
    assert request["headers"]["authorization"] == f"Bearer {SECRET}"
    assert request["body"] == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Do you know Rome."},
        ],
        "stream": True,
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
    }


async def test_without_a_key_none_is_sent(server: RemoteServer) -> None:
    server.play(HELLO)
    await say(model(server))
    assert "authorization" not in server.requests()[0]["headers"]


USAGE = event({"choices": [], "usage": {"total_tokens": 9}})
THOUGHT = chunk(None, reasoning_content="The user asks for ...\n\n")
ODD_BUT_RIGHT = f": keep-alive\n\n{ROLE}event: message\nid: 4\n{THOUGHT}{USAGE}"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([ODD_BUT_RIGHT, chunk("Hello."), USAGE, chunk(None, "stop"), USAGE, DONE], "Hello."),
        (["\ufeff", ROLE, chunk("Hello."), DONE], "Hello."),
        ([chunk("Hello", "stop")], "Hello"),
        ([chunk("\n\n"), chunk("\n Hel"), chunk("lo"), DONE], "Hello"),
        ([chunk("Hello. \n\n"), chunk("And more."), DONE], "Hello."),
        ([chunk("Two:\n- a\n"), chunk("- b"), DONE], "Two: a. b"),
        ([chunk(""), chunk(None, "stop")], ""),
        ([THOUGHT, chunk("A"), chunk("", tool_calls=[]), chunk(" b"), DONE], "A b"),
    ],
    ids=["noise", "byte order mark", "at once", "blank first", "cut", "list", "nothing said", "thoughts"],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("headers", [CHUNKED, SSE], ids=["chunked", "until closed"])
async def test_the_text_is_that_of_the_events(
    server: RemoteServer, pieces: list[str], expected: str, ends: str, headers: dict[str, str]
) -> None:
    server.play(Step([p.replace("\n", ends) for p in pieces], headers=headers))
    items = await say(model(server))
    assert "".join(texts(items)) == expected
    assert isinstance(items[-1], Finished)
    assert items[-1].reason == ("stop" if "And more" in "".join(pieces) else "end")
    assert [type(item) for item in items[:2]] == [Started, Prefilled]


async def test_the_text_is_the_same_byte_by_byte(server: RemoteServer) -> None:
    whole = ROLE + chunk("Zürich ") + chunk("🦜 東") + chunk("京.") + chunk(None, "stop")
    single = [bytes([b]).decode(errors="surrogateescape") for b in whole.encode()]
    server.play(Step(single))
    assert texts(await say(model(server))) == ["Zürich", " 🦜 東", "京."]


async def test_the_limit_of_the_server_is_known(server: RemoteServer) -> None:
    server.play(Step([chunk("To be or"), chunk(None, "length")]))
    assert (await say(model(server)))[-1] == Finished("length", "")


async def test_what_could_have_become_a_stop_string_is_said(server: RemoteServer) -> None:
    server.play(Step([chunk("a E"), chunk("N"), chunk("", "stop")]))
    items = await say(model(server, GenerateConfig(stop=("END",))))
    assert texts(items) == ["a", ""]
    assert items[-1] == Finished("end", " EN")


async def test_a_server_that_never_ends_is_left_at_the_limit(server: RemoteServer) -> None:
    server.play(Step([chunk("la ")], "forever"))
    items = await say(model(server))
    assert texts(items) == ["la", *[" la"] * (CONFIG.max_tokens - 1)]
    assert items[-1] == Finished("length", "")
    server.until("gone")


async def test_a_reply_is_bounded_however_much_comes_at_once(server: RemoteServer) -> None:
    server.play(Step([chunk("la " * 20)], "forever"))
    items = await say(model(server))
    assert len("".join(texts(items))) == 16 * CONFIG.max_tokens
    assert items[-1] == Finished("length", "")
    server.until("gone")


async def test_a_stop_string_closes_the_stream(server: RemoteServer) -> None:
    server.play(Step([chunk("One.\nTwo.")], "hang"))
    items = await say(model(server, GenerateConfig(stop=("\n",))))
    assert items[-2:] == [Token(-1, "One."), Finished("stop", "")]
    server.until("gone")


async def test_a_name_that_has_several_addresses_is_tried_at_each(
    server: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def two_addresses(host: bytes, *args: Any) -> list[Any]:  # noqa: ANN401  # as in socket
        # Nobody listens at the first.
        hosts = [b"127.0.0.2", b"127.0.0.1"] if host == b"llm.example" else [host]
        return [address for h in hosts for address in look_up(h, *args)]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    server.play(HELLO)
    remote = model(server, url=f"http://llm.example:{server.port}/v1/", retries=0)
    assert texts(await say(remote)) == SAYS_HELLO


async def test_a_prompt_larger_than_any_buffer_arrives_whole(server: RemoteServer) -> None:
    server.play(HELLO)
    words = "word " * 600_000 + "end."
    remote = model(server)
    assert texts([item async for item in remote.reply(remote.prompt([SYSTEM], words))]) == SAYS_HELLO
    assert server.requests()[0]["body"]["messages"][1]["content"] == words


# Before the first word


def busy(status: int, **headers: str) -> Step:
    answer = {"Content-Length": "2", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Step(["{}"], status=status, headers=answer)


RESET = Step(then="die", status=None)


@pytest.mark.parametrize(
    "failure",
    [
        busy(429, Retry_After="0"),
        busy(502),
        busy(503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
        busy(503, Retry_After="Thu, 01 Jan 1970 00:00:00 -0000"),
        busy(504, Retry_After="soon"),
        RESET,
        Step(["HTTP/1.1 200 O"], "die", status=None),
        Step(then="die"),
        Step([": ping\n\n", ROLE, chunk("\n")], "die"),
        Step([ROLE]),
        Step([ROLE], headers=SSE),
    ],
)
async def test_what_may_pass_is_tried_again(server: RemoteServer, failure: Step) -> None:
    server.play(failure, failure, HELLO)
    assert texts(await say(model(server, retries=2))) == SAYS_HELLO
    assert len(server.requests()) == 3


@pytest.mark.parametrize("failure", [busy(503), RESET])
async def test_it_is_tried_no_more_often_than_configured(server: RemoteServer, failure: Step) -> None:
    server.play(failure, failure)
    said, error = await say_until_error(model(server, retries=1))
    assert (said, error.status) == ([], failure.status)
    assert len(server.requests()) == 2


@pytest.mark.parametrize("when", ["60", "999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_nobody_is_kept_waiting_longer_than_configured(server: RemoteServer, when: str) -> None:
    server.play(busy(503, Retry_After=when), HELLO)
    _, error = await say_until_error(model(server))
    assert error.status == 503
    assert error.retry_after_s >= 59
    assert len(server.requests()) == 1


@pytest.mark.parametrize(
    ("answer", "status", "what"),
    [
        (busy(400), 400, "answered 400 Bad Request"),
        (busy(401), 401, "answered 401 Unauthorized: the key in KEY is not right"),
        (busy(404), 404, "answered 404 Not Found: is the URL right"),
        (busy(500), 500, "answered 500 Internal Server Error"),
        (busy(307, Location="/elsewhere"), 307, "answered 307"),
        (busy(599), 599, "answered 599"),
        (Step([f'{{"error": "{QUESTION} {SECRET}"}}'], status=400, headers=SSE), 400, "answered 400"),
        (Step(['{"choices": []}'], headers={"Content-Type": "application/json"}), 200, "does not stream"),
        (Step(["Hello.\r\n\r\n"], status=None), None, "HTTP"),
        (Step(["HTTP/1.1 200 OK\r\nX: " + "x" * 99_999], "forever", status=None), None, "HTTP"),
    ],
)
async def test_what_will_not_pass_is_not_tried_again(
    server: RemoteServer, answer: Step, status: int | None, what: str
) -> None:
    server.play(answer, HELLO)
    remote = model(server, api_key_env="KEY")
    said, error = await say_until_error(remote)
    assert (said, error.status) == ([], status)
    assert error.url == f"http://127.0.0.1:{server.port}/v1/chat/completions"
    assert what in error.what
    assert str(error) == f"{error.url}: {error.what}"
    assert len(server.requests()) == 1
    assert texts(await say(remote)) == SAYS_HELLO


BEFORE_A_WORD = [
    Step(then="hang", status=None),
    Step(then="hang"),
    Step([ROLE, THOUGHT, chunk(" \n")], "hang"),
    Step([": ping\n\n"], "forever"),
    Step(["HTTP/1.1 103 Early Hints\r\n\r\n"], "forever", status=None),
    Step([THOUGHT], "forever"),
]


@pytest.mark.parametrize("stall", BEFORE_A_WORD)
async def test_a_server_that_says_no_word_is_given_up(server: RemoteServer, stall: Step) -> None:
    server.play(stall, HELLO)
    said, error = await say_until_error(model(server, first_token_s=0.3))
    assert (said, error.what) == ([], "no word of a reply within 0.3 s")
    server.until("gone")
    assert texts(await say(model(server))) == SAYS_HELLO
    assert len(server.requests()) == 2


# After the first word

EVENT = '{"choices": [{"delta": %s, "finish_reason": %s}]}'
BROKEN = [
    ("data: {not json\n\n", "not JSON"),
    ("data: " + "[" * 50_000 + "\n\n", "not JSON"),
    ("data: " + "9" * 5000 + "\n\n", "not JSON"),
    ("data: \n\n", "not JSON"),
    ("data: [1]\n\n", "not a chat"),
    (event({"choices": None}), "not a chat"),
    (event({"object": "list"}), "not a chat"),
    (event({"choices": [7]}), "not a chat"),
    (event({"choices": [{"text": "old"}]}), "not a chat"),
    (f"data: {EVENT % ('[]', 'null')}\n\n", "not a chat"),
    (f"data: {EVENT % (json.dumps({'content': 5}), 'null')}\n\n", "not a chat"),
    (f"data: {EVENT % (json.dumps({'content': ['x']}), 'null')}\n\n", "not a chat"),
    (f"data: {EVENT % ('{}', '5')}\n\n", "not a chat"),
    (f"data: {EVENT % (json.dumps({'content': chr(0xD83E)}), 'null')}\n\n", "not a chat"),
    (event({"error": {"message": f"{QUESTION} {SECRET}", "code": 500}}), "error of its own"),
    ("data: \udcff\n\n", "not UTF-8"),
    ("data: " + "x" * 70_000, "more than 65536 bytes"),
    ("data: x\n" * 20_000, "more than 65536 bytes"),
    (": " + "x" * 70_000, "more than 65536 bytes"),
]


@pytest.mark.parametrize(("piece", "what"), BROKEN)
async def test_a_malformed_event_ends_the_reply(server: RemoteServer, piece: str, what: str) -> None:
    server.play(Step([chunk("One"), chunk(" two"), piece], "hang"), HELLO)
    remote = model(server)
    said, error = await say_until_error(remote)
    assert said == ["One", " two"]
    assert what in error.what
    server.until("gone")
    assert len(server.requests()) == 1
    assert texts(await say(remote)) == SAYS_HELLO


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (Step([chunk("One"), chunk(" two")], "die"), "closed the connection before its answer was over"),
        (Step([chunk("One"), chunk(" two")]), "ended the stream before the reply was over"),
        (Step([chunk("One"), chunk(" two"), "data: [DO"]), "ended the stream before the reply was over"),
    ],
)
async def test_a_reply_that_has_begun_is_not_begun_again(server: RemoteServer, step: Step, what: str) -> None:
    server.play(step, HELLO)
    remote = model(server)
    said, error = await say_until_error(remote)
    assert (said, error.what) == (["One", " two"], what)
    assert len(server.requests()) == 1
    assert texts(await say(remote)) == SAYS_HELLO


@pytest.mark.parametrize(
    "stall",
    [
        Step([chunk("One")], "hang"),
        Step([chunk("One"), ": ping\n\n"], "forever"),
        Step([chunk("One"), ROLE], "forever"),
    ],
    ids=["silence", "keep-alives", "empty chunks"],
)
async def test_a_server_that_stops_speaking_is_given_up(server: RemoteServer, stall: Step) -> None:
    server.play(stall, HELLO)
    said, error = await say_until_error(model(server, between_tokens_s=0.3))
    assert (said, error.what) == (["One"], "no more of the reply within 0.3 s")
    server.until("gone")
    assert len(server.requests()) == 1
    assert texts(await say(model(server))) == SAYS_HELLO


async def test_a_slow_reader_is_no_slow_server(server: RemoteServer) -> None:
    server.play(HELLO)
    said = []
    async for item in start(model(server, between_tokens_s=0.2)):
        said.append(item)
        if isinstance(item, Token):
            await asyncio.sleep(0.3)
    assert texts(said) == SAYS_HELLO


# Nobody wants it any more


@pytest.mark.parametrize("stall", [*BEFORE_A_WORD[:3], Step([chunk("One")], "hang")])
async def test_cancelling_closes_the_stream_of_a_server_that_stalls(
    server: RemoteServer, stall: Step
) -> None:
    server.play(stall, HELLO)
    remote = model(server)
    items = await say_until_cancelled(remote, server)
    assert not any(isinstance(item, Finished) for item in items)
    server.until("gone")
    assert texts(await say(remote)) == SAYS_HELLO


async def test_closing_a_reply_closes_the_stream_of_a_server_that_never_pauses(server: RemoteServer) -> None:
    server.play(Step([chunk("la ")], "forever"))
    said: list[Generated] = []
    async with aclosing(start(model(server))) as items:
        async for item in items:
            said.append(item)
            if len(said) == 7:
                break
    assert texts(said) == ["la", *[" la"] * 4]
    server.until("gone")


async def test_closing_a_reply_closes_the_stream_of_a_server_that_stalls(server: RemoteServer) -> None:
    server.play(Step([chunk("One")], "hang"))
    async with aclosing(start(model(server))) as items:
        assert [await anext(items) for _ in range(3)][-1] == Token(-1, "One")
    server.until("gone")


async def test_cancelling_ends_the_wait_for_another_try(server: RemoteServer) -> None:
    server.play(busy(503, Retry_After="15"))
    assert await say_until_cancelled(model(server), server) == [Started()]
    assert len(server.requests()) == 1


async def test_what_is_not_wanted_is_not_asked_for(server: RemoteServer) -> None:
    server.play()
    async with aclosing(start(model(server))) as items:
        assert await anext(items) == Started()
    assert server.requests() == []


async def test_a_server_that_stalls_holds_up_no_other_reply(server: RemoteServer) -> None:
    server.play(Step([chunk("One")], "hang"), HELLO)
    remote = model(server)
    async with aclosing(start(remote)) as stalled:
        assert [await anext(stalled) for _ in range(3)][-1] == Token(-1, "One")
        waiting = asyncio.ensure_future(anext(stalled))
        assert texts(await say(remote)) == SAYS_HELLO
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
    server.until("gone")


async def test_nothing_leaks(server: RemoteServer) -> None:
    steps = [
        HELLO,
        Step([chunk("One")], "die"),
        Step([chunk("One"), "data: {\n\n"], "hang"),
        Step([chunk("One")], "hang"),
        busy(401),
        Step(["no HTTP\r\n\r\n"], status=None),
    ]
    remote = model(server, url=f"http://localhost:{server.port}/v1", retries=0, between_tokens_s=0.05)
    process = psutil.Process()
    server.play(HELLO)
    await say(remote)  # the first look-up of a name starts the event loop's threads for such calls
    gc.collect()
    before = process.num_fds(), asyncio.all_tasks()
    for _ in range(3):
        server.play(*steps)
        for _ in steps:
            try:
                await say(remote)
            except RemoteError:
                continue
        assert len(server.requests()) == len(steps)
        for stall in (Step(then="hang"), Step([chunk("One")], "hang")):
            server.play(stall)
            await say_until_cancelled(remote, server)
            server.until("gone")
    assert (process.num_fds(), asyncio.all_tasks()) == before
    await remote.close()


# Connecting


async def test_a_server_that_starts_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    late = RemoteServer.start("--late")
    sleep = asyncio.sleep

    async def start_and_sleep(seconds: float) -> None:
        if seconds >= 0.2:  # before another try: it has been refused
            late.play(HELLO)
        await sleep(seconds)

    try:
        _, error = await say_until_error(model(late, retries=0))
        assert (error.what, error.status) == ("no connection: Connection refused", None)
        monkeypatch.setattr(asyncio, "sleep", start_and_sleep)
        assert texts(await say(model(late, retries=1))) == SAYS_HELLO
        assert len(late.requests()) == 1
    finally:
        late.close()


async def test_a_host_that_does_not_answer_is_given_up() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):  # the queue is full: the next SYN is ignored
            config = RemoteConfig(f"http://127.0.0.1:{full.getsockname()[1]}", connect_s=0.3)
            _, error = await say_until_error(RemoteModel(config, CONFIG))
    assert error.what == "no connection within 0.3 s"


async def test_a_name_that_nobody_has_is_one_clear_line() -> None:
    _, error = await say_until_error(RemoteModel(RemoteConfig("http://nobody.invalid/v1", retries=0), CONFIG))
    assert str(error) == "http://nobody.invalid/v1/chat/completions: its host name has no address"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost that nobody has signed, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    key = path.with_suffix(".key")
    command = [openssl, *kind.split(), *names, "-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture(scope="module")
def tls_server(certificate: Path) -> Iterator[RemoteServer]:
    server = RemoteServer.start("--certificate", str(certificate))
    yield server
    server.close()


async def test_https_wants_a_certificate_that_the_system_trusts(
    tls_server: RemoteServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls_server.play(HELLO)
    local, number = (f"https://{host}:{tls_server.port}/v1" for host in ("localhost", "127.0.0.1"))
    _, error = await say_until_error(model(tls_server, url=local))
    assert "certificate is refused: self" in error.what
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    _, error = await say_until_error(model(tls_server, url=number))
    assert "certificate is refused: IP address mismatch" in error.what
    assert tls_server.requests() == []
    assert texts(await say(model(tls_server, url=local))) == SAYS_HELLO
    tls_server.play(Step([chunk("One")], "hang"))
    said = await say_until_cancelled(model(tls_server, url=local), tls_server)
    assert not any(isinstance(item, Finished) for item in said)
    tls_server.until("gone")


async def test_https_to_a_server_without_it_is_one_clear_line(server: RemoteServer) -> None:
    _, error = await say_until_error(model(server, url=f"https://127.0.0.1:{server.port}/v1"))
    assert "no connection: TLS: " in error.what


async def test_a_handshake_that_stalls_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = RemoteConfig(f"https://127.0.0.1:{mute.getsockname()[1]}", connect_s=0.3)
        _, error = await say_until_error(RemoteModel(config, CONFIG))
    assert error.what == "no connection within 0.3 s"


# Configuration


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000/v1",
        "ftp://host/v1",
        "http:///v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://[::1/v1",
        "http://a..b/v1",
        "http://host/v 1",
        "http://host/v1\r\nX: y",
        "http://höst/v1",
        f"https://me:{SECRET}@host/v1",
        f"https://{SECRET}@host/v1",
        f"https://host/v1?key={SECRET}",
        f"https://host/v1#{SECRET}",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str) -> None:
    with pytest.raises(RemoteError) as caught:
        RemoteModel(RemoteConfig(url, "tiny"), CONFIG)
    assert SECRET not in str(caught.value)
    assert "URL" in str(caught.value)


@pytest.mark.parametrize("key", [None, "", " ", "a\nb", "schlüssel"])
def test_a_key_that_cannot_be_used_is_refused_at_once(key: str | None) -> None:
    config = RemoteConfig("http://127.0.0.1/v1", api_key_env="KEY")
    with pytest.raises(RemoteError, match="the environment variable KEY holds no key"):
        RemoteModel(config, CONFIG, {"KEY": key} if key is not None else {})


@pytest.mark.parametrize(
    "change",
    [
        {"connect_s": 0.0},
        {"first_token_s": -1.0},
        {"between_tokens_s": float("nan")},
        {"connect_s": float("inf")},
        {"retries": -1},
        {"retries": 11},
        {"max_prompt_chars": 0},
    ],
)
def test_impossible_waits_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RemoteConfig("http://127.0.0.1/v1", **change)  # type: ignore[arg-type]


# What is asked


def turns(*texts: str) -> list[Message]:
    return [Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]


def prompt_of(history: list[Message], transcript: str, budget: int) -> Prompt:
    config = RemoteConfig("http://127.0.0.1/v1", max_prompt_chars=budget)
    return RemoteModel(config, CONFIG).prompt(history, transcript)


def test_a_history_within_the_budget_is_sent_whole() -> None:
    history = [SYSTEM, *turns("1234567890.", "1234567890.")]  # 9 and 11 and 11 characters
    assert prompt_of(history, "Why", 35) == Prompt([], (*history, Message("user", "Why.")), 0)


def test_a_history_beyond_it_loses_whole_turns_and_some_more() -> None:
    history = [SYSTEM, *turns(*(f"{i}." * 10 for i in range(8)))]  # 9 and 8 x 20 characters
    prompt = prompt_of(history, "Why", 160)  # of 173
    # 93 characters; with one turn more it were 133, which is over three quarters.
    assert prompt.history == (SYSTEM, *history[5:], Message("user", "Why."))
    assert prompt.dropped == 4
    grown = [SYSTEM, *history[5:], *turns("Why", "Because.")]
    assert prompt_of(grown, "Who", 160).history[: len(prompt.history) - 1] == prompt.history[:-1]


def test_the_last_turn_is_never_dropped() -> None:
    prompt = prompt_of([SYSTEM, *turns("Hi.", "Hello.")], "x" * 99, 10)
    assert prompt.history == (SYSTEM, Message("user", "x" * 99 + "."))
    assert prompt.dropped == 2


def test_what_is_said_in_two_breaths_is_one_message() -> None:
    prompt = prompt_of([SYSTEM, Message("user", "Do you")], "know Rome?", 99)
    assert prompt.history == (SYSTEM, Message("user", "Do you know Rome?"))
    assert prompt.dropped == 0

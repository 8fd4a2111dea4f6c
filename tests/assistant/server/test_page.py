"""The page in a browser, against a scripted server."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import browsing
import numpy as np
import pytest
import pytest_asyncio
import soundfile

if unsupported := browsing.unsupported_reason():
    pytest.skip(unsupported, allow_module_level=True)

from browsing import FOREIGN_HOST, Visit, visit
from playwright.async_api import Page, expect
from scripted_realtime import RATE, Peer, ScriptedServer, scripted_server

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

expect.set_options(timeout=15_000)  # on a busy machine a browser may stand still for seconds

CLIP = Path(__file__).parents[3] / "traces/000.flac"
SPLIT = {
    "ttfa_ms": "512.4",
    "endpoint.wait_ms": "368.0",
    "asr.final_ms": "0",
    "prompt.assemble_ms": "0.4",
    "llm.queue_ms": "0",
    "llm.prefill_ms": "21",
    "llm.first_token_ms": "9",
    "llm.first_phrase_ms": "64",
    "tts.first_chunk_ms": "20",
    "playback.start_ms": "30",
}
EARLY = SPLIT | {"ttfa_ms": "44.4", "endpoint.wait_ms": "-100.0"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples, rate = soundfile.read(CLIP, dtype="int16")
    path = tmp_path_factory.mktemp("microphone") / "clip.wav"
    soundfile.write(path, samples, rate)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(clip: Path) -> "AsyncIterator[Browser]":
    async with browsing.chromium(clip) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def visited(browser: "Browser", server: ScriptedServer) -> AsyncIterator[Visit]:
    """The page, opened. Whatever a test does, the page keeps to its server and nothing is in the console."""
    async with visit(browser, server.origin) as visited:
        yield visited
        assert visited.foreign == []
        assert visited.complaints == []


async def start(page: Page, server: ScriptedServer) -> Peer:
    await page.get_by_role("button", name="Start").click()
    peer = await server.peer()
    await peer.greet()
    await state(page, "Listening")
    return peer


async def state(page: Page, text: str) -> None:
    await expect(page.get_by_role("status")).to_have_text(text)


def rows(page: Page, who: str):
    return page.locator(f"#conversation > .{who}")


async def test_it_asks_for_what_the_protocol_offers_and_for_partials(visited: Visit, server: ScriptedServer):
    await visited.page.get_by_role("button", name="Start").click()
    update = await (await server.peer()).greet()
    pcm = {"type": "audio/pcm", "rate": 24000}
    assert update["session"] == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "include": ["assistant.partials"],
        "audio": {
            "input": {
                "format": pcm,
                "turn_detection": {"type": "semantic_vad"},
                "transcription": {"model": "assistant"},
            },
            "output": {"format": pcm},
        },
    }


async def test_the_microphone_is_sent_in_blocks_of_40_ms(visited: Visit, server: ScriptedServer, clip: Path):
    peer = await start(visited.page, server)
    await peer.hear(75)
    assert len(peer.audio) == peer.appends * 2 * RATE * 40 // 1000
    sent = np.frombuffer(peer.audio, "<i2").astype(np.float64)
    assert np.sqrt(np.mean(sent**2)) > 100  # the browser's own filters and gain worked on it
    await expect(visited.page.get_by_role("meter")).not_to_have_attribute("aria-valuenow", "0")


async def test_a_spoken_turn_shows_each_word_once(visited: Visit, server: ScriptedServer):
    page = visited.page
    peer = await start(page, server)
    await peer.hear(5)
    await peer.user_begins("u1")
    await state(page, "You are speaking")
    await peer.partial("u1", "What is the", "cup of")
    words = rows(page, "user").locator(".words")
    await expect(words).to_have_text("What is the cup of")
    unstable = words.locator("em")
    await expect(unstable).to_have_text("cup of")
    await expect(unstable).to_have_css("font-style", "italic")

    await peer.user_ends("u1", "What is the capital of France?")
    await expect(words).to_have_text("What is the capital of France?")
    await expect(unstable).to_have_count(0)
    await state(page, "Thinking…")

    await peer.reply_begins("a1", "The capital is Paris.", 400, previous="u1")
    await peer.reply_ends("a1", "The capital is Paris.", SPLIT)
    await expect(rows(page, "assistant").locator(".words")).to_have_text("The capital is Paris.")
    await state(page, "Listening")
    texts = await page.locator("#conversation .words").all_inner_texts()
    assert texts == ["What is the capital of France?", "The capital is Paris."]
    assert peer.unread() == []


@pytest.mark.parametrize("split", [SPLIT, EARLY], ids=["late", "early"])
async def test_the_waterfall_adds_up(visited: Visit, server: ScriptedServer, split: dict[str, str]):
    page = visited.page
    peer = await start(page, server)
    await peer.reply_begins("a1", "Paris.", 100, previous=None)
    await peer.reply_ends("a1", "Paris.", split)
    total = float(split["ttfa_ms"])
    await expect(page.locator(".waterfall summary")).to_have_text(f"Audio after {round(total)} ms")
    cells = await page.get_by_role("table").get_by_role("cell").all_inner_texts()
    values = [float(cell.removesuffix(" ms").replace("\N{MINUS SIGN}", "-")) for cell in cells]
    assert len(values) == 8  # one row for the two parts that took no time
    assert sum(values) == pytest.approx(total)

    boxes = [await part.bounding_box() for part in await page.locator(".bar .part").all()]
    widths = np.array([box["width"] for box in boxes if box])
    shares = np.array([value for value in values if value > 0])
    np.testing.assert_allclose(widths / widths.sum(), shares / shares.sum(), atol=0.01)
    early = page.locator(".end-of-speech")
    await expect(early).to_have_count(1 if values[0] < 0 else 0)


async def test_barge_in_tells_how_much_was_heard_and_shows_it(visited: Visit, server: ScriptedServer):
    page = visited.page
    peer = await start(page, server)
    await peer.reply_begins("a1", "One two three four five six.", 20_000, previous=None)
    await state(page, "Speaking")
    await peer.hear(25)
    await peer.user_begins("u1")
    truncate = await peer.next("conversation.item.truncate")
    assert (truncate["item_id"], truncate["content_index"]) == ("a1", 0)
    heard = truncate["audio_end_ms"]
    assert isinstance(heard, int)
    assert 200 < heard < 20_000  # 25 blocks of the microphone are a second
    await state(page, "You are speaking")
    await peer.reply_ends("a1", "One two three four five six.", {}, status="cancelled")
    await peer.send("conversation.item.truncated", item_id="a1", content_index=0, audio_end_ms=heard)
    assert (await peer.next("conversation.item.retrieve"))["item_id"] == "a1"
    content = [{"type": "output_audio", "transcript": "One two"}]
    item = {"id": "a1", "type": "message", "role": "assistant", "content": content}
    await peer.send("conversation.item.retrieved", item=item)
    reply = rows(page, "assistant")
    await expect(reply.locator(".words")).to_have_text("One two")
    await expect(reply.get_by_text("Interrupted")).to_have_count(1)
    assert peer.unread() == []


async def test_a_voice_in_silence_truncates_nothing(visited: Visit, server: ScriptedServer):
    peer = await start(visited.page, server)
    await peer.reply_begins("a1", "Yes.", 3000, previous=None)
    await state(visited.page, "Speaking")
    await peer.reply_ends("a1", "Yes.", {})
    await state(visited.page, "Listening")
    await peer.user_begins("u1")
    await state(visited.page, "You are speaking")
    await peer.hear(5)
    assert peer.unread() == []


async def test_a_turn_that_goes_on_is_taken_back(visited: Visit, server: ScriptedServer):
    page = visited.page
    peer = await start(page, server)
    await peer.user_begins("u1")
    await peer.user_ends("u1", "What is")
    await expect(rows(page, "user")).to_have_count(1)
    await peer.send("conversation.item.deleted", item_id="u1")
    await peer.user_begins("u2")
    await peer.user_ends("u2", "What is the capital?")
    await expect(rows(page, "user")).to_have_count(1)
    await expect(rows(page, "user").locator(".words")).to_have_text("What is the capital?")


async def test_an_item_stands_behind_its_predecessor(visited: Visit, server: ScriptedServer):
    page = visited.page
    peer = await start(page, server)
    await peer.user_begins("u2")
    await peer.item("u1", "user", [{"type": "input_text", "text": "First"}], None)
    await peer.user_ends("u2", "Second", previous="u1")
    await expect(page.locator("#conversation .words")).to_have_text(["First", "Second"])


async def test_a_typed_message_needs_no_microphone_and_stops_a_reply(visited: Visit, server: ScriptedServer):
    page = visited.page
    await page.get_by_label("Message").fill("Hello")
    await page.keyboard.press("Enter")
    peer = await server.peer()
    await peer.greet()
    created = await peer.next("conversation.item.create")
    content = [{"type": "input_text", "text": "Hello"}]
    assert created["item"] == {"type": "message", "role": "user", "content": content}
    await peer.next("response.create")
    await peer.item("u1", "user", content, None)
    await peer.reply_begins("a1", "Hello, you.", 10_000, previous="u1")
    await state(page, "Speaking")
    await expect(page.get_by_role("button", name="Start")).to_be_enabled()

    await page.get_by_label("Message").fill("Wait")
    await page.get_by_role("button", name="Send").click()
    await peer.next("response.cancel")
    await peer.next("conversation.item.truncate")
    await peer.next("conversation.item.create")
    await state(page, "Ready")
    assert peer.unread() == []  # a response is asked for when the last one has ended
    heard = [{"type": "output_audio", "transcript": "Hello,"}]
    await peer.send("conversation.item.retrieved", item={"id": "a1", "role": "assistant", "content": heard})
    await peer.reply_ends("a1", "Hello, you.", {}, status="cancelled")  # it may come later than that
    await peer.next("response.create")
    await expect(page.locator("#conversation .words")).to_have_text(["Hello", "Hello,"])


async def test_the_keyboard_is_enough(visited: Visit, server: ScriptedServer):
    page = visited.page
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("Space")
    peer = await server.peer()
    await peer.greet()
    await state(page, "Listening")
    await peer.reply_begins("a1", "A long story.", 10_000, previous=None)
    await state(page, "Speaking")
    await page.keyboard.press("Escape")
    await peer.next("response.cancel")
    await peer.next("conversation.item.truncate")
    await state(page, "Listening")
    await page.get_by_role("button", name="Stop", exact=True).focus()
    reached = []
    for _ in range(6):
        await page.keyboard.press("Shift+Tab")
        reached.append(await page.evaluate("document.activeElement.id || document.activeElement.localName"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert await page.evaluate(outline) == "solid" or reached[-1] == "body"
    assert reached[:3] == ["mute", "main", "summary"]
    await page.get_by_role("button", name="Stop", exact=True).press("Enter")
    await state(page, "Press Start and speak")
    await asyncio.wait_for(peer.socket.wait_closed(), 10)


async def test_muted_the_microphone_sends_silence(visited: Visit, server: ScriptedServer):
    page = visited.page
    peer = await start(page, server)
    mute = page.get_by_role("button", name="Mute")
    await mute.click()
    await expect(mute).to_have_attribute("aria-pressed", "true")
    await state(page, "Your microphone is muted")
    await peer.hear(10)  # what was on its way
    before = len(peer.audio)
    await peer.hear(10)
    assert set(peer.audio[before:]) == {0}


async def test_devices_are_listed_and_remembered(visited: Visit, server: ScriptedServer):
    page = visited.page
    await start(page, server)
    await page.get_by_text("Devices").click()
    microphone = page.get_by_label("Microphone", exact=True)
    names = await microphone.get_by_role("option").all_inner_texts()
    assert names[0] == "System default"
    assert len(names) > 1
    await microphone.select_option(names[1])
    chosen = await microphone.input_value()
    await page.reload()
    assert await page.evaluate("localStorage.getItem('audioinput')") == chosen
    await expect(page.get_by_label("Loudspeaker")).to_be_attached()


async def test_a_denied_microphone_is_explained(browser: "Browser", server: ScriptedServer):
    async with visit(browser, server.origin, permissions=[]) as visited:
        await visited.page.get_by_role("button", name="Start").click()
        await expect(visited.page.get_by_role("alert")).to_contain_text("microphone is blocked")
        await state(visited.page, "Press Start and speak")
        assert visited.complaints == []


@pytest.mark.parametrize(
    ("error", "says"),
    [("NotFoundError", "No microphone was found"), ("NotReadableError", "Another program may be using it")],
)
async def test_a_microphone_that_cannot_be_opened_is_explained(
    browser: "Browser", server: ScriptedServer, error: str, says: str
):
    refuse = f"""navigator.mediaDevices.getUserMedia = async () => {{
      throw new DOMException("", "{error}");
    }}"""
    async with visit(browser, server.origin, script=refuse) as visited:
        await visited.page.get_by_role("button", name="Start").click()
        await expect(visited.page.get_by_role("alert")).to_contain_text(says)
        assert visited.complaints == []


async def test_a_microphone_of_another_rate_is_resampled(browser: "Browser", server: ScriptedServer):
    """Firefox opens a microphone only at its own rate."""
    refuse = """const open = AudioContext.prototype.createMediaStreamSource;
    AudioContext.prototype.createMediaStreamSource = function (stream) {
      if (this.sampleRate === 24000) throw new DOMException("", "NotSupportedError");
      return open.call(this, stream);
    };"""
    async with visit(browser, server.origin, script=refuse) as visited:
        peer = await start(visited.page, server)
        await peer.hear(50)
        assert len(peer.audio) / 2 == pytest.approx(peer.appends * RATE * 40 / 1000, abs=100)
        assert np.frombuffer(peer.audio, "<i2").any()
        assert visited.complaints == []


async def test_a_page_from_another_host_by_http_is_explained_and_takes_text(
    browser: "Browser", server: ScriptedServer
):
    origin = server.origin.replace("127.0.0.1", FOREIGN_HOST)
    async with visit(browser, origin, permissions=[]) as visited:
        page = visited.page
        notice = page.get_by_role("alert")
        await expect(notice).to_contain_text("--tls CERT KEY")
        await expect(notice).to_contain_text(f"ssh -L {server.port}:localhost:{server.port} {FOREIGN_HOST}")
        await expect(page.get_by_role("button", name="Start")).to_be_disabled()
        await page.get_by_label("Message").fill("Hello")
        await page.keyboard.press("Enter")
        peer = await server.peer()
        update = await peer.greet()
        assert update["session"]["output_modalities"] == ["text"]
        await peer.next("conversation.item.create")
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "r1"})
        await state(page, "Thinking…")
        await peer.send("response.output_text.delta", response_id="r1", item_id="a1", delta="Hi.")
        await peer.send("response.done", response={"id": "r1", "status": "completed", "output": []})
        await expect(rows(page, "assistant").locator(".words")).to_have_text("Hi.")
        await state(page, "Ready")
        assert visited.foreign == []
        assert visited.complaints == []


async def test_a_token_is_asked_for_and_kept_for_the_tab_only(browser: "Browser", server: ScriptedServer):
    server.token = "secret"
    async with visit(browser, server.origin) as visited:
        page = visited.page
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_role("alert")).to_contain_text("needs a token")
        await page.get_by_label("Token").fill("public")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not the server's token")
        await page.get_by_label("Token").fill("secret")
        await page.keyboard.press("Enter")
        await (await server.peer()).greet()
        await state(page, "Listening")
        assert await page.evaluate("sessionStorage.getItem('token')") == "secret"
        assert await page.evaluate("JSON.stringify(localStorage)") == "{}"
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_token_in_the_address_is_used_and_hidden(browser: "Browser", server: ScriptedServer):
    server.token = "secret"
    async with visit(browser, server.origin, "/#token=secret") as visited:
        page = visited.page
        await expect(page.get_by_label("Token")).to_have_value("secret")
        assert page.url == server.origin + "/"
        await start(page, server)
        assert visited.complaints == []


@pytest.mark.parametrize(
    ("token", "ready", "says"),
    [
        (None, HTTPStatus.SERVICE_UNAVAILABLE, "busy with other conversations. Try again in 7 seconds"),
        (None, HTTPStatus.OK, "does not take pages at http://127.0.0.1:"),
        ("not a subprotocol", HTTPStatus.OK, "characters that a browser cannot send"),
    ],
    ids=["busy", "elsewhere", "unsendable"],
)
async def test_a_refusal_is_explained(
    browser: "Browser", server: ScriptedServer, token: str | None, ready: HTTPStatus, says: str
):
    server.refusal = HTTPStatus.SERVICE_UNAVAILABLE
    server.ready = ready
    async with visit(browser, server.origin) as visited:
        page = visited.page
        if token:
            await page.evaluate(f"sessionStorage.setItem('token', {token!r})")
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_role("alert")).to_contain_text(says)


async def test_a_server_that_has_gone_is_told_and_a_lost_connection_is_renewed(
    browser: "Browser", server: ScriptedServer
):
    async with visit(browser, server.origin) as visited:
        page = visited.page
        peer = await start(page, server)
        await peer.item("u1", "user", [{"type": "input_text", "text": "Before"}], None)
        peer.socket.transport.abort()
        await expect(page.get_by_role("alert")).to_contain_text("connection was lost")
        await page.get_by_role("button", name="Reconnect").click()
        peer = await server.peer()
        await peer.greet()
        await state(page, "Listening")
        await expect(page.locator("#conversation > li")).to_have_text(["YouBefore", "New conversation"])
        await peer.socket.close(1001)
        await expect(page.get_by_role("alert")).to_contain_text("shutting down")
        for path in ("**/readyz", "**/v1/models"):
            await page.route(path, lambda route: route.abort())
        server.refusal = HTTPStatus.SERVICE_UNAVAILABLE
        await page.get_by_role("button", name="Reconnect").click()
        await expect(page.get_by_role("alert")).to_contain_text("does not answer")


async def test_an_error_is_shown_unless_the_page_could_not_know_better(
    visited: Visit, server: ScriptedServer
):
    page = visited.page
    peer = await start(page, server)
    await peer.reply_begins("a1", "A long story.", 10_000, previous=None)
    await state(page, "Speaking")
    await page.get_by_role("button", name="Stop reply").click()
    for kind in ("response.cancel", "conversation.item.truncate"):
        error = {"type": "invalid_request_error", "message": "too late"}
        await peer.send("error", error=error | {"event_id": (await peer.next(kind))["event_id"]})
    await peer.partial("u1", "Processed", "behind them")
    await expect(rows(page, "user")).to_be_visible()
    await expect(page.get_by_role("alert")).to_be_hidden()
    await peer.send("error", error={"type": "server_error", "message": "The model failed."})
    await expect(page.locator("#notice p")).to_have_text("The model failed.")


@pytest.mark.parametrize(("scheme", "darker"), [("light", "text"), ("dark", "ground")])
async def test_a_phone_in_both_colour_schemes(
    browser: "Browser", server: ScriptedServer, scheme: str, darker: str
):
    phone = {"width": 320, "height": 640}
    async with visit(
        browser, server.origin, viewport=phone, has_touch=True, is_mobile=True, color_scheme=scheme
    ) as visited:
        page = visited.page
        peer = await start(page, server)
        await peer.item("u1", "user", [{"type": "input_text", "text": "long" * 60}], None)
        await peer.reply_begins("a1", "word " * 60, 100, previous="u1")
        await peer.reply_ends("a1", "word " * 60, SPLIT)
        await expect(page.locator(".waterfall")).to_be_visible()
        width = await page.evaluate(
            "Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth)"
        )
        assert width == phone["width"]
        for target in await page.locator("button:visible, input:visible, summary:visible").all():
            box = await target.bounding_box()
            assert box
            assert box["height"] >= 44
            assert 0 <= box["x"] <= box["x"] + box["width"] <= phone["width"]
        light = {name: await page.evaluate(_LUMINANCE, name) for name in ("ground", "text", "muted")}
        assert (light["text"] < light["ground"]) == (darker == "text")
        for name in ("text", "muted"):
            low, high = sorted((light[name], light["ground"]))
            assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


_LUMINANCE = """(name) => {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}"""

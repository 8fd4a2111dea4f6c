"""The page in front of the real server: what a browser's microphone hears, and what it says and sounds."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import browsing
import numpy as np
import soundfile
from numpy.typing import NDArray
from recordings import Recording

if TYPE_CHECKING:
    from playwright.async_api import Page, WebSocket

PATIENCE_S = 60
RATE = 24000
MICROPHONE_RATE = 16000
_LEAD_S = 2.0
"""Silence before the clip, in which the page connects: the microphone plays from when it is opened."""

# Every text that the user's last row ever shows, and all samples that go to a loudspeaker.
_WATCH = """(() => {
  window.shown = [];
  window.sounded = [];
  new MutationObserver(() => {
    const words = [...document.querySelectorAll("#conversation > .user .words")].at(-1);
    if (words) shown.push(words.textContent);
  }).observe(document, { subtree: true, childList: true, characterData: true });
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to === this.context.destination) record(this);
    return connect.call(this, to, ...rest);
  };
  async function record(node) {
    const blocks = [];
    sounded.push(blocks);
    const made = node.context.createMediaStreamDestination();
    connect.call(node, made);
    const [track] = made.stream.getAudioTracks();
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 65535 }).readable.getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const block = new Float32Array(read.value.numberOfFrames);
      read.value.copyTo(block, { planeIndex: 0, format: "f32-planar" });
      blocks.push({ rate: read.value.sampleRate, samples: block });
      read.value.close();
    }
  }
})()"""
_SOUNDED = """() => sounded.map((blocks) => ({
  rates: [...new Set(blocks.map(({ rate }) => rate))],
  samples: blocks.flatMap(({ samples }) => [...samples].map((sample) => Math.round(sample * 32768))),
}))"""


@dataclass
class Live:
    """A visit to the page, with every event that it got and sent."""

    visited: browsing.Visit
    received: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def page(self) -> "Page":
        return self.visited.page

    def watch(self, socket: "WebSocket") -> None:
        socket.on("framereceived", self._receive)
        socket.on("framesent", lambda text: self.sent.append(json.loads(text)))

    def _receive(self, text: str) -> None:
        self.received.append(json.loads(text))
        self._more.set()

    async def response(self, status: str) -> dict[str, Any]:
        """The first response that ends with `status`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.got("response.done"):
                    if event["response"]["status"] == status:
                        return event["response"]
                self._more.clear()
                await self._more.wait()

    def got(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.received if event["type"] == kind]

    def audio(self, response: str) -> NDArray[np.float32]:
        """The audio of a response, as it came."""
        deltas = [e["delta"] for e in self.got("response.output_audio.delta") if e["response_id"] == response]
        data = b"".join(base64.b64decode(delta) for delta in deltas)
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768

    async def shown(self) -> list[str]:
        """Every text that the user's last row had."""
        texts: list[str] = await self.page.evaluate("shown")
        return texts

    async def sounded(self) -> NDArray[np.float32]:
        """What the loudspeaker played at 24 kHz, from the first sample that is not silent to the last."""
        (loud,) = [one for one in await self.page.evaluate(_SOUNDED) if np.any(one["samples"])]
        assert loud["rates"] == [RATE]
        return np.trim_zeros(np.array(loud["samples"], np.float32) / 32768)


@asynccontextmanager
async def live(server: str, clip: Recording, folder: Path, **context: object) -> AsyncIterator[Live]:
    """The page of the server, in a browser whose microphone plays `clip` once. At its end the page must have
    kept to its server, and complained of nothing."""
    microphone = folder / "microphone.wav"
    lead = np.zeros(round(_LEAD_S * MICROPHONE_RATE), np.float32)
    soundfile.write(microphone, np.concatenate([lead, clip.audio]), MICROPHONE_RATE)
    async with (
        browsing.chromium(microphone) as browser,
        browsing.visit(browser, server, script=_WATCH, **context) as visited,
    ):
        watched = Live(visited)
        visited.page.on("websocket", watched.watch)
        yield watched
        assert visited.foreign == []
        assert visited.complaints == []

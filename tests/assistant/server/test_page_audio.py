"""The page's audio without a device: playback rendered offline, and a resampled sine."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import browsing
import numpy as np
import pytest
import pytest_asyncio

if unsupported := browsing.unsupported_reason():
    pytest.skip(unsupported, allow_module_level=True)

from playwright.async_api import Page
from scripted_realtime import RATE, scripted_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

RENDER = """async ({ chunks, stopAt, seconds }) => {
  const context = new OfflineAudioContext(1, 24000 * seconds, 24000);
  await context.audioWorklet.addModule("/page/playback-worklet.js");
  await context.audioWorklet.addModule("/page/echo-worklet.js");
  const node = new AudioWorkletNode(context, "playback", { outputChannelCount: [1] });
  const echo = new AudioWorkletNode(context, "echo");
  const handled = () => new Promise((resolve) => {
    echo.port.onmessage = resolve;
    echo.port.postMessage(null);
  });
  node.connect(context.destination);
  const heard = [];
  node.port.onmessage = ({ data }) => heard.push(data);
  for (const { item, samples } of chunks) {
    node.port.postMessage({ type: "push", item, samples: Float32Array.from(samples) });
  }
  if (!stopAt) node.port.postMessage({ type: "finish" });
  else context.suspend(stopAt).then(async () => {
    node.port.postMessage({ type: "stop" });
    await handled();
    context.resume();
  });
  await handled();
  const rendered = await context.startRendering();
  await handled();
  return { samples: [...rendered.getChannelData(0)], heard };
}"""
ECHO = b"""registerProcessor("echo", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.port.postMessage(data);
  }
  process() { return true; }
});"""
"""Answers a message in the thread of the audio, so after all that was sent there before."""
RESAMPLE = """async ({ from, to, samples, block }) => {
  const { Resampler } = await import("/page/resample.js");
  const resampler = new Resampler(from, to);
  const made = [];
  for (let at = 0; at < samples.length; at += block) {
    made.push(...resampler.push(Float32Array.from(samples.slice(at, at + block))));
  }
  return made;
}"""
ROUND_TRIP = """async (samples) => {
  const { decode, encode } = await import("/page/pcm.js");
  const base64 = encode(Float32Array.from(samples));
  return { base64, samples: [...decode(base64)] };
}"""
FADE = RATE * 5 // 1000


@dataclass(frozen=True)
class Rendered:
    """What playback gave, and what it told."""

    samples: np.ndarray
    messages: list[dict[str, object]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    nothing = Path(tmp_path_factory.mktemp("microphone")) / "none.wav"
    async with (
        scripted_server() as server,
        browsing.chromium(nothing) as browser,
        browsing.visit(browser, server.origin) as visited,
    ):
        server.scripts["echo-worklet.js"] = ECHO
        yield visited.page


async def render(page: Page, chunks: list[dict[str, object]], seconds: int, stop_at: float = 0) -> Rendered:
    arguments = {"chunks": chunks, "stopAt": stop_at, "seconds": seconds}
    async with asyncio.timeout(30):
        made = await page.evaluate(RENDER, arguments)
    return Rendered(np.array(made["samples"]), made["heard"])


def wave(samples: int) -> np.ndarray:
    return np.sin(2 * np.pi * 440 * np.arange(samples) / RATE) * 0.5


async def test_chunks_join_without_a_gap(page: Page):
    whole = wave(9000)
    chunks = [{"item": "a", "samples": part.tolist()} for part in np.split(whole, [1, 700, 4321])]
    rendered = await render(page, chunks, 1)
    begin = np.flatnonzero(rendered.samples)[0] - 1  # the sine begins with a zero
    np.testing.assert_allclose(rendered.samples[begin:][FADE:9000], whole[FADE:], atol=1e-6)
    assert rendered.messages == [{"type": "sounding", "item": "a"}, {"type": "drained"}]


async def test_the_end_dies_away_without_a_step(page: Page):
    rendered = await render(page, [{"item": "a", "samples": [0.5] * 4800}], 1)
    assert np.abs(np.diff(rendered.samples)).max() < 0.02
    last = np.flatnonzero(rendered.samples >= 0.5)[-1]
    assert np.abs(rendered.samples[last + 2 * FADE :]).max() < 0.001


async def test_a_stop_fades_and_counts_what_was_played(page: Page):
    chunks = [{"item": item, "samples": [0.5] * 12000} for item in ("a", "b", "c")]
    rendered = await render(page, chunks, 2, stop_at=0.9)  # 0.4 s into the second
    heard = np.flatnonzero(rendered.samples)
    *_, stopped = rendered.messages
    assert (stopped["type"], stopped["item"]) == ("stopped", "b")
    assert stopped["samples"] == heard[-1] + 2 - heard[0] - 12000  # the last sample of a fade is silent
    assert abs(heard[-1] - 0.9 * RATE) < 2 * FADE
    assert np.abs(np.diff(rendered.samples)).max() < 0.01


async def test_a_stop_in_silence_names_no_reply(page: Page):
    rendered = await render(page, [], 1, stop_at=0.1)
    assert rendered.messages == [{"type": "stopped", "item": None, "samples": 0}]
    assert not rendered.samples.any()


@pytest.mark.parametrize(
    ("source", "target"), [(48000, 24000), (44100, 24000), (24000, 44100), (24000, 24000)]
)
async def test_the_resampler_keeps_a_sine_and_drops_what_would_alias(page: Page, source: int, target: int):
    async def resampled(frequency: float) -> np.ndarray:
        samples = np.sin(2 * np.pi * frequency * np.arange(source // 4) / source)
        arguments = {"from": source, "to": target, "samples": samples.tolist(), "block": 441}
        return np.array(await page.evaluate(RESAMPLE, arguments))

    made = await resampled(1000)
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(made)) / target)
    assert target // 4 - len(made) < 60  # its latency
    np.testing.assert_allclose(made[200:], expected[200:], atol=0.002)
    if source > target:
        assert np.abs((await resampled(14_000))[200:]).max() < 0.002


async def test_samples_are_16_bit_and_clipped(page: Page):
    made = await page.evaluate(ROUND_TRIP, [-2, -1, -1 / 32767, 0, 0.5, 1, 2])
    values = np.frombuffer(base64.b64decode(made["base64"]), "<i2")
    assert values.tolist() == [-32767, -32767, -1, 0, 16384, 32767, 32767]
    np.testing.assert_array_equal(np.array(made["samples"]) * 32768, values)

/** The loudspeaker: replies in, and how much of them was played. */

import { RATE } from "./pcm.js";
import { Resampler } from "./resample.js";

/** Dispatches `sounding` when a reply is first heard, and `drained` when all that came has been played. */
export class Playback extends EventTarget {
  #context;
  #node;
  #resampler;
  /** @type {((stopped: {item: string | null, samples: number}) => void)[]} */
  #stopping = [];

  /** @param {AudioContext} context @param {AudioWorkletNode} node */
  constructor(context, node) {
    super();
    this.#context = context;
    this.#node = node;
    this.#resampler = new Resampler(RATE, context.sampleRate);
    node.port.onmessage = ({ data }) => {
      if (data.type === "stopped") this.#stopping.shift()?.(data);
      else this.dispatchEvent(new Event(data.type));
    };
    node.connect(context.destination);
  }

  /** @param {string} device the id of a loudspeaker; the default one if empty or no longer there */
  static async open(device) {
    const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    context.resume().catch(() => {}); // At once: browsers want it close to a press of a button or key.
    await context.audioWorklet.addModule("/page/playback-worklet.js");
    const playback = new Playback(context, new AudioWorkletNode(context, "playback", { outputChannelCount: [1] }));
    await playback.useDevice(device);
    return playback;
  }

  /** @param {string} device */
  async useDevice(device) {
    if (canChooseLoudspeaker()) await /** @type {any} */ (this.#context).setSinkId(device).catch(() => {});
  }

  /** Add 24 kHz samples of a reply. @param {string} item @param {Float32Array<ArrayBuffer>} samples */
  push(item, samples) {
    this.#node.port.postMessage({ type: "push", item, samples: this.#resampler.push(samples) });
  }

  /** Nothing more comes, so running out is the end and not a gap. */
  finish() {
    this.#node.port.postMessage({ type: "finish" });
  }

  /**
   * Fall silent within 5 ms.
   * @returns {Promise<{item: string, ms: number} | null>} the reply that sounded and how much of it; null in silence
   */
  async stop() {
    this.#node.port.postMessage({ type: "stop" });
    const { item, samples } = await new Promise((resolve) => this.#stopping.push(resolve));
    return item === null ? null : { item, ms: Math.floor((samples * 1000) / this.#context.sampleRate) };
  }

  close() {
    this.#context.close();
  }
}

export function canChooseLoudspeaker() {
  return "AudioContext" in window && "setSinkId" in AudioContext.prototype;
}

/** Plays replies sample by sample, and counts what was played of each. */

const FADE = Math.round(sampleRate * 0.005);
/** Samples to gather after the audio ran out in mid-reply, so that it does not run out again at once. */
const REFILL = Math.round(sampleRate * 0.1);
/** Five minutes; servers send as fast as they can make speech, or keep a few seconds ahead. */
const MOST = sampleRate * 300;

/** @typedef {{item: string | null, samples: Float32Array}} Chunk */

class PlaybackProcessor extends AudioWorkletProcessor {
  /** @type {Chunk[]} */
  #queue = [];
  #offset = 0;
  #waiting = 0;
  /** @type {string | null} the reply that sounds */
  #item = null;
  #played = 0;
  #needed = 1;
  #last = 0;
  #fadedIn = 0;
  /** @type {"open" | "finished" | "drained"} */
  #end = "drained";

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.type === "push") this.#push(data);
      if (data.type === "finish") this.#end = "finished";
      if (data.type === "stop") this.#stop();
    };
  }

  /** @param {Float32Array[][]} _inputs @param {Float32Array[][]} outputs */
  process(_inputs, [[output]]) {
    const enough = this.#waiting >= this.#needed || this.#end !== "open";
    for (let at = 0; at < output.length; at++) output[at] = enough && this.#waiting > 0 ? this.#next() : this.#fall();
    if (enough && this.#waiting === 0) this.#needed = REFILL;
    else if (enough) this.#needed = 1;
    if (this.#end === "finished" && this.#waiting === 0) this.#drain();
    return true;
  }

  #next() {
    const { item, samples } = this.#queue[0];
    if (item !== this.#item) this.#begin(item);
    this.#fadedIn = Math.min(FADE, this.#fadedIn + 1);
    this.#last = (samples[this.#offset++] * this.#fadedIn) / FADE;
    this.#waiting--;
    this.#played++;
    if (this.#offset === samples.length) {
      this.#queue.shift();
      this.#offset = 0;
    }
    return this.#last;
  }

  /** Where audio runs out, its last sample dies away: a step to zero is a click. */
  #fall() {
    this.#fadedIn = 0;
    this.#last *= 1 - 4 / FADE;
    return this.#last;
  }

  /** @param {string | null} item */
  #begin(item) {
    this.#item = item;
    this.#played = 0;
    if (item !== null) this.port.postMessage({ type: "sounding", item });
  }

  /** @param {Chunk} chunk */
  #push({ item, samples }) {
    if (samples.length === 0 || this.#waiting > MOST) return;
    if (this.#end !== "open") this.#needed = 1;
    this.#end = "open";
    this.#queue.push({ item, samples });
    this.#waiting += samples.length;
  }

  /** Fade out over the next 5 ms, drop the rest, and tell how much of the reply will have been played. */
  #stop() {
    const item = this.#item ?? this.#queue[0]?.item ?? null;
    const played = this.#item === null ? 0 : this.#played;
    const left = this.#item === null && this.#queue[0]?.item !== null ? [] : this.#upcoming();
    const faded = Float32Array.from(left, (sample, at) => sample * (1 - (at + 1) / left.length));
    this.port.postMessage({ type: "stopped", item, samples: played + faded.length });
    this.#queue = faded.length ? [{ item: null, samples: faded }] : [];
    this.#offset = 0;
    this.#waiting = faded.length;
    this.#item = null;
    this.#end = "drained";
  }

  /** The next 5 ms of what sounds. @returns {number[]} */
  #upcoming() {
    const samples = [];
    let from = this.#offset;
    for (const chunk of this.#queue) {
      if (chunk.item !== this.#item || samples.length === FADE) break;
      samples.push(...chunk.samples.subarray(from, from + FADE - samples.length));
      from = 0;
    }
    return samples;
  }

  #drain() {
    this.#item = null;
    this.#end = "drained";
    this.port.postMessage({ type: "drained" });
  }
}

registerProcessor("playback", PlaybackProcessor);

// What the scenarios need that is no client: queues, a microphone, a measure of what can be heard.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const SCENARIO_MS = 45_000;
const CHUNK_MS = 40;
const QUIET = 500; // of 32767; below it a sample is not heard

// What comes, in its order; `get` waits for the next.
export class Queue {
  #items = [];
  #waiters = [];
  put(item) {
    const waiter = this.#waiters.shift();
    if (waiter) waiter(item);
    else this.#items.push(item);
  }
  get() {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

// Sends audio in real time: what is said, else silence.
export class Microphone {
  #said = Buffer.alloc(0);
  #timer;
  constructor(send, { pcmu = false } = {}) {
    const size = ((pcmu ? 8000 : 48000) * CHUNK_MS) / 1000;
    const began = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      for (; sent * CHUNK_MS <= performance.now() - began; sent += 1) {
        const chunk = Buffer.alloc(size, pcmu ? 0xff : 0);
        this.#said.copy(chunk, 0, 0, size);
        this.#said = this.#said.subarray(size);
        send(toArrayBuffer(chunk));
      }
    }, CHUNK_MS / 2);
  }
  say(audio) {
    this.#said = Buffer.concat([this.#said, audio]);
  }
  close() {
    clearInterval(this.#timer);
  }
}

export function toArrayBuffer(bytes) {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

export function clip(folder, name) {
  return readFileSync(join(folder, name));
}

// Seconds of the audio that are loud enough to be heard.
export function heardSeconds(audio, pcmu) {
  let loud = 0;
  if (pcmu) {
    for (const code of audio) loud += Math.abs(expand(code)) > QUIET ? 1 : 0;
    return loud / 8000;
  }
  for (let at = 0; at + 1 < audio.length; at += 2) loud += Math.abs(audio.readInt16LE(at)) > QUIET ? 1 : 0;
  return loud / 24000;
}

// One byte of G.711 mu-law as a 16-bit sample.
function expand(byte) {
  const code = ~byte & 0xff;
  const magnitude = ((((code & 0x0f) << 3) + 132) << ((code & 0x70) >> 4)) - 132;
  return code & 0x80 ? -magnitude : magnitude;
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

export function expectWords(text, words) {
  check(text.toLowerCase().includes(words), `${JSON.stringify(words)} is not in ${JSON.stringify(text)}`);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

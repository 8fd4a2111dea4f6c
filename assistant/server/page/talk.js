/** One conversation with the server: connection, loudspeaker and microphone, opened and closed together. */

import { Capture, openMicrophone } from "./capture.js";
import { RealtimeClient } from "./client.js";
import { loudness } from "./pcm.js";
import { Playback } from "./playback.js";
import { ADVICE, Problem, ending, microphoneProblem, refusal } from "./problems.js";
import { follow, interrupt } from "./turns.js";

/** The code of a connection that was not opened, or broke off. */
const NEVER_OPENED = 1006;

/** Thrown where a conversation was closed while it was being opened. */
export class Closed extends Error {}

/** @typedef {import("./turns.js").Parts} Parts */
/**
 * @typedef {object} Page
 * @property {import("./conversation.js").Conversation} view
 * @property {import("./state.js").Status} status
 * @property {(message: string) => void} warn
 * @property {(level: number) => void} level gets the microphone's level, 0 to 1
 * @property {(problem: Problem) => void} failed is called once if the conversation ends by itself
 */

export class Talk {
  #page;
  /** @type {{close(): void}[]} */
  #opened = [];
  #closed = false;
  /** @type {Parts | null} */
  #parts = null;
  /** @type {Capture | null} */
  #capture = null;

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
  }

  get connected() {
    return this.#parts !== null;
  }

  get hasMicrophone() {
    return this.#capture !== null;
  }

  /**
   * Connect, without a microphone.
   * @param {string} token @param {string} loudspeaker
   * @throws {Problem} where that fails
   */
  async connect(token, loudspeaker) {
    const playback = isSecureContext ? this.#keep(await Playback.open(loudspeaker)) : null;
    const client = this.#keep(newClient(token, playback !== null));
    const { view, status } = this.#page;
    await this.#ready(client, token);
    view.begin();
    this.#parts = { client, playback, view, status };
    follow(this.#parts, this.#page.warn);
    client.on("closed", (closed) => this.#fail(ending(closed)));
  }

  /** Open the microphone. @param {string} device @returns {Promise<MediaStream>} @throws {Problem} where that fails */
  async openMicrophone(device) {
    const stream = await openMicrophone(device).catch((error) => {
      throw microphoneProblem(error);
    });
    this.#keep({ close: () => stream.getTracks().forEach((track) => track.stop()) });
    return stream;
  }

  /** Send what a microphone hears, instead of what another one does. @param {MediaStream} stream */
  async listen(stream) {
    const hear = (/** @type {Float32Array} */ samples) => {
      if (this.#closed) return; // a block that was on its way
      this.#page.level(loudness(samples));
      this.#parts?.client.append(samples);
    };
    const gone = () => this.#fail(new Problem(ADVICE.unplugged));
    const capture = this.#keep(await Capture.open(stream, hear, gone));
    this.#capture?.close();
    this.#capture = capture;
  }

  /** @param {boolean} muted */
  mute(muted) {
    if (this.#capture) this.#capture.muted = muted;
  }

  /** @param {string} device */
  useLoudspeaker(device) {
    this.#parts?.playback?.useDevice(device);
  }

  /** Send typed text; a reply that sounds gives way. @param {string} text */
  async say(text) {
    await this.hush();
    this.#parts?.client.say(text);
  }

  /** Stop the reply. */
  async hush() {
    if (!this.#parts) return;
    this.#parts.client.cancel();
    await interrupt(this.#parts);
    this.#page.status.move("drained");
  }

  close() {
    this.#closed = true;
    this.#opened.splice(0).forEach((part) => part.close());
  }

  /** @param {Problem} problem */
  #fail(problem) {
    if (this.#closed) return;
    this.close();
    this.#page.failed(problem);
  }

  /** @template {{close(): void}} Part @param {Part} part @returns {Part} */
  #keep(part) {
    if (this.#closed) {
      part.close();
      throw new Closed();
    }
    this.#opened.push(part);
    return part;
  }

  /** @param {RealtimeClient} client @param {string} token */
  async #ready(client, token) {
    const ended = await new Promise((resolve) => {
      client.on("session.updated", () => resolve(null));
      client.on("closed", resolve);
    });
    if (this.#closed) throw new Closed();
    if (ended) throw ended.code === NEVER_OPENED ? await refusal(token) : ending(ended);
  }
}

/** @param {string} token @param {boolean} speaks */
function newClient(token, speaks) {
  const url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/v1/realtime`;
  try {
    return new RealtimeClient(url, token, speaks);
  } catch {
    throw new Problem(ADVICE.unsendable);
  }
}

/** The client's side of the Realtime protocol: what is sent, and which reply is being made. It knows no page. */

import { decode, encode, RATE } from "./pcm.js";

/** Bytes that may wait in the socket; audio that finds more of them there is dropped. */
const MOST_BUFFERED = 256 * 1024;

/** The event_id of what may come too late, such as the truncation of a reply that the server has just deleted. */
export const UNIMPORTANT = "unimportant";

/** @typedef {{type: string, [key: string]: any}} RealtimeEvent */

/**
 * A connection. Every event of the server is dispatched under its type, with the event as `detail`; and `closed` when
 * the connection has ended, whichever side ended it.
 */
export class RealtimeClient extends EventTarget {
  #socket;
  #speaks;
  /** @type {string | null} the id of the response in progress */
  #response = null;
  #silenced = new Set();
  #askLater = false;

  /**
   * @param {string} url
   * @param {string} token sent as a subprotocol, the one way that browsers have; none if empty
   * @param {boolean} speaks whether replies are to be audio, not text
   * @throws {SyntaxError} for a token with characters that no subprotocol may have
   */
  constructor(url, token, speaks) {
    super();
    this.#speaks = speaks;
    this.#socket = new WebSocket(url, ["realtime", ...(token ? [`openai-insecure-api-key.${token}`] : [])]);
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => this.#dispatch({ type: "closed", code, reason });
  }

  /** Handle events of one type. @param {string} type @param {(event: RealtimeEvent) => void} handle */
  on(type, handle) {
    this.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
  }

  /** Send 24 kHz samples. @param {Float32Array} samples */
  append(samples) {
    if (this.#socket.bufferedAmount < MOST_BUFFERED) {
      this.#send({ type: "input_audio_buffer.append", audio: encode(samples) });
    }
  }

  /** Send typed text and ask for a reply, once the reply in progress has ended. @param {string} text */
  say(text) {
    const content = [{ type: "input_text", text }];
    this.#send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    this.#askLater = this.#response !== null;
    if (!this.#askLater) this.#send({ type: "response.create" });
  }

  /** Ignore further audio of the response in progress; the server ends it by itself when the user interrupts. */
  silence() {
    if (this.#response) this.#silenced.add(this.#response);
  }

  /** End the response in progress. */
  cancel() {
    this.silence();
    if (this.#response) this.#send({ type: "response.cancel", event_id: UNIMPORTANT });
  }

  /** Tell how much of a reply was heard. @param {string} item @param {number} ms */
  truncate(item, ms) {
    const place = { item_id: item, content_index: 0, audio_end_ms: ms };
    this.#send({ type: "conversation.item.truncate", event_id: UNIMPORTANT, ...place });
  }

  close() {
    this.#socket.close(1000);
  }

  /** @param {RealtimeEvent} event */
  #send(event) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(event));
  }

  /** @param {RealtimeEvent} event */
  #receive(event) {
    if (event.type === "session.created") this.#send({ type: "session.update", session: this.#settings() });
    if (event.type === "response.created") this.#response = event.response.id;
    if (event.type === "response.done" && event.response.id === this.#response) this.#ended();
    // What was kept of a truncated reply is in no event that comes unasked.
    if (event.type === "conversation.item.truncated") {
      this.#send({ type: "conversation.item.retrieve", event_id: UNIMPORTANT, item_id: event.item_id });
    }
    if (event.type === "response.output_audio.delta") {
      if (this.#silenced.has(event.response_id)) return;
      event.samples = decode(event.delta);
    }
    this.#dispatch(event);
  }

  #ended() {
    this.#silenced.delete(this.#response);
    this.#response = null;
    if (this.#askLater) this.#send({ type: "response.create" });
    this.#askLater = false;
  }

  /** @param {RealtimeEvent} event */
  #dispatch(event) {
    this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
  }

  #settings() {
    const format = { type: "audio/pcm", rate: RATE };
    const input = { format, turn_detection: { type: "semantic_vad" }, transcription: { model: "assistant" } };
    return {
      type: "realtime",
      output_modalities: [this.#speaks ? "audio" : "text"],
      include: ["assistant.partials"],
      audio: { input, output: { format } },
    };
  }
}

/** What the conversation is doing, as a table: state, event, next state. What is not in it changes nothing. */

/** @typedef {"off" | "connecting" | "listening" | "hearing" | "thinking" | "speaking"} State */
/** @typedef {"start" | "ready" | "speech" | "pause" | "awaited" | "sounding" | "drained" | "nothing" | "end"} Change */

/** @type {Record<State, {[change in Change]?: State}>} */
const TABLE = {
  off: { start: "connecting" },
  connecting: { ready: "listening", end: "off" },
  listening: { speech: "hearing", awaited: "thinking", sounding: "speaking", end: "off" },
  hearing: { pause: "thinking", end: "off" },
  thinking: { speech: "hearing", sounding: "speaking", drained: "listening", nothing: "listening", end: "off" },
  speaking: { speech: "hearing", drained: "listening", end: "off" },
};

/** @type {Record<State, string>} */
export const LABELS = {
  off: "Press Start and speak",
  connecting: "Connecting…",
  listening: "Listening",
  hearing: "You are speaking",
  thinking: "Thinking…",
  speaking: "Speaking",
};

/** The state; dispatches `change` when it has become another one. */
export class Status extends EventTarget {
  /** @type {State} */
  value = "off";

  /** @param {Change} change */
  move(change) {
    const next = TABLE[this.value][change];
    if (!next) return;
    this.value = next;
    this.dispatchEvent(new Event("change"));
  }
}

/** What can keep a conversation from starting or going on, and what the user can do about it. */

/** @typedef {{text: string, again?: string, token?: boolean}} Advice the label of a button, and whether to ask for a token */

/** A problem with its advice. */
export class Problem extends Error {
  /** @param {Advice} advice */
  constructor(advice) {
    super(advice.text);
    this.advice = advice;
  }
}

const PORT = location.port || (location.protocol === "https:" ? "443" : "80");

/** @type {Record<string, Advice>} */
export const ADVICE = {
  insecure: {
    text:
      "Browsers give the microphone only to pages from this machine or over HTTPS, and this page came by plain HTTP " +
      "from another host. Start the server with --tls CERT KEY, or reach it through an SSH tunnel " +
      `(ssh -L ${PORT}:localhost:${PORT} ${location.hostname}) and open http://localhost:${PORT}. You can still type.`,
  },
  denied: {
    text: "The microphone is blocked for this page. Allow it in the browser's settings for this site. You can still type.",
    again: "Try again",
  },
  absent: { text: "No microphone was found. Connect one and try again. You can still type.", again: "Try again" },
  taken: { text: "The microphone cannot be opened. Another program may be using it.", again: "Try again" },
  unplugged: { text: "The microphone was disconnected.", again: "Start again" },
  down: { text: "The server does not answer. It may have stopped.", again: "Try again" },
  refused: {
    text: "The server refused the connection. Enter its token; if that is right, the server does not allow this page's address.",
    token: true,
  },
  unsendable: { text: "This token has characters that a browser cannot send.", token: true },
  lost: { text: "The connection was lost.", again: "Reconnect" },
  leaving: { text: "The server is shutting down.", again: "Reconnect" },
};

/** The advice for a microphone that could not be opened. @param {unknown} error */
export function microphoneProblem(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return new Problem(ADVICE.denied);
  return new Problem(name === "NotFoundError" ? ADVICE.absent : ADVICE.taken);
}

/** Why a WebSocket did not open; browsers do not say, so the server is asked. @returns {Promise<Problem>} */
export async function refusal() {
  const ready = await fetch("/readyz", { cache: "no-store" }).catch(() => null);
  if (!ready) return new Problem(ADVICE.down);
  return new Problem(ready.ok ? ADVICE.refused : busy(ready.headers.get("Retry-After")));
}

/** @param {string | null} seconds @returns {Advice} */
function busy(seconds) {
  const wait = seconds ? `in ${seconds} seconds` : "in a moment";
  return { text: `The server is busy with other conversations. Try again ${wait}.`, again: "Try again" };
}

/** Why an open connection ended. @param {import("./client.js").RealtimeEvent} closed @returns {Problem} */
export function ending({ code, reason }) {
  if (code === 1001) return new Problem(ADVICE.leaving);
  if (!reason) return new Problem(ADVICE.lost);
  return new Problem({ text: `The server ended the conversation: ${reason}`, again: "Reconnect" });
}

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
  locked: { text: "This server needs a token (ASSISTANT_TOKEN, or --token, where it was started).", token: true },
  wrong: { text: "This is not the server's token.", token: true },
  elsewhere: {
    text:
      `The server does not take pages at ${location.origin}. List this address in [server] origins, or open the page ` +
      "at localhost on the server's machine.",
    again: "Try again",
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

/**
 * Why a WebSocket did not open; browsers do not say, so the server is asked.
 * @param {string} token @returns {Promise<Problem>}
 */
export async function refusal(token) {
  const allowed = await ask("/v1/models", token);
  if (allowed?.status === 401) return new Problem(token ? ADVICE.wrong : ADVICE.locked);
  const ready = await ask("/readyz", "");
  if (!ready) return new Problem(ADVICE.down);
  if (ready.ok) return new Problem(ADVICE.elsewhere);
  const seconds = ready.headers.get("Retry-After");
  return new Problem(seconds ? busy(seconds) : ADVICE.leaving);
}

/** @param {string} path @param {string} token @returns {Promise<Response | null>} null if there is no answer */
function ask(path, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
  return fetch(path, { cache: "no-store", headers }).catch(() => null);
}

/** @param {string} seconds @returns {Advice} */
function busy(seconds) {
  return { text: `The server is busy with other conversations. Try again in ${seconds} seconds.`, again: "Try again" };
}

/** Why an open connection ended. @param {import("./client.js").RealtimeEvent} closed @returns {Problem} */
export function ending({ code, reason }) {
  if (code === 1001) return new Problem(ADVICE.leaving);
  if (!reason) return new Problem(ADVICE.lost);
  return new Problem({ text: `The server ended the conversation: ${reason}`, again: "Reconnect" });
}

/** What each event of the server does to the page: the conversation, the loudspeaker and the state. */

import { UNIMPORTANT } from "./client.js";
import { textOf } from "./conversation.js";
import { readSplit, waterfall } from "./waterfall.js";

/** @typedef {import("./client.js").RealtimeClient} RealtimeClient */
/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./playback.js").Playback} Playback */
/** @typedef {import("./state.js").Status} Status */
/** @typedef {{client: RealtimeClient, playback: Playback | null, view: Conversation, status: Status}} Parts */

/** @param {Parts} parts @param {(message: string) => void} warn */
export function follow(parts, warn) {
  followUser(parts);
  followItems(parts);
  followReply(parts, warn);
  parts.client.on("error", ({ error }) => {
    if (error.event_id !== UNIMPORTANT) warn(error.message);
  });
}

/** Fall silent, and tell the server how much was heard, if a reply sounds. @param {Parts} parts */
export async function interrupt({ client, playback, view }) {
  client.silence();
  const heard = await playback?.stop();
  if (!heard) return;
  client.truncate(heard.item, heard.ms);
  view.interrupt(heard.item);
}

/** @param {Parts} parts */
function followUser(parts) {
  const { client, view, status } = parts;
  const transcription = "conversation.item.input_audio_transcription";
  client.on("input_audio_buffer.speech_started", ({ item_id }) => {
    interrupt(parts);
    status.move("speech");
    view.open(item_id, "user");
  });
  client.on("input_audio_buffer.speech_stopped", () => status.move("pause"));
  client.on(`${transcription}.partial`, ({ item_id, stable, unstable }) => view.partial(item_id, stable, unstable));
  client.on(`${transcription}.delta`, ({ item_id, delta }) => view.append(item_id, "user", delta));
  client.on(`${transcription}.completed`, ({ item_id, transcript }) => {
    if (transcript.trim()) view.settle(item_id, transcript);
    else forget(parts, item_id);
  });
  client.on(`${transcription}.failed`, ({ item_id }) => forget(parts, item_id));
}

/** No reply comes to this: the item was noise, or a later one contains it. @param {Parts} parts @param {string} id */
function forget({ view, status }, id) {
  view.remove(id);
  status.move("nothing");
}

/** @param {Parts} parts */
function followItems(parts) {
  const { client, view } = parts;
  client.on("conversation.item.added", ({ item, previous_item_id }) => view.add(item, previous_item_id));
  client.on("conversation.item.retrieved", ({ item }) => view.settle(item.id, textOf(item)));
  client.on("conversation.item.deleted", ({ item_id }) => forget(parts, item_id));
}

/** @param {Parts} parts @param {(message: string) => void} warn */
function followReply({ client, playback, view, status }, warn) {
  client.on("response.created", () => status.move("awaited"));
  for (const type of ["output_audio_transcript", "output_text"]) {
    client.on(`response.${type}.delta`, ({ item_id, delta }) => view.append(item_id, "assistant", delta));
  }
  client.on("response.output_audio.delta", ({ item_id, samples }) => playback?.push(item_id, samples));
  client.on("response.output_audio.done", () => playback?.finish());
  client.on("response.done", ({ response }) => {
    if (playback) playback.finish();
    else status.move("drained");
    if (response.status === "failed") warn(response.status_details?.error?.message ?? "The reply failed.");
    finish(view, response);
  });
  playback?.addEventListener("sounding", () => status.move("sounding"));
  playback?.addEventListener("drained", () => status.move("drained"));
}

/**
 * A cancelled reply comes with words that were not heard; the row may show by now what was.
 * @param {Conversation} view @param {any} response
 */
function finish(view, { output = [], status, metadata }) {
  const messages = output.filter((/** @type {any} */ item) => item.type === "message");
  for (const item of messages) {
    if (status === "cancelled") view.interrupt(item.id);
    else view.settle(item.id, textOf(item));
  }
  const split = readSplit(metadata ?? {});
  if (split && messages.length) view.explain(messages[0].id, waterfall(split));
}

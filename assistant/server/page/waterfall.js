/** The wait for a reply, cut into parts: a stacked bar, and a table that says the same. */

/** The parts in their order in time. They add up to the time to first audio. */
export const PARTS = [
  ["endpoint.wait", "Deciding that you had finished"],
  ["asr.final", "Final transcript"],
  ["prompt.assemble", "Making the prompt"],
  ["llm.queue", "Waiting for the language model"],
  ["llm.prefill", "Reading the prompt"],
  ["llm.first_token", "First token"],
  ["llm.first_phrase", "First phrase"],
  ["tts.first_chunk", "First speech"],
  ["playback.start", "Start of playback"],
];

/** @typedef {{name: string, label: string, ms: number}} Part */
/** @typedef {{ttfaMs: number, parts: Part[]}} Split */

/** The split in the metadata of a response; null if there is none. @param {Record<string, string>} metadata */
export function readSplit(metadata) {
  if (!("ttfa_ms" in metadata)) return null;
  const parts = PARTS.map(([name, label]) => ({ name, label, ms: Number(metadata[`${name}_ms`] ?? 0) }));
  return { ttfaMs: Number(metadata.ttfa_ms), parts };
}

/** @param {Split} split @returns {HTMLDetailsElement} */
export function waterfall({ ttfaMs, parts }) {
  const details = document.createElement("details");
  details.className = "waterfall";
  const summary = document.createElement("summary");
  summary.append(`Audio after ${Math.round(ttfaMs)} ms`, bar(parts));
  details.append(summary, table(parts));
  return details;
}

/**
 * The bar begins where the first part does. A turn may be taken to end before its last sound: then the first part is
 * negative, the others begin early, and a mark shows the end of speech.
 * @param {Part[]} parts
 */
function bar(parts) {
  const made = document.createElement("span");
  made.className = "bar";
  made.ariaHidden = "true";
  const shown = parts.filter(({ ms }) => ms > 0);
  made.append(...shown.map(segment));
  const early = parts.reduce((sum, { ms }) => sum - Math.min(0, ms), 0);
  if (early) made.append(endOfSpeech(early / shown.reduce((sum, { ms }) => sum + ms, 0)));
  return made;
}

/** @param {Part} part */
function segment({ name, label, ms }) {
  const made = swatch(name);
  made.title = `${label}: ${number(ms)} ms`;
  made.style.flexGrow = String(ms);
  return made;
}

/** @param {number} share of the bar */
function endOfSpeech(share) {
  const made = document.createElement("b");
  made.className = "end-of-speech";
  made.title = "You stopped speaking here";
  made.style.left = `${Math.min(1, share) * 100}%`;
  return made;
}

/** @param {string} name */
function swatch(name) {
  const made = document.createElement("i");
  made.className = "part";
  made.dataset.part = name;
  return made;
}

/** @param {Part[]} parts */
function table(parts) {
  const made = document.createElement("table");
  made.ariaLabel = "Parts of the wait, in milliseconds";
  const took = parts.filter(({ ms }) => ms !== 0);
  for (const part of took) addRow(made, part);
  const others = parts.filter(({ ms }) => ms === 0);
  if (others.length) addRow(made, { name: others.map(({ name }) => name).join(", "), label: "All else", ms: 0 });
  return made;
}

/** @param {HTMLTableElement} table @param {Part} part */
function addRow(table, { name, label, ms }) {
  const row = table.insertRow();
  const heading = document.createElement("th");
  heading.scope = "row";
  heading.title = name;
  heading.append(swatch(name), label);
  row.append(heading);
  row.insertCell().textContent = `${number(ms)} ms`;
}

/** @param {number} ms */
function number(ms) {
  return (Math.round(ms * 10) / 10).toString().replace("-", "−");
}

/** The page: its buttons, keys and notices around one conversation. */

import { Conversation } from "./conversation.js";
import { DeviceChoice } from "./devices.js";
import { canChooseLoudspeaker } from "./playback.js";
import { ADVICE, Problem } from "./problems.js";
import { LABELS, Status } from "./state.js";
import { Closed, Talk } from "./talk.js";

/** @template {HTMLElement} [E=HTMLElement] @param {string} id @returns {E} */
const byId = (id) => /** @type {E} */ (document.getElementById(id));
const talkButton = /** @type {HTMLButtonElement} */ (byId("talk"));
const muteButton = /** @type {HTMLButtonElement} */ (byId("mute"));
const hushButton = /** @type {HTMLButtonElement} */ (byId("hush"));
const message = /** @type {HTMLInputElement} */ (byId("message"));
const token = /** @type {HTMLInputElement} */ (byId("token"));

const status = new Status();
const view = new Conversation(byId("conversation"), /** @type {HTMLElement} */ (document.querySelector("main")));
const microphone = new DeviceChoice(byId("microphone"), "audioinput", () => talk?.hasMicrophone && listen());
const loudspeaker = new DeviceChoice(byId("loudspeaker"), "audiooutput", (device) => talk?.useLoudspeaker(device));
const page = { view, status, warn: (/** @type {string} */ text) => notify({ text }), level: showLevel, failed };

/** @type {Talk | null} */
let talk = null;
let muted = false;
let again = listen;

/** @param {Talk} talk */
async function connect(talk) {
  if (!talk.connected) await talk.connect(sessionStorage.getItem("token") ?? "", loudspeaker.value);
  status.move("ready");
}

/** Listen to the chosen microphone, and connect first if need be. */
function listen() {
  return attempt(async (talk) => {
    const stream = await talk.openMicrophone(microphone.value);
    await connect(talk);
    await talk.listen(stream);
    talk.mute(muted);
    await Promise.all([microphone.refresh(), loudspeaker.refresh()]);
  });
}

/** @param {string} text */
function say(text) {
  return attempt(async (talk) => {
    await connect(talk);
    await talk.say(text);
  });
}

/** Do something with the conversation, which begins if there is none. @param {(talk: Talk) => Promise<void>} action */
async function attempt(action) {
  notify(null);
  status.move("start");
  again = () => attempt(action);
  const used = (talk ??= new Talk(page));
  try {
    await action(used);
    again = used.hasMicrophone ? listen : () => attempt(connect);
  } catch (error) {
    if (error instanceof Closed) return;
    if (!(error instanceof Problem)) {
      stop();
      throw error;
    }
    if (used.connected) notify(error.advice);
    else failed(error);
  }
  render();
}

function stop() {
  talk?.close();
  talk = null;
  status.move("end");
  showLevel(0);
  render();
}

/** @param {Problem} problem */
function failed(problem) {
  stop();
  notify(problem.advice);
}

/** @param {import("./problems.js").Advice | null} advice nothing hides the notice */
function notify(advice) {
  byId("notice").hidden = !advice;
  /** @type {HTMLElement} */ (byId("notice").querySelector("p")).textContent = advice?.text ?? "";
  byId("token-form").hidden = !advice?.token;
  byId("again").hidden = !advice?.again;
  byId("again").textContent = advice?.again ?? "";
}

/** @param {number} level from 0 to 1 */
function showLevel(level) {
  document.body.style.setProperty("--level", level.toFixed(2));
  byId("level").ariaValueNow = String(Math.round(level * 100));
}

function render() {
  const listening = talk?.hasMicrophone ?? false;
  document.body.dataset.state = status.value;
  document.body.classList.toggle("live", isLive());
  byId("state").textContent = stateText(listening);
  /** @type {HTMLElement} */ (talkButton.querySelector("span")).textContent = isLive() ? "Stop" : "Start";
  talkButton.disabled = !isSecureContext;
  muteButton.disabled = !listening;
  muteButton.ariaPressed = String(muted);
  hushButton.disabled = status.value !== "thinking" && status.value !== "speaking";
}

/** Whether the microphone is open, or about to be. */
function isLive() {
  return status.value === "connecting" || (talk?.hasMicrophone ?? false);
}

/** @param {boolean} listening */
function stateText(listening) {
  if (status.value === "off" && !isSecureContext) return "Type a message";
  if (status.value === "listening" && !listening) return "Ready";
  return status.value === "listening" && muted ? "Your microphone is muted" : LABELS[status.value];
}

function press() {
  if (isLive()) stop();
  else listen();
}

/** A token in the address moves to where the address bar and the history do not show it. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname + location.search);
  notify({ text: "The address brought a token for this server.", token: true });
}

status.addEventListener("change", render);
navigator.mediaDevices?.addEventListener("devicechange", () => Promise.all([microphone.refresh(), loudspeaker.refresh()]));
talkButton.onclick = press;
hushButton.onclick = () => talk?.hush();
muteButton.onclick = () => {
  muted = !muted;
  talk?.mute(muted);
  render();
};
byId("again").onclick = () => again();
byId("token-form").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", token.value);
  again();
};
byId("message-form").onsubmit = (event) => {
  event.preventDefault();
  const text = message.value.trim();
  if (!text || status.value === "connecting") return;
  message.value = "";
  say(text);
};
document.onkeydown = (event) => {
  if (event.key === "Escape" && !hushButton.disabled) talk?.hush();
  const free = event.target === document.body || event.target === document.querySelector("main");
  if (!free || event.repeat || ![" ", "Enter"].includes(event.key) || talkButton.disabled) return;
  event.preventDefault();
  press();
};

byId("loudspeaker-choice").hidden = !canChooseLoudspeaker();
if (!isSecureContext) {
  notify(ADVICE.insecure);
  again = () => attempt(connect);
}
takeToken();
token.value = sessionStorage.getItem("token") ?? "";
microphone.refresh();
loudspeaker.refresh();
render();

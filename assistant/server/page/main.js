/** The page: its buttons, keys and notices around one conversation. */

import { Conversation } from "./conversation.js";
import { DeviceChoice } from "./devices.js";
import { Notice } from "./notice.js";
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

const notice = new Notice(byId("notice"), () => again());
const status = new Status();
const view = new Conversation(byId("conversation"), /** @type {HTMLElement} */ (document.querySelector("main")));
const microphone = new DeviceChoice(byId("microphone"), "audioinput", () => talk?.hasMicrophone && listen());
const loudspeaker = new DeviceChoice(byId("loudspeaker"), "audiooutput", (device) => talk?.useLoudspeaker(device));
const page = { view, status, warn: (/** @type {string} */ text) => notice.show({ text }), level: showLevel, failed };

/** @type {Talk | null} */
let talk = null;
let muted = false;
let again = listen;

/** @param {Talk} talk */
async function connect(talk) {
  if (!talk.connected) await talk.connect(notice.token, loudspeaker.value);
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
  notice.hide();
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
    if (used.connected) notice.show(error.advice);
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
  notice.show(problem.advice);
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

status.addEventListener("change", () => {
  if (status.value === "hearing") notice.hide();
  render();
});
navigator.mediaDevices?.addEventListener("devicechange", () => Promise.all([microphone.refresh(), loudspeaker.refresh()]));
talkButton.onclick = press;
hushButton.onclick = () => talk?.hush();
muteButton.onclick = () => {
  muted = !muted;
  talk?.mute(muted);
  render();
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
  notice.show(ADVICE.insecure);
  again = () => attempt(connect);
}
notice.takeToken();
microphone.refresh();
loudspeaker.refresh();
render();

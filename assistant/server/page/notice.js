/** What the user is told to do: a message, perhaps with a button, perhaps with a field for the server's token. */

/** @typedef {import("./problems.js").Advice} Advice */

export class Notice {
  #box;
  #text;
  #again;
  #form;
  #field;

  /** @param {HTMLElement} box @param {() => void} again what the button does, and a token that was entered */
  constructor(box, again) {
    const find = (/** @type {string} */ selector) => /** @type {any} */ (box.querySelector(selector));
    this.#box = box;
    this.#text = find("p");
    this.#again = find("#again");
    this.#form = find("form");
    this.#field = find("input");
    this.#field.value = this.token;
    this.#again.onclick = again;
    this.#form.onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      sessionStorage.setItem("token", this.#field.value);
      again();
    };
  }

  /** The server's token, kept until the tab is closed; empty if there is none. */
  get token() {
    return sessionStorage.getItem("token") ?? "";
  }

  /** A token in the address moves to where neither the address bar nor the history shows it. */
  takeToken() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!given) return;
    sessionStorage.setItem("token", given);
    this.#field.value = given;
    history.replaceState(null, "", location.pathname + location.search);
    this.show({ text: "The address brought a token for this server.", token: true });
  }

  /** @param {Advice} advice */
  show({ text, again = "", token = false }) {
    this.#text.textContent = text;
    this.#again.textContent = again;
    this.#again.hidden = !again;
    this.#form.hidden = !token;
    this.#box.hidden = false;
  }

  hide() {
    this.#box.hidden = true;
  }
}

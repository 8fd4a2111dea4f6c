/** The conversation as a list: one row for each message, by the id of its item. */

/** @typedef {"user" | "assistant"} Role */
/** @typedef {{row: HTMLElement, words: HTMLElement, live: boolean}} Row `live`: it shows a partial transcript */

const NAMES = { user: "You", assistant: "Assistant" };

/** The words of an item, spoken, transcribed or typed. @param {any} item @returns {string} */
export function textOf({ content = [] }) {
  return content.map((/** @type {any} */ part) => part.transcript ?? part.text ?? "").join(" ").trim();
}

export class Conversation {
  #list;
  #scroller;
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /** @param {HTMLElement} list @param {HTMLElement} scroller what scrolls when the list grows */
  constructor(list, scroller) {
    this.#list = list;
    this.#scroller = scroller;
  }

  /** Begin a new one: the server knows nothing of the rows that are there. */
  begin() {
    this.#rows.clear();
    if (this.#list.childElementCount) this.#list.append(element("li", "divider", "New conversation"));
  }

  /** The row of an item, at the end if it is a new one. @param {string} id @param {Role} role @returns {Row} */
  open(id, role) {
    const known = this.#rows.get(id);
    if (known) return known;
    const row = element("li", role);
    const made = { row, words: element("p", "words"), live: false };
    row.append(element("p", "who", NAMES[role]), made.words);
    this.#rows.set(id, made);
    this.#grow(() => this.#list.append(row));
    return made;
  }

  /** An item of the server, put behind its predecessor. @param {any} item @param {string | null} previous */
  add(item, previous) {
    if (item.type !== "message" || !(item.role in NAMES)) return;
    const { row, words } = this.open(item.id, item.role);
    const before = previous && this.#rows.get(previous)?.row;
    if (before && before.nextElementSibling !== row) before.after(row);
    if (textOf(item) && !words.textContent) this.settle(item.id, textOf(item));
  }

  /** What is being said. @param {string} id @param {string} stable @param {string} unstable words that may change */
  partial(id, stable, unstable) {
    const known = this.open(id, "user");
    const gap = stable && unstable && !/\s$/.test(stable) && !/^\s/.test(unstable) ? " " : "";
    this.#grow(() => known.words.replaceChildren(stable + gap, element("em", "unstable", unstable)));
    known.live = true;
  }

  /** More of a text. @param {string} id @param {Role} role @param {string} delta */
  append(id, role, delta) {
    const known = this.open(id, role);
    this.#grow(() => (known.live ? known.words.replaceChildren(delta) : known.words.append(delta)));
    known.live = false;
  }

  /** The whole text, instead of what is there. @param {string} id @param {string} text */
  settle(id, text) {
    const known = this.#rows.get(id);
    if (!known) return;
    this.#grow(() => known.words.replaceChildren(text));
    known.live = false;
  }

  /** Mark a reply as interrupted. @param {string} id */
  interrupt(id) {
    const row = this.#rows.get(id)?.row;
    if (!row || row.classList.contains("interrupted")) return;
    row.classList.add("interrupted");
    this.#grow(() => row.querySelector(".words")?.after(element("p", "mark", "Interrupted")));
  }

  /** Show how the wait for a reply came about. @param {string} id @param {HTMLDetailsElement} waterfall */
  explain(id, waterfall) {
    const open = [...this.#list.querySelectorAll("details")].at(-1);
    waterfall.open = open?.open ?? matchMedia("(min-width: 40rem)").matches;
    if (open) open.open = false;
    this.#grow(() => this.#rows.get(id)?.row.append(waterfall));
  }

  /** @param {string} id */
  remove(id) {
    this.#rows.get(id)?.row.remove();
    this.#rows.delete(id);
  }

  /** Change the list, and stay at its end if that is what the user looks at. @param {() => void} change */
  #grow(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight < 60;
    change();
    if (atEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}

/** @param {string} tag @param {string} name of its class @param {string} text */
function element(tag, name, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

/** The choice of a device, remembered in this browser. */

/** @typedef {"audioinput" | "audiooutput"} Kind */

export class DeviceChoice {
  #select;
  #kind;

  /** @param {HTMLSelectElement} select @param {Kind} kind @param {(device: string) => void} chosen */
  constructor(select, kind, chosen) {
    this.#select = select;
    this.#kind = kind;
    this.#fill([]);
    select.onchange = () => {
      localStorage.setItem(kind, select.value);
      chosen(select.value);
    };
  }

  /** The id of the device; empty for the default one. */
  get value() {
    return localStorage.getItem(this.#kind) ?? "";
  }

  /** List the devices that there are now. Before the microphone was allowed browsers name none. */
  async refresh() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    this.#fill(devices.filter(({ kind, deviceId, label }) => kind === this.#kind && label && deviceId !== "default"));
  }

  /** @param {MediaDeviceInfo[]} devices */
  #fill(devices) {
    const options = devices.map(({ label, deviceId }) => new Option(label, deviceId));
    this.#select.replaceChildren(new Option("System default", ""), ...options);
    this.#select.value = devices.some(({ deviceId }) => deviceId === this.value) ? this.value : "";
  }
}

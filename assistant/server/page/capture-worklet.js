/** Gathers the microphone's samples into blocks of 40 ms. */

class CaptureProcessor extends AudioWorkletProcessor {
  #block = new Float32Array(Math.round(sampleRate * 0.04));
  #filled = 0;

  /** @param {Float32Array[][]} inputs */
  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.#block[this.#filled++] = sample;
      if (this.#filled === this.#block.length) this.#post();
    }
    return true;
  }

  #post() {
    this.port.postMessage(this.#block.slice());
    this.#filled = 0;
  }
}

registerProcessor("capture", CaptureProcessor);

/** From one sample rate to another, for browsers that do not give the rate that was asked for. */

/** Zero crossings of the sinc on each side of its middle, and the share of the band that passes. */
const CROSSINGS = 24;
const PASSED = 0.93;
/** Entries of the filter's table between two samples; between entries it is interpolated. */
const STEPS = 64;

/** A stream of samples through a windowed sinc filter; its output is `CROSSINGS` samples of the lower rate late. */
export class Resampler {
  #step;
  #half;
  #table;
  #rest;
  #position;

  /** @param {number} from Hz @param {number} to Hz */
  constructor(from, to) {
    this.#step = from / to;
    const cutoff = PASSED * Math.min(1, to / from);
    this.#half = Math.ceil(CROSSINGS / cutoff);
    this.#table = Float32Array.from({ length: this.#half * STEPS + 2 }, (_, at) => filter(at / STEPS, cutoff, this.#half));
    this.#rest = new Float32Array(this.#half);
    this.#position = this.#half;
  }

  /** The next samples at the new rate. @param {Float32Array<ArrayBuffer>} samples @returns {Float32Array<ArrayBuffer>} */
  push(samples) {
    if (this.#step === 1) return samples;
    const input = new Float32Array(this.#rest.length + samples.length);
    input.set(this.#rest);
    input.set(samples, this.#rest.length);
    const count = Math.max(0, Math.ceil((input.length - this.#half - this.#position) / this.#step));
    const output = Float32Array.from({ length: count }, (_, at) => this.#at(input, this.#position + at * this.#step));
    const next = this.#position + count * this.#step;
    const kept = Math.floor(next) - this.#half;
    this.#rest = input.slice(kept);
    this.#position = next - kept;
    return output;
  }

  /** @param {Float32Array} input @param {number} position */
  #at(input, position) {
    const middle = Math.floor(position);
    let sum = 0;
    for (let at = middle - this.#half + 1; at <= middle + this.#half; at++) {
      const place = Math.abs(position - at) * STEPS;
      const entry = Math.floor(place);
      const low = this.#table[entry];
      sum += (input[at] ?? 0) * (low + (this.#table[entry + 1] - low) * (place - entry));
    }
    return sum;
  }
}

/** A sinc under a Blackman window. @param {number} x in samples @param {number} cutoff @param {number} half */
function filter(x, cutoff, half) {
  if (x >= half) return 0;
  const window = 0.42 + 0.5 * Math.cos((Math.PI * x) / half) + 0.08 * Math.cos((2 * Math.PI * x) / half);
  const angle = Math.PI * cutoff * x;
  return window * cutoff * (angle === 0 ? 1 : Math.sin(angle) / angle);
}

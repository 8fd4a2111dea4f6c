/** The audio of the protocol: 16-bit mono samples at 24 kHz, in base64. */

export const RATE = 24000;

/** @param {Float32Array} samples from -1 to 1 @returns {string} */
export function encode(samples) {
  const bytes = new Uint8Array(samples.length * 2);
  const view = new DataView(bytes.buffer);
  samples.forEach((sample, at) => {
    view.setInt16(at * 2, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
  });
  return btoa(String.fromCharCode(...bytes));
}

/** @param {string} base64 @returns {Float32Array<ArrayBuffer>} */
export function decode(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length >> 1 }, (_, at) => view.getInt16(at * 2, true) / 32768);
}

/** How loud samples are, from 0 (-60 dB or less) to 1. @param {Float32Array} samples */
export function loudness(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return Math.max(0, Math.min(1, 1 + Math.log10(power + 1e-12) / 6));
}

/** The microphone, as blocks of 24 kHz samples. */

import { RATE } from "./pcm.js";
import { Resampler } from "./resample.js";

/** @param {string} device the id of a microphone; the default one if empty or no longer there */
export function openMicrophone(device) {
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  const deviceId = device ? { ideal: device } : undefined;
  return navigator.mediaDevices.getUserMedia({ audio: { ...audio, deviceId } });
}

export class Capture {
  #stream;
  #source;

  /** @param {MediaStream} stream @param {MediaStreamAudioSourceNode} source */
  constructor(stream, source) {
    this.#stream = stream;
    this.#source = source;
  }

  /**
   * Begin to listen. The capture owns the stream from here on, also when this fails.
   * @param {MediaStream} stream
   * @param {(samples: Float32Array) => void} hear gets about 40 ms at a time
   * @param {() => void} gone is called when the microphone was taken away
   */
  static async open(stream, hear, gone) {
    const capture = new Capture(stream, sourceOf(stream));
    const { context } = capture.#source;
    try {
      await context.audioWorklet.addModule("/page/capture-worklet.js");
    } catch (error) {
      capture.close();
      throw error;
    }
    const node = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
    const resampler = new Resampler(context.sampleRate, RATE);
    node.port.onmessage = ({ data }) => hear(resampler.push(data));
    // Its output is silence; some browsers run only nodes that lead to the destination.
    capture.#source.connect(node).connect(context.destination);
    stream.getAudioTracks()[0].onended = gone;
    return capture;
  }

  /** While muted, silence is captured: the server's clock is the audio. @param {boolean} muted */
  set muted(muted) {
    this.#stream.getAudioTracks().forEach((track) => (track.enabled = !muted));
  }

  close() {
    this.#stream.getTracks().forEach((track) => track.stop());
    /** @type {AudioContext} */ (this.#source.context).close();
  }
}

/** Firefox refuses a microphone of another rate than the context's. @param {MediaStream} stream */
function sourceOf(stream) {
  const wanted = new AudioContext({ sampleRate: RATE });
  try {
    return wanted.createMediaStreamSource(stream);
  } catch {
    wanted.close();
    return new AudioContext().createMediaStreamSource(stream);
  }
}

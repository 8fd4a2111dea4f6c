// The JavaScript agents SDK: `RealtimeSession` over its WebSocket transport, in Node.
// It prints a JSON object for each scenario that the command line names, as the Python scripts do.

import { parseArgs } from 'node:util';
import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { check, clip, expectWords, heardSeconds, Microphone, Queue, SCENARIO_MS, sleep } from './kit.mjs';

const QUESTION = 'capital of france'; // what the clips ask
const AUDIBLE_S = 0.5; // of a reply that was spoken

const { values: args, positionals } = parseArgs({
  options: { url: { type: 'string' }, clips: { type: 'string' } },
  allowPositionals: true,
});

const weather = tool({
  name: 'get_weather',
  description: 'The weather in a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
  strict: true,
  execute: ({ city }) => `18 degrees and sunny in ${city}`,
});

// A connected session and what it has reported.
class Client {
  transcripts = new Queue();
  replies = new Queue();
  refusals = new Queue();
  truncations = new Queue();
  retrieved = new Queue();
  changed = new Queue();
  complaints = [];
  seen = [];
  audible;
  #fresh;

  constructor({ textOnly = false, manual = false, tools = [], pcmu = false } = {}) {
    const agent = new RealtimeAgent({ name: 'conformance', instructions: 'You are a helpful assistant.', tools });
    const format = pcmu ? { type: 'audio/pcmu' } : { type: 'audio/pcm', rate: 24000 };
    const input = manual ? { format, turnDetection: null } : { format };
    const config = { outputModalities: [textOnly ? 'text' : 'audio'], audio: { input, output: { format } } };
    this.pcmu = pcmu;
    this.session = new RealtimeSession(agent, { transport: 'websocket', config });
    this.session.on('audio', ({ data }) => {
      this.current.audio.push(Buffer.from(data));
      this.#fresh();
    });
    this.session.on('error', (error) => this.#failed(error));
    this.session.on('transport_event', (event) => this.#take(event));
    this.#begin();
  }

  #begin() {
    this.current = { text: '', audio: [], status: '' };
    this.audible = new Promise((resolve) => (this.#fresh = resolve));
  }

  #failed(error) {
    const refusal = error?.error?.error;
    if (refusal?.code === 'item_retrieve_invalid_item_id') this.retrieved.put(null);
    else if (refusal) this.refusals.put(refusal);
    else this.complaints.push(String(error?.error?.message ?? error?.error ?? error));
  }

  #take(event) {
    if (this.seen.at(-1) !== event.type) this.seen.push(event.type);
    switch (event.type) {
      case 'conversation.item.input_audio_transcription.completed':
        return this.transcripts.put(event.transcript);
      case 'response.output_audio_transcript.delta':
      case 'response.output_text.delta':
        this.current.text += event.delta;
        return undefined;
      case 'response.done':
        // The SDK reports its audio after the event that brought it.
        return setImmediate(() => {
          this.current.status = event.response.status;
          this.replies.put(this.current);
          this.#begin();
        });
      case 'conversation.item.truncated':
        return this.truncations.put(event.audio_end_ms);
      case 'conversation.item.retrieved':
        return this.retrieved.put(event.item);
      case 'conversation.item.added':
        return this.changed.put(event.item.id);
      case 'conversation.item.deleted':
        return this.changed.put(event.item_id);
      default:
        return undefined;
    }
  }

  send(event) {
    this.session.transport.sendEvent(event);
  }

  microphone() {
    return new Microphone((audio) => this.session.sendAudio(audio), { pcmu: this.pcmu });
  }

  async untilChanged(id) {
    while ((await this.changed.get()) !== id);
  }

  async expectReply(words) {
    const reply = await this.replies.get();
    expectWords(reply.text, words);
    const seconds = heardSeconds(Buffer.concat(reply.audio), this.pcmu);
    check(seconds >= AUDIBLE_S, `only ${seconds.toFixed(2)} s can be heard`);
    check(reply.status === 'completed', `the reply is ${reply.status}`);
  }

  async typedTurn(text = 'Hello there.', words = 'you said: hello there') {
    this.session.sendMessage(text);
    await this.expectReply(words);
  }

  async retrieve(id) {
    this.send({ type: 'conversation.item.retrieve', item_id: id });
    const item = await this.retrieved.get();
    return item && item.content.map((part) => part.text ?? '').join('');
  }
}

async function spokenTurn(client, name) {
  const microphone = client.microphone();
  try {
    microphone.say(clip(args.clips, name));
    expectWords(await client.transcripts.get(), QUESTION);
    await client.expectReply(QUESTION);
  } finally {
    microphone.close();
  }
}

const scenarios = {
  spoken: [{}, (client) => spokenTurn(client, 'question.pcm')],
  typed: [{}, (client) => client.typedTurn()],
  'text-only': [
    { textOnly: true },
    async (client) => {
      client.session.sendMessage('Hello there.');
      const reply = await client.replies.get();
      expectWords(reply.text, 'you said: hello there');
      check(!reply.audio.length && !client.seen.some((name) => name.includes('output_audio')), 'audio came');
    },
  ],
  'second-turn': [
    {},
    async (client) => {
      await client.typedTurn('My name is Ada.', 'you said: my name is ada');
      await client.typedTurn('What did I say first?', 'first you said: my name is ada');
    },
  ],
  'barge-in': [
    {},
    async (client) => {
      const microphone = client.microphone();
      try {
        client.session.sendMessage('Please count.');
        await client.audible;
        await sleep(1500);
        microphone.say(clip(args.clips, 'question.pcm'));
        const cut = await client.replies.get();
        check(cut.status === 'cancelled', `the reply that was spoken over is ${cut.status}`);
        const ms = await client.truncations.get();
        check(ms >= 1000 && ms <= 10_000, `truncated at ${ms} ms, when it had sounded for about two seconds`);
        expectWords(await client.transcripts.get(), QUESTION);
        await client.expectReply(QUESTION);
      } finally {
        microphone.close();
      }
    },
  ],
  'manual-commit': [
    { manual: true },
    async (client) => {
      const audio = clip(args.clips, 'question.pcm');
      for (let at = 0; at < audio.length; at += 4800) {
        const chunk = audio.subarray(at, at + 4800);
        client.session.sendAudio(new Uint8Array(chunk).buffer, { commit: at + 4800 >= audio.length });
      }
      client.send({ type: 'response.create' });
      expectWords(await client.transcripts.get(), QUESTION);
      await client.expectReply(QUESTION);
    },
  ],
  'idle-cancel': [
    {},
    async (client) => {
      await client.typedTurn();
      client.send({ type: 'response.cancel', event_id: 'idle_cancel' });
      const refusal = await client.refusals.get();
      check(refusal.code === 'response_cancel_not_active', `refused with ${refusal.code}`);
      check(refusal.event_id === 'idle_cancel', `the refusal names ${refusal.event_id}`);
      await client.typedTurn('And again.', 'you said: and again');
    },
  ],
  malformed: [
    {},
    async (client) => {
      const bad = [
        { type: 'nonsense.do', event_id: 'bad_type' },
        { type: 'conversation.item.truncate', event_id: 'bad_field', item_id: 5, audio_end_ms: 'x' },
      ];
      for (const event of bad) {
        client.send(event);
        const refusal = await client.refusals.get();
        check(refusal.event_id === event.event_id, `the refusal of ${event.event_id} names ${refusal.event_id}`);
      }
      await client.typedTurn();
    },
  ],
  tool: [
    { tools: [weather] },
    async (client) => {
      client.session.sendMessage('What is the weather in Paris?');
      const call = await client.replies.get(); // the call is a response of its own
      check(call.text === '', `the call came with ${call.text}`);
      await client.expectReply('18 degrees');
    },
  ],
  g711: [{ pcmu: true }, (client) => spokenTurn(client, 'question.ulaw')],
  items: [
    {},
    async (client) => {
      const id = 'item_conformance';
      const item = { id, type: 'message', role: 'user', content: [{ type: 'input_text', text: 'My name is Ada.' }] };
      client.send({ type: 'conversation.item.create', item });
      await client.untilChanged(id);
      expectWords((await client.retrieve(id)) ?? '', 'my name is ada');
      check(client.session.history.length === 1, 'the history does not have it');
      client.session.updateHistory([]);
      await client.untilChanged(id);
      check((await client.retrieve(id)) === null, 'a deleted item was retrieved');
      await client.typedTurn();
    },
  ],
};

async function attempt(name) {
  const [options, scenario] = scenarios[name];
  const client = new Client(options);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${SCENARIO_MS / 1000} s`)), SCENARIO_MS);
  });
  const whole = async () => {
    await client.session.connect({ apiKey: 'sk-conformance', url: args.url });
    await scenario(client);
  };
  try {
    await Promise.race([whole(), late]);
    if (client.complaints.length) throw new Error('the client complains');
    return { result: 'ok', why: '' };
  } catch (error) {
    console.error(name, error, client.seen);
    const why = [String(error?.message ?? error), ...client.complaints].join('; ');
    return { result: 'failed', why: `${why}; last came ${client.seen.slice(-4).join(', ')}` };
  } finally {
    clearTimeout(timer);
    client.session.close();
  }
}

for (const name of positionals) {
  const began = performance.now();
  const { result, why } = await attempt(name);
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  process.stdout.write(`${JSON.stringify({ scenario: name, result, why, seconds })}\n`);
}

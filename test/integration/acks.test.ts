/** Stock clients that are asked by handlers and by backends, over both transports. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LOCAL_CREDENTIALS } from '../../local/host/credentials.ts';
import { synthesise } from '../support/assembly.ts';
import { heard, startTestStack, type TestStack } from '../support/stack.ts';

const APP = fileURLToPath(new URL('./fixtures/apps/quiz.ts', import.meta.url));
const BACKEND = fileURLToPath(new URL('../emitter/fixtures/backend.ts', import.meta.url));
/** Longer than anything takes that does not have to wait for a silent client; ms. */
const LONG_MS = 15_000;
/** For a silent client, where no other one has to answer meanwhile; ms. */
const SHORT_MS = 300;
const BYTES = Buffer.from([0, 255, 7]);

let bus: TestStack;
beforeAll(async () => {
  bus = await startTestStack({ assembly: synthesise({ APPS: APP, IDENTITY: 'trusted' }) });
});
afterAll(() => bus?.close());

const members: Socket[] = [];
/** Who polls occupies an instance. */
afterEach(() => {
  for (const socket of members.splice(0)) socket.disconnect();
});

type Reply = (...args: unknown[]) => void;

async function member(room: string, options: Parameters<TestStack['client']>[0] = {}): Promise<Socket> {
  const socket = bus.client(options);
  members.push(socket);
  await heard(socket, 'connect');
  expect(await socket.emitWithAck('join', { room })).toEqual({ ok: true });
  return socket;
}

/** Answers every question. */
const answering = (socket: Socket, ...answer: unknown[]): Socket =>
  socket.on('question', (_question: unknown, reply: Reply) => reply(...answer));

interface Outcome {
  readonly result?: unknown;
  readonly error?: {
    readonly name: string;
    readonly message: string;
    readonly responses?: unknown[];
    readonly field?: string;
  };
}

type Chain = readonly (readonly unknown[])[];

/** Emits in a process of its own. */
function backend(chains: readonly Chain[], options: Record<string, unknown>): Promise<Outcome[]> {
  const { accessKeyId, secretAccessKey } = LOCAL_CREDENTIALS;
  const env = {
    PATH: process.env.PATH ?? '',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  };
  return new Promise((resolve, reject) => {
    const args = ['--import', 'tsx', BACKEND];
    const child = execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(JSON.parse(stdout) as Outcome[]);
    });
    child.stdin?.end(JSON.stringify({ options, steps: chains.map((chain) => ({ on: 'io', chain })) }));
  });
}

/** For a silent client, where others answer meanwhile: at most two requests that poll and one that sends each; ms. */
const ways = [
  ['websocket', 2_000],
  ['polling', 4_000],
] as const;

describe.each(ways)('clients by %s', (transport, enoughMs) => {
  const room = `${transport}-room`;
  const join = (name = room) => member(name, { transports: [transport] });

  test('answer a handler, each as it likes; a silent one is a timeout with the answers of the others', async () => {
    const asker = bus.client();
    await heard(asker, 'connect');
    const asked: unknown[] = [];
    const first = (await join()).on('question', (question: unknown, reply: Reply) => {
      asked.push(question);
      reply({ hola: 'ñ' }, 'nobody reads this');
      reply('a second time');
    });
    answering(await join());
    const ask = (ms: number) => asker.emitWithAck('ask-others', { room, text: 'who?', ms });
    const all = (await ask(LONG_MS)) as { answer: unknown[] };
    expect(all.answer).toHaveLength(2);
    expect(all.answer).toEqual(expect.arrayContaining([{ hola: 'ñ' }, null]));
    expect(asked).toEqual([{ text: 'who?' }]);

    const silent = await join();
    const heardIt = heard(silent, 'question');
    const some = (await ask(enoughMs)) as { late: string; responses: unknown[] };
    expect(some.late).toBe('operation has timed out');
    expect(some.responses).toHaveLength(2);
    expect(await heardIt).toEqual({ text: 'who?' });
    expect([first.connected, silent.connected]).toEqual([true, true]);
    asker.disconnect();
  });

  test.each([
    ['Lambda invoke', () => ({ endpoint: bus.stack.origin })],
    ['signed HTTP', () => ({ url: `${bus.stack.origin}/publish` })],
  ])('answer a backend by %s', async (way, options) => {
    const [all, some] = [`${transport}-${way}-all`, `${transport}-${way}-some`];
    answering(await join(all), 1);
    answering(await join(some), { two: [2] });
    await join(some);
    const ask = (ms: number, ...names: string[]): Chain => [
      ['to', names.map((name) => `room:${name}`)],
      ['timeout', ms],
      ['emitWithAck', 'question', { text: 'x' }],
    ];
    const chains = [ask(LONG_MS, all), ask(enoughMs, all, some), ask(25_001, all)];
    const [answered, late, refused] = await backend(chains, options());
    expect(answered).toEqual({ result: [1] });
    expect(late?.error).toMatchObject({ name: 'AckTimeoutError', message: 'operation has timed out' });
    expect(new Set(late?.error?.responses)).toEqual(new Set([1, { two: [2] }]));
    expect(refused?.error).toMatchObject({ name: 'PayloadError', field: 'flags.ackTimeoutMs' });
  });
});

test('a client answers the handler of its own event, and the connect hook', async () => {
  const socket = bus.client({ extraHeaders: { 'user-agent': 'greet me' } });
  socket.on('welcome', (reply: Reply) => reply('gracias'));
  expect(await heard(socket, 'remembered')).toBe('gracias');
  answering(socket, 42);
  expect(await socket.emitWithAck('ask-me', { text: 'x', ms: LONG_MS })).toEqual({ answer: 42 });
  socket.off('question');
  expect(await socket.emitWithAck('ask-me', { text: 'x', ms: SHORT_MS })).toEqual({
    late: 'operation has timed out',
    responses: [],
  });
});

test('a client that polls cannot answer its own event’s handler, which is told at once', async () => {
  const socket = answering(await member('nobody', { transports: ['polling'] }), 42);
  const began = performance.now();
  expect(await socket.emitWithAck('ask-me', { text: 'x', ms: LONG_MS })).toMatchObject({ responses: [] });
  expect(performance.now() - began).toBeLessThan(LONG_MS);
});

test('a client that polls answers with bytes', async () => {
  const poller = answering(await member('bytes', { transports: ['polling'] }), { file: BYTES });
  const request = { op: 'emit', rooms: ['room:bytes'], event: 'question', args: [{ text: 'x' }] };
  expect(await bus.stack.invoke('publish', { ...request, flags: { ackTimeoutMs: LONG_MS } })).toMatchObject({
    value: { ok: true, responses: [{ file: BYTES.toJSON() }], missing: 0 },
  });
  expect(poller.connected).toBe(true);
});

test('an answer that nobody asked for changes nothing', async () => {
  const socket = await member('made-up');
  const before = bus.logs.length;
  socket.io.engine.write('3123["made up"]');
  socket.io.engine.write('3["no id"]');
  expect(await socket.emitWithAck('join', { room: 'made-up' })).toEqual({ ok: true });
  expect(bus.logs.slice(before).filter((line) => /ERROR|WARN/.test(line))).toEqual([]);
});

/** `socketbus/client` on the stock client, against a stock server that emits as a bus with recovery does. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import * as fc from 'fast-check';
import { Server, type ServerOptions } from 'socket.io';
import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { dropRepeats } from '../../client/index.ts';
import { messageId, offsetText } from '../../lambdas/contract/offsets.ts';
import { CLIENT_VERSIONS, type Client } from '../support/client-versions.ts';

const POSITION = Date.UTC(2026, 10, 23);

/** The offset of a message, which may be sent again at a later time. */
function offset(name: string, later = 0): string {
  return offsetText({ position: POSITION + later, id: messageId('/', name) });
}

let server: Server;
const clients: Client[] = [];
const servers: Server[] = [];

/** A server of which a namespace emits before it answers: the client keeps that until it is connected. */
async function serve(options: Partial<ServerOptions>): Promise<Server> {
  const started = new Server(createServer(), options);
  servers.push(started);
  started.of('/early').use((socket, next) => {
    for (const later of [0, 5]) socket.emit('said', 'early', offset('early', later));
    next();
  });
  started.of('/other');
  await once(started.httpServer.listen(0, '127.0.0.1'), 'listening');
  return started;
}

function originOf({ httpServer }: Server): string {
  return `http://127.0.0.1:${(httpServer.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  server = await serve({});
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect();
  await expect.poll(() => servers.map(({ engine }) => engine.clientsCount)).toEqual(servers.map(() => 0));
});
afterAll(() => Promise.all(servers.map((started) => started.close())));

interface Ear {
  readonly client: Client;
  /** What its listeners heard, by `on` and by `onAny`. */
  readonly heard: unknown[][];
  readonly any: unknown[][];
  readonly stop: () => void;
}

/** A listening client; what it is told before it is connected, it hears as well. */
function listen(client: Client): Ear {
  clients.push(client);
  const heard: unknown[][] = [];
  const any: unknown[][] = [];
  const stop = dropRepeats(client);
  client.onAny((event, ...args) => {
    if (event !== 'mark') any.push([event, ...args]);
  });
  client.on('said', (...args: unknown[]) => heard.push(args));
  client.on('mark', (answer: () => void) => answer());
  return { client, heard, any, stop };
}

const OPTIONS = { transports: ['websocket'], forceNew: true, reconnectionDelay: 1 };

function tell(...args: unknown[]): void {
  server.emit('said', ...args);
}

/** Resolves when everybody has heard what was emitted before; never with an offset. */
async function mark(of: Pick<Server, 'timeout'> = server): Promise<void> {
  await of.timeout(5_000).emitWithAck('mark');
}

/** Resolves when it is connected the next time. */
function connection({ client }: Pick<Ear, 'client'>): Promise<void> {
  return new Promise((resolve) => client.once('connect', resolve));
}

describe.each(CLIENT_VERSIONS)('socket.io-client %s', (version, connect) => {
  async function connected(to = server): Promise<Ear> {
    const ear = listen(connect(originOf(to), OPTIONS));
    await connection(ear);
    return ear;
  }

  test('hears an event once, with all its arguments, however often it comes and at whatever time', async () => {
    const ear = await connected();
    tell(1, { a: Buffer.from([7]) }, offset('one'));
    tell(2, offset('two'));
    tell(1, { a: Buffer.from([7]) }, offset('one'));
    tell(1, { a: Buffer.from([7]) }, offset('one', 4_000));
    const expected = [
      [1, { a: Buffer.from([7]) }, offset('one')],
      [2, offset('two')],
    ];
    await mark();
    expect(ear.heard).toEqual(expected);
    expect(ear.any).toEqual(expected.map((args) => ['said', ...args]));
  });

  test('hears what has no offset every time, and what merely looks like text', async () => {
    const ear = await connected();
    const others: unknown[][] = [
      [],
      ['text'],
      [offset('one'), 'more'],
      [`${offset('one')} `],
      [offset('one').slice(1)],
      [`${offset('one')}a`],
      [`${offset('one')}\n`],
      [offset('one').toUpperCase()],
      [`0000-0000${messageId('/', 'one')}`],
      [[offset('one')]],
      [{ offset: offset('one') }],
      [29],
    ];
    const twice = others.flatMap((args) => [args, args]);
    for (const args of twice) tell(...args);
    await mark();
    expect(ear.heard).toEqual(twice);
  });

  test('hears an event every time if its name has the form of an offset and nothing follows', async () => {
    const ear = await connected();
    const times: number[] = [];
    ear.client.on(offset('name'), () => times.push(1));
    for (let n = 0; n < 2; n += 1) server.emit(offset('name'));
    await mark();
    expect(times).toHaveLength(2);
  });

  test('answers every event that asks for an acknowledgement', async () => {
    const ear = await connected();
    ear.client.on('ask', (...args: unknown[]) => (args.at(-1) as (answer: unknown) => void)(args.length));
    for (let n = 0; n < 2; n += 1)
      expect(await server.timeout(5_000).emitWithAck('ask', offset('asked'))).toEqual([2]);
  });

  test('hears once what came twice before it was connected', async () => {
    const ear = listen(connect(`${originOf(server)}/early`, OPTIONS));
    await connection(ear);
    await mark(server.of('/early'));
    expect(ear.any).toEqual([['said', 'early', offset('early')]]);
    expect(ear.heard).toEqual([['early', offset('early')]]);
  });

  test('goes on hearing everything when it is stopped, whoever has wrapped it meanwhile', async () => {
    const ear = await connected();
    const stopLater = dropRepeats(ear.client);
    ear.stop();
    tell(1, offset('one'));
    tell(1, offset('one'));
    await mark();
    expect(ear.heard).toHaveLength(1);
    stopLater();
    tell(1, offset('one'));
    tell(1, offset('one'));
    await mark();
    expect(ear.heard).toHaveLength(3);
  });

  test('remembers through a reconnection, and shows the offset of a repeat as the last', async () => {
    const recovering = await serve({ connectionStateRecovery: {} });
    const ear = await connected(recovering);
    const restore = vi.spyOn(recovering.of('/').adapter, 'restoreSession');
    // It adds offsets of its own form to all but these.
    const tellThere = async (...args: unknown[]) => {
      recovering.volatile.emit('said', ...args);
      await mark(recovering);
    };
    await tellThere(1, offset('one'));
    await tellThere(2, offset('two', 1));
    await tellThere(1, offset('one', 2));
    const back = connection(ear);
    for (const socket of recovering.of('/').sockets.values()) socket.conn.close();
    await back;
    await tellThere(2, offset('two', 3));
    expect(ear.heard).toEqual([
      [1, offset('one')],
      [2, offset('two', 1)],
    ]);
    // Those before 4.6 do not recover.
    const shown = version < '4.6' ? [] : [offset('one', 2)];
    expect(restore.mock.calls.map(([, last]) => last)).toEqual(shown);
  });
});

test('two sockets of one manager do not disturb each other, nor do two managers', async () => {
  const first = io(originOf(server), OPTIONS);
  const second = first.io.socket('/other').connect();
  const ears = [listen(first), listen(second), listen(io(originOf(server), OPTIONS))];
  await Promise.all(ears.map(connection));
  for (const later of [0, 1]) {
    tell('here', offset('one', later));
    server.of('/other').emit('said', 'there', offset('one', later));
  }
  await Promise.all([mark(), mark(server.of('/other'))]);
  expect(ears.map(({ heard }) => heard)).toEqual([
    [['here', offset('one')]],
    [['there', offset('one')]],
    [['here', offset('one')]],
  ]);
});

test('of any sequence a listener hears each event that is none of the last so many different ones', async () => {
  const { client, heard, stop } = listen(io(originOf(server), OPTIONS));
  stop();
  await connection({ client });
  const names = fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(names, fc.integer({ min: 1, max: 9 }), async (sequence, remember) => {
      const end = dropRepeats(client, { remember });
      heard.length = 0;
      const expected = sequence.filter((name, at) => {
        const last = new Set(sequence.slice(0, at).toReversed());
        return ![...last].slice(0, remember).includes(name);
      });
      for (const [at, name] of sequence.entries()) tell(name, offset(String(name), at));
      await mark();
      end();
      expect(heard.map(([name]) => name)).toEqual(expected);
    }),
  );
});

test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('remembering %d is refused', (remember) => {
  const client = io('http://localhost:1', { autoConnect: false });
  expect(() => dropRepeats(client, { remember })).toThrow(RangeError);
});

test('what is no socket of the stock client is refused, at once and by its type', () => {
  const emitter = { io: {}, onAny: () => {} };
  expect(() => dropRepeats(emitter)).toThrow(TypeError);
  // @ts-expect-error: a server's socket
  const refused = () => dropRepeats(new Server());
  expect(refused).toThrow(TypeError);
});

test('has less than 1 KB minified, and imports nothing', async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(new URL('../../client/index.ts', import.meta.url))],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    metafile: true,
  });
  expect(outputFiles[0]!.contents.length).toBeLessThan(1_024);
  expect(Object.values(metafile.inputs).map(({ imports }) => imports)).toEqual([[]]);
});

/** What has been published against Socket.IO and Engine.IO servers, each tried here. */
import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { pollingId } from '../../lambdas/bus/names.ts';
import { decodeEnginePacket } from '../../lambdas/protocol/engine-packet.ts';
import { ProtocolError } from '../../lambdas/protocol/protocol-error.ts';
import { PacketAssembler } from '../../lambdas/protocol/socket-packet.ts';
import { Client } from '../apps/client.ts';
import { keepsNothing, quick, unpolluted } from '../fuzz/limits.ts';
import { type World, world } from '../support/world.ts';

const app = defineApp({
  name: 'target',
  clientEvents: {
    echo: { payload: z.json(), handle: (_socket, payload) => ({ payload }) },
    bytes: { payload: z.any(), handle: (_socket, payload) => ({ bytes: Buffer.isBuffer(payload) }) },
  },
});

let at: World;
let client: Client;
beforeEach(async () => {
  at = await world({ applications: [app] });
  client = await Client.connect(at, 1);
});

const send = (frame: string) => at.messages.handle(client.connectionId, frame);
/** Another client, which must notice nothing. */
async function othersAreServed(): Promise<void> {
  const other = await Client.connect(at, 2);
  expect(await other.ask('echo', 'hello')).toEqual({ payload: 'hello' });
  expect(at.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  unpolluted();
}

function assembled(parts: readonly (string | Uint8Array)[]): unknown {
  const assembler = new PacketAssembler();
  let data: unknown;
  for (const part of parts) data = assembler.add(part)?.data;
  return data;
}

/** One request of long polling, as raw as it gets. */
const request = (method: string, query: Record<string, string>, body?: string) =>
  at.polling.handle({ method, query, headers: {}, address: '192.0.2.1', at: at.clock.now(), body });
async function poller(): Promise<string> {
  const { body } = await request('GET', { EIO: '4', transport: 'polling' });
  const { sid } = JSON.parse(body.slice(1)) as { sid: string };
  await post(sid, '40');
  return sid;
}
const post = (sid: string, body: string) => request('POST', { EIO: '4', transport: 'polling', sid }, body);
const isOpen = async (sid: string) => (await at.store.connection(pollingId(sid)))?.open === true;

describe('CVE-2020-36049 and CVE-2023-32695: a packet that the parser takes long over, or throws at', () => {
  test.each<[string, (n: number) => string]>([
    ['a count of attachments', (n) => `5${'1'.repeat(n)}-["a"]`],
    ['a count of attachments without an end', (n) => `5${'1'.repeat(n)}`],
    ['a namespace without an end', (n) => `2/${'a'.repeat(n)}`],
    ['an id', (n) => `2${'1'.repeat(n)}["a"]`],
    ['blanks for an id', (n) => `2${' '.repeat(n)}["a"]`],
    ['text', (n) => `2["${'a'.repeat(n)}"]`],
    ['arrays side by side', (n) => `2["a"${',[]'.repeat(n / 3)}]`],
    ['arrays in one another', (n) => `2["a",${'['.repeat(n / 2)}${']'.repeat(n / 2)}]`],
    ['a number', (n) => `2["a",${'9'.repeat(n)}]`],
  ])('128 KB of %s take no time and no memory', (_what, packet) => {
    const text = packet(131_000);
    keepsNothing(() => {
      for (let n = 0; n < 20; n += 1)
        quick(() => {
          try {
            new PacketAssembler().add(text);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        });
    });
  });

  test.each([
    '2[{"toString":"foo"}]',
    '2{"toString":"foo"}',
    '2[["toString"]]',
    '2[null]',
    '2',
    '2[true]',
    '27',
    '2/x',
  ])('an event whose name is no name, %s, closes its connection and harms nobody', async (packet) => {
    await send(`4${packet}`);
    expect(client.cut).toBe(true);
    await othersAreServed();
  });
});

describe('CVE-2022-2421: a placeholder for an attachment', () => {
  test.each(['"splice"', '"__proto__"', '"length"', '-1', '1', '1e9', '0.5', 'null', '{}', 'true', '"0"'])(
    'with the number %s is never a value, by polling or in a publish',
    async (num) => {
      const placeholder = `{"_placeholder":true,"num":${num}}`;
      const data = () => assembled([`51-["bytes",${placeholder}]`, Buffer.from('x')]) as unknown[];
      // Between two numbers there is no attachment either.
      if (num === '0.5') expect(data()[1]).toBeUndefined();
      else expect(data).toThrow(ProtocolError);
      const sid = await poller();
      await post(sid, `451-["bytes",${placeholder}]\x1ebAAAA`);
      await othersAreServed();
      const answer = await at.publisher.handle({
        op: 'emit',
        event: 'e',
        args: [JSON.parse(placeholder)],
        attachments: ['AAAA'],
      });
      if (num !== '0.5') expect(answer).toMatchObject({ ok: false, error: { code: 'invalid_payload' } });
    },
  );
});

describe('attachments that are announced and not sent', () => {
  test.each(['5999999999-["bytes"]', '511-["bytes"]', '5-1-["bytes"]', '51e2-["bytes"]', '50-["bytes"]'])(
    'are not waited for where nobody could send them: %s',
    async (packet) => {
      expect(() => assembled([packet])).toThrow(ProtocolError);
      await send(`4${packet}`);
      expect(client.cut).toBe(true);
    },
  );

  test('over a WebSocket close the connection; by polling they are kept up to 32 KB, and no longer than it', async () => {
    await send('451-["bytes",{"_placeholder":true,"num":0}]');
    expect(client.cut).toBe(true);
    const sid = await poller();
    const large = `b${'A'.repeat(20_000)}`;
    await post(sid, `4510-["bytes"]\x1e${large}`);
    expect(await isOpen(sid)).toBe(true);
    await post(sid, large);
    expect(await isOpen(sid)).toBe(false);
    await othersAreServed();
  });
});

describe('CVE-2024-38355: an event that the server itself listens to', () => {
  test.each(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'])(
    '%s, which Socket.IO reserves, closes its connection',
    async (event) => {
      await send(`42["${event}"]`);
      expect(client.cut).toBe(true);
      await othersAreServed();
    },
  );

  test.each(['error', '__proto__', 'constructor', 'hasOwnProperty', 'toString', ''])(
    '%j is one that nobody handles',
    async (event) => {
      expect(await client.ask(event, { message: 'x' })).toMatchObject({
        ok: false,
        error: { code: 'not_found' },
      });
      expect(client.cut).toBe(false);
      await othersAreServed();
    },
  );
});

describe('CVE-2022-41940, CVE-2023-31125 and CVE-2022-21676: a request that a server does not survive', () => {
  test.each<[number, Record<string, string>]>([
    [400, {}],
    [400, { EIO: '4' }],
    [400, { EIO: '4', transport: 'constructor' }],
    [400, { EIO: '4', transport: '__proto__' }],
    [400, { EIO: '4', transport: 'websocket' }],
    [400, { EIO: '4,4', transport: 'polling' }],
    [400, { EIO: '4', transport: 'polling,polling' }],
    [400, { EIO: '5', transport: 'polling' }],
    [400, { EIO: '4', transport: 'polling', sid: '' }],
    [400, { EIO: '4', transport: 'polling', sid: '__proto__' }],
    [400, { EIO: '4', transport: 'polling', sid: 'a'.repeat(10_000) }],
    [400, { EIO: '4', transport: 'websocket', sid: 'a' }],
  ])('is answered with %i: %j', async (status, query) => {
    for (const method of ['GET', 'POST', 'DELETE', '__proto__']) {
      const { statusCode } = await request(method, query, '4');
      expect(statusCode).toBe(status);
    }
    await othersAreServed();
  });

  test('is answered also after the upgrade, when its WebSocket has gone', async () => {
    const sid = await poller();
    await at.lifecycle.disconnected(pollingId(sid));
    expect((await post(sid, '42["echo"]')).statusCode).toBe(400);
    await othersAreServed();
  });
});

describe('CVE-2020-36048: a body of long polling that costs more than it should', () => {
  test.each<[string, string]>([
    ['separators', '\x1e'.repeat(32_768)],
    ['lengths of the protocol before', '9:4'.repeat(10_000)],
    ['a packet without an end', `4${'2'.repeat(32_000)}`],
    ['empty packets', '4\x1e'.repeat(16_000)],
  ])('is refused where it is %s', async (_what, body) => {
    const sid = await poller();
    await post(sid, body);
    expect(await isOpen(sid)).toBe(false);
    await othersAreServed();
  });

  test('is not read where it is larger than a frame may be', async () => {
    const sid = await poller();
    expect((await post(sid, 'a'.repeat(32_769))).statusCode).toBe(413);
  });

  test('writes one pong down, however many it has', async () => {
    const sid = await poller();
    let writes = 0;
    const { touchSlot } = at.store;
    at.store.touchSlot = (...args) => {
      writes += 1;
      return touchSlot.apply(at.store, args);
    };
    await post(sid, Array.from({ length: 16_000 }, () => '3').join('\x1e'));
    expect(writes).toBe(1);
    expect(await isOpen(sid)).toBe(true);
  });
});

test('CVE-2020-28481: where no origin is allowed, no page of any is let in', async () => {
  for (const origin of ['https://evil.example', 'null', '*', 'http://localhost']) {
    const answer = await at.polling.handle({
      method: 'GET',
      query: { EIO: '4', transport: 'polling' },
      headers: { origin },
      address: '192.0.2.1',
      at: at.clock.now(),
      body: undefined,
    });
    expect(answer.statusCode).toBe(403);
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  }
});

describe('JSON', () => {
  test('that names a prototype changes none', async () => {
    await send('420["echo",{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}]');
    unpolluted();
    await othersAreServed();
  });

  test.each([129, 5_000, 10_000, 16_000])(
    'of %i levels closes its connection before anything walks through it',
    async (depth) => {
      await send(`420["echo",${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}]`);
      expect(client.cut).toBe(true);
      await othersAreServed();
    },
  );

  test('of many levels is refused in a request of an application, and in a publish', async () => {
    const deep = `${'['.repeat(60_000)}${']'.repeat(60_000)}`;
    expect(await at.publisher.handle({ op: 'emit', event: 'e', args: [JSON.parse(deep)] })).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', retryable: false },
    });
    await othersAreServed();
  });

  test('with half a character comes back as it went in, as its escape', async () => {
    await send('420["echo","\\ud800"]');
    expect(at.wire.to(client.connectionId).at(-1)).toBe('430[{"payload":"\\ud800"}]');
    await othersAreServed();
  });
});

test('a frame that is no packet at all is a ProtocolError', () => {
  for (const frame of ['', '\0', '7', 'x', '\ufeff4', ' 4', '{"message":"Internal server error"}'])
    expect(() => decodeEnginePacket(frame)).toThrow(ProtocolError);
});

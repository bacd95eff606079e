import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FetchedKeySets } from '../../lambdas/adapters/fetched-key-sets.ts';
import { type Issuer, issuer, type KeyServer, keyServer } from '../support/key-server.ts';
import { FakeClock } from '../support/world.ts';

const MINUTE = 60_000;

let server: KeyServer;
let clock: FakeClock;
let sets: FetchedKeySets;
let one: Issuer;
let two: Issuer;

beforeEach(async () => {
  server = await keyServer();
  clock = new FakeClock();
  sets = new FetchedKeySets(clock);
  [one, two] = await Promise.all([issuer('one'), issuer('two')]);
  server.publish(one);
});
afterEach(() => server.close());

const get = (lacking?: Awaited<ReturnType<FetchedKeySets['get']>>) => sets.get(server.url, lacking);
const kids = ({ keys }: Awaited<ReturnType<FetchedKeySets['get']>>) => keys.map(({ kid }) => kid);
const unavailable = { name: 'KeySetError', code: 'keys_unavailable', retryable: true };

describe('a key set', () => {
  test('is read once for ten minutes, however many ask for it at once', async () => {
    const [first, ...others] = await Promise.all([get(), get(), get()]);
    for (const other of others) expect(other).toBe(first);
    clock.advance(10 * MINUTE - 1);
    expect(await get()).toBe(first);
    expect(server.requests).toBe(1);
  });

  test('is read again after ten minutes, and what was withdrawn is gone', async () => {
    await get();
    server.publish(two);
    clock.advance(10 * MINUTE);
    expect(kids(await get())).toEqual(['two']);
  });

  test('is read again where it lacks a key, at most twice a minute whatever keys are asked for', async () => {
    const first = await get();
    server.publish(one, two);
    for (let n = 0; n < 100; n += 1) expect(await get(first)).toBe(first);
    expect(server.requests).toBe(1);
    clock.advance(MINUTE / 2);
    const second = await get(first);
    expect(kids(second)).toEqual(['one', 'two']);
    // Who looked into the older reading has the newer one without a request.
    expect(await get(first)).toBe(second);
    for (let n = 0; n < 100; n += 1) expect(await get(second)).toBe(second);
    expect(server.requests).toBe(2);
  });

  test('that cannot be read again is good for an hour, and asked for twice a minute meanwhile', async () => {
    const first = await get();
    server.answer = (response) => response.writeHead(500).end();
    clock.advance(10 * MINUTE);
    for (let n = 0; n < 10; n += 1) expect(await get()).toBe(first);
    expect(server.requests).toBe(2);
    clock.advance(MINUTE / 2);
    expect(await get()).toBe(first);
    expect(server.requests).toBe(3);
    clock.advance(50 * MINUTE);
    await expect(get()).rejects.toMatchObject(unavailable);
    server.publish(two);
    clock.advance(MINUTE / 2);
    expect(kids(await get())).toEqual(['two']);
  });

  test('that could not be read is not asked for at once again', async () => {
    server.answer = (response) => response.writeHead(503).end();
    await expect(get()).rejects.toMatchObject(unavailable);
    await expect(get()).rejects.toMatchObject(unavailable);
    expect(server.requests).toBe(1);
    server.publish(one);
    clock.advance(2_000);
    expect(kids(await get())).toEqual(['one']);
  });

  test('of one address is not taken for that of another', async () => {
    await get();
    await expect(sets.get(`${server.url}?other`)).resolves.not.toBe(await get());
    expect(server.requests).toBe(2);
  });

  test.each<[string, (server: KeyServer) => void]>([
    ['is no JSON', (it) => (it.answer = (response) => response.end('<html>'))],
    ['is JSON of another form', (it) => (it.answer = (response) => response.end('{"keys":{}}'))],
    ['has keys that are none', (it) => (it.answer = (response) => response.end('{"keys":["a"]}'))],
    [
      'is larger than any set',
      (it) => (it.answer = (response) => response.end(`{"keys":[]}${' '.repeat(300_000)}`)),
    ],
    [
      'is somewhere else',
      (it) => (it.answer = (response) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()),
    ],
    ['is never answered to the end', (it) => (it.answer = (response) => response.socket?.destroy())],
  ])('that %s cannot be read', async (_what, become) => {
    become(server);
    await expect(get()).rejects.toMatchObject(unavailable);
  });
});

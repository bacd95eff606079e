/** The stock client of a page in Chromium, with default options and with what keeps it from a WebSocket. */
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { synthesise } from '../support/assembly.ts';
import { type Meddler, startMeddler } from '../support/meddler.ts';
import { startTestStack, type TestStack } from '../support/stack.ts';
import { startBrowser, type TestBrowser } from './chromium.ts';

const APP = fileURLToPath(new URL('../integration/fixtures/apps/echo.ts', import.meta.url));
const CLIENT = fileURLToPath(
  new URL('../../node_modules/socket.io-client/dist/socket.io.min.js', import.meta.url),
);
/** Longest wait for anything on the page; ms. */
const PATIENCE_MS = 10_000;

/** What a page has under its `window`, beside the stock client. */
interface OnPage {
  readonly io: (url: string, options?: object) => Socket;
  socket: Socket;
  heard: unknown[];
}

let bus: TestStack;
let between: Meddler;
let chrome: TestBrowser;
let page: Page;
let room: string;
let rooms = 0;

beforeAll(async () => {
  const start = async () =>
    startTestStack({
      assembly: await synthesise({ APPS: APP, IDENTITY: 'trusted', POLL_HOLD_SECONDS: '1' }),
    });
  [bus, chrome] = await Promise.all([start(), startBrowser()]);
  between = await startMeddler(bus.stack.port);
});
afterAll(() => Promise.allSettled([chrome?.close(), between?.close(), bus?.close()]));

beforeEach(async () => {
  page = await pageOf(bus.stack.origin);
});
afterEach(() => page.close());

/** A page of an origin, with the stock client; any that really comes from there: others may not ask loopback. */
async function pageOf(origin: string): Promise<Page> {
  const one = await chrome.browser.newPage();
  one.setDefaultTimeout(PATIENCE_MS);
  await one.goto(`${origin}/nothing`);
  await one.addScriptTag({ path: CLIENT });
  return one;
}

/** Connects, joins a room of its own, and says something there. */
async function exchange(url: string, options?: object): Promise<void> {
  room = `page ${++rooms}`;
  const answers = await page.evaluate(
    async ({ to, given, where }) => {
      const here = globalThis as unknown as OnPage;
      here.heard = [];
      here.socket = given === undefined ? here.io(to) : here.io(to, given);
      here.socket.on('said', (payload: unknown) => here.heard.push(payload));
      const ask = (event: string, payload: object) => here.socket.timeout(10_000).emitWithAck(event, payload);
      return [await ask('join', { room: where }), await ask('say', { room: where, text: 'hola' })];
    },
    { to: url, given: options, where: room },
  );
  expect(answers).toMatchObject([{ ok: true }, { ok: true }]);
}

const transport = () =>
  page.evaluate(() => (globalThis as unknown as OnPage).socket.io.engine.transport.name);
const heard = () => page.evaluate(() => (globalThis as unknown as OnPage).heard);

async function publishes(): Promise<void> {
  const request = { op: 'emit', rooms: [`all:${room}`], event: 'said', args: [{ text: 'from the backend' }] };
  expect(await bus.stack.invoke('publish', request)).toMatchObject({ value: { ok: true, audience: 1 } });
  await expect
    .poll(heard, { timeout: PATIENCE_MS })
    .toEqual([{ text: 'hola' }, { text: 'from the backend' }]);
}

test('a page with default options connects, is upgraded, and hears', async () => {
  await exchange(bus.stack.origin);
  await expect.poll(transport, { timeout: PATIENCE_MS }).toBe('websocket');
  await publishes();
});

test('a page that only polls is answered and hears', async () => {
  await exchange(bus.stack.origin, { transports: ['polling'] });
  await publishes();
  expect(await transport()).toBe('polling');
});

test.each<[string, () => boolean | Promise<boolean>]>([
  ['refused', () => false],
  ['never answered', () => new Promise<boolean>(() => {})],
])(
  'a page of another origin stays on polling, with credentials, where WebSockets are %s',
  async (_what, handshake) => {
    between.handshake = handshake;
    await exchange(between.origin, { withCredentials: true });
    await publishes();
    expect(await transport()).toBe('polling');
  },
);

test('a page that is not allowed in gets no connection', async () => {
  const foreign = await pageOf(between.origin);
  try {
    // Its page comes from another origin than the one it dials, and that is not on the list.
    const message = await foreign.evaluate(
      (to) =>
        new Promise<string>((resolve) => {
          const here = globalThis as unknown as OnPage;
          const socket = here.io(to, { reconnection: false });
          socket.on('connect', () => resolve('connected'));
          socket.on('connect_error', (error: Error) => resolve(error.message));
        }),
      bus.stack.origin,
    );
    expect(message).toBe('xhr poll error');
  } finally {
    await foreign.close();
  }
});

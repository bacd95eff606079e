import type { Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestStack, type TestStack } from '../support/stack.ts';
import { startBrowser, type TestBrowser } from './chromium.ts';

/** Longest wait for anything on the page; ms. A function's first start on a busy machine is the slowest. */
const PATIENCE_MS = 10_000;

let stack: TestStack;
let chrome: TestBrowser;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  [stack, chrome] = await Promise.all([startTestStack(), startBrowser()]);
});
// Each ends by itself: what hangs or failed to start must not keep the other alive.
afterAll(() => Promise.allSettled([chrome?.close(), stack?.close()]));

beforeEach(async () => {
  page = await chrome.browser.newPage({ viewport: { width: 1500, height: 1100 } });
  page.setDefaultTimeout(PATIENCE_MS);
  complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
});
afterEach(async () => {
  await page.close();
  expect(complaints).toEqual([]);
});

const pane = (title: string) => page.getByRole('region', { name: title });
const left = () => pane('Left user');
const right = () => pane('Right user');
const backend = () => pane('Backend');

async function open(application: string): Promise<void> {
  await page.goto(stack.stack.origin);
  await page.getByLabel('Application').selectOption(application);
}

/** Connects a user of `watch-groups`, whose token the page has asked for. */
async function connect(user: Locator): Promise<void> {
  await expect.poll(() => user.getByLabel('Token').inputValue(), { timeout: PATIENCE_MS }).not.toBe('');
  await user.getByRole('button', { name: 'Connect', exact: true }).click();
  await user.getByText('connected as').waitFor();
}

async function send(user: Locator, event: string, payload?: unknown): Promise<void> {
  if (payload !== undefined) await user.getByLabel(event, { exact: true }).fill(JSON.stringify(payload));
  await user.getByRole('button', { name: `Send ${event}`, exact: true }).click();
}

/** What a user has heard of an event, newest first. */
async function heard(user: Locator, event: string): Promise<unknown[]> {
  const payloads = user.locator(`.log li[data-event="${event}"] pre:nth-of-type(1)`);
  return (await payloads.allTextContents()).map((text) => JSON.parse(text));
}

function hears(user: Locator, event: string) {
  return expect.poll(() => heard(user, event), { timeout: PATIENCE_MS });
}

describe('the page of the local stack', () => {
  test('lets two users join, see an episode, and hear what the backend publishes', async () => {
    await open('watch-groups');
    // One after the other: two clicks at once share one mouse.
    await connect(left());
    await connect(right());
    await hears(left(), 'connected').toEqual([
      { message: 'Conectado exitosamente', user: { id: 1, username: 'ana' } },
    ]);
    for (const user of [left(), right()]) {
      await send(user, 'join-group');
      await user.locator('[data-event="join-group"] .answer[data-ok="true"]:not(:empty)').waitFor();
    }
    await hears(left(), 'user-joined-group').toMatchObject([{ userId: 2, username: 'bea', groupId: 1 }]);

    await send(right(), 'watch-episode', { groupId: 1, seriesId: 7, episodeId: 's1e1' });
    const episode = { userId: 2, username: 'bea', groupId: 1, seriesId: 7, episodeId: 's1e1' };
    for (const user of [left(), right()]) await hears(user, 'episode-watched').toMatchObject([episode]);

    await backend().getByLabel('Rooms').fill('group:1');
    await backend().getByLabel('Event').fill('series-added');
    const series = { seriesName: 'Dark', addedBy: 'ana' };
    await backend().getByLabel('Payload (JSON)').fill(JSON.stringify(series));
    await backend().getByRole('button', { name: 'Publish' }).click();
    await backend()
      .getByText(/"audience": ?2/)
      .waitFor();
    for (const user of [left(), right()]) await hears(user, 'series-added').toEqual([series]);
  });

  test('calls what an application offers its backend', async () => {
    await open('watch-groups');
    await connect(left());
    await backend().getByRole('button', { name: 'Call' }).click();
    await backend()
      .getByText(/"username": ?"ana"/)
      .waitFor();
  });

  test('shows what is wrong beside the field it is wrong in', async () => {
    await open('watch-groups');
    await connect(left());
    await left().getByLabel('join-group', { exact: true }).fill('{"groupId": ');
    await send(left(), 'join-group');
    await left().locator('[data-event="join-group"]').getByText('not JSON').waitFor();
    expect(await left().getByLabel('join-group', { exact: true }).getAttribute('aria-invalid')).toBe('true');

    await send(left(), 'join-group', { groupId: true });
    await left().locator('[data-event="join-group"] .problem', { hasText: 'groupId' }).waitFor();
    await hears(left(), 'error').toMatchObject([{ message: 'Error al unirse al grupo' }]);

    await send(left(), 'watch-episode', { groupId: 'not mine', seriesId: 1, episodeId: 1 });
    await left().locator('[data-event="watch-episode"] .answer', { hasText: 'forbidden' }).waitFor();

    await backend().getByLabel('Event').fill('disconnect');
    await backend().getByRole('button', { name: 'Publish' }).click();
    await backend().getByText('is a name reserved by Socket.IO').waitFor();
    expect(await backend().getByLabel('Event').getAttribute('aria-invalid')).toBe('true');
  });

  test('shows that a token was refused, and why', async () => {
    await open('watch-groups');
    await expect.poll(() => left().getByLabel('Token').inputValue(), { timeout: PATIENCE_MS }).not.toBe('');
    await left().getByLabel('Token').fill('no token at all');
    await left().getByRole('button', { name: 'Connect', exact: true }).click();
    await left().getByText('disconnected: io server disconnect').waitFor();
    await hears(left(), 'error').toMatchObject([{ message: 'Token inválido' }]);
  });

  test('asks to connect before something is sent, and works by keyboard alone', async () => {
    await open('watch-groups');
    await send(right(), 'join-group');
    await right().getByText('not connected').first().waitFor();
    await expect.poll(() => right().getByLabel('Token').inputValue(), { timeout: PATIENCE_MS }).not.toBe('');
    await right().getByLabel('Name').focus();
    await page.keyboard.press('Enter');
    await right().getByText('connected as').waitFor();
  });
});

describe('what the page asks the local stack', () => {
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(stack.stack.origin + path, { headers });

  test('is refused to pages of other origins, which could read tokens otherwise', async () => {
    for (const path of ['/local/applications', '/local/token?sub=1']) {
      expect((await get(path)).status).toBe(200);
      const foreign = await get(path, { origin: 'https://elsewhere.example' });
      expect(foreign.status).toBe(403);
    }
    const publish = await fetch(`${stack.stack.origin}/local/publish`, {
      method: 'POST',
      headers: { origin: 'https://elsewhere.example', 'content-type': 'text/plain' },
      body: JSON.stringify({ op: 'emit', event: 'x' }),
    });
    expect(publish.status).toBe(403);
  });

  test('names what is wrong with it', async () => {
    expect(await (await get('/local/token')).json()).toEqual({
      ok: false,
      error: { code: 'invalid_payload', message: 'sub must be the id of a user', field: 'sub' },
    });
    const publish = (body: string) => fetch(`${stack.stack.origin}/local/publish`, { method: 'POST', body });
    expect((await publish('{')).status).toBe(400);
    expect(await (await publish('{"op":"emit","event":""}')).json()).toMatchObject({
      ok: false,
      error: { field: 'event' },
    });
    expect((await get('/local/nothing')).status).toBe(404);
  });

  test('is answered from the definitions: every application with its events and examples', async () => {
    const { applications, unreadable } = (await (await get('/local/applications')).json()) as {
      applications: { name: string; clientEvents: { event: string; payload: unknown }[] }[];
      unreadable: unknown[];
    };
    expect(unreadable).toEqual([]);
    const running = stack.stack.deployment.functions.get('publish')?.environment.APPS?.split(',');
    expect(applications.map(({ name }) => name)).toEqual(running);
    const { builtIns } = await import('../../lambdas/apps/registry.ts');
    const { safeParse } = await import('zod/mini');
    for (const { name, clientEvents } of applications) {
      const definitions = builtIns[name]?.clientEvents ?? {};
      expect(clientEvents.map(({ event }) => event)).toEqual(Object.keys(definitions));
      for (const { event, payload } of clientEvents) {
        const schema = definitions[event]?.payload;
        if (schema !== undefined) expect([event, safeParse(schema, payload).success]).toEqual([event, true]);
      }
    }
  });
});

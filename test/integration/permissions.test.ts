/**
 * What the roles of the template allow and what their functions do are the same: nothing that is done is denied, and nothing
 * is allowed that is not done. Beside the five applications runs one that uses everything an application is offered.
 */
import { fileURLToPath } from 'node:url';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { AuthorizedUse } from '../../local/iam/access-control.ts';
import { matchesArn } from '../../local/iam/wildcard.ts';
import { synthesise } from '../support/assembly.ts';
import { CLOUD_API_KEY, heard, JWT_SECRET, startTestStack, type TestStack, token } from '../support/stack.ts';
import { SETTINGS } from '../support/synthesis.ts';

const FIVE = 'storefront-chat,watch-groups,clinic-chat,marketplace,order-sync';
const EVERYTHING = fileURLToPath(new URL('./fixtures/apps/everything.ts', import.meta.url));
/** More than the 250 ms after which `open` asks whether a connection that answers 410 still exists. */
const OPENING_MS = 300;

const used: AuthorizedUse[] = [];
/** While set, nothing can be marked closed: what ends leaves its rows behind. */
let leavesRows = false;
let bus: TestStack;

beforeAll(async () => {
  bus = await startTestStack({
    assembly: synthesise({ ...SETTINGS, APPS: `${FIVE},${EVERYTHING}`, INLINE_POSTS: '1' }),
    settings: { JWT_SECRET, CLOUD_API_KEY },
    host: { maxInstances: 2 },
    gateway: { postableDelayMs: OPENING_MS },
    dynamodb: {
      before: async (operation) =>
        leavesRows && operation === 'UpdateItem'
          ? {
              status: 400,
              body: { __type: 'com.amazon.coral.validate#ValidationException', message: 'injected' },
            }
          : undefined,
    },
    onAuthorized: (use) => used.push(use),
  });
});
afterAll(() => bus?.close());

const denials = () => bus.logs.filter((line) => line.includes('access denied'));

/** `{function}: {action} on {resource}` for every grant, of those that are the functions' own. */
function grants(): { readonly name: string; readonly isUsed: boolean }[] {
  const { functions, policies } = bus.stack.deployment;
  return [...functions.values()].flatMap(({ name, role }) =>
    (policies.get(role) ?? []).flatMap(({ actions, resources }) =>
      actions.flatMap((action) =>
        resources
          // Lambda writes the logs and sends what it gave up, in the role's name.
          .filter(() => !/^(?:logs|sqs):/.test(action))
          .map((resource) => ({
            name: `${name}: ${action} on ${resource}`,
            isUsed: used.some(
              (use) =>
                use.principalArn === role && use.action === action && matchesArn(resource, use.resource),
            ),
          })),
      ),
    ),
  );
}

async function client(namespace: string, options: Parameters<TestStack['client']>[0] = {}) {
  const socket = bus.client(options, namespace);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('connect_error', reject);
  });
  // Nobody handles it; but its answer comes when the server knows that the socket is open.
  await socket.emitWithAck('open?');
  return socket;
}

async function publish(request: object): Promise<void> {
  expect(await bus.stack.invoke('publish', request)).toMatchObject({ value: { ok: true } });
}

/** Without a word: a DISCONNECT would be `message`'s to handle. */
function cut(socket: Socket): void {
  socket.io.engine.close();
}

/** Closes a socket whose rows stay, as if its `$disconnect` had been lost. */
async function lose(...sockets: Socket[]): Promise<void> {
  // Whoever left before this has nothing to do with it.
  await bus.stack.settled();
  const before = bus.logs.length;
  leavesRows = true;
  for (const socket of sockets) cut(socket);
  const failed = () => bus.logs.slice(before).filter((line) => line.includes('could not be cleaned up'));
  await expect.poll(failed).toHaveLength(sockets.length);
  leavesRows = false;
}

/** Makes every connection older than a connection that may still be opening. */
async function age(): Promise<void> {
  const { dynamodb, deployment } = bus.stack;
  const TableName = deployment.tables.find(({ name }) => name.includes('StoreBus'))!.name;
  const { body } = await dynamodb!.handle('Scan', { TableName });
  const { Items } = body as { Items: Record<string, Record<string, string>>[] };
  for (const { p, s, credentials, at } of Items) {
    if (credentials === undefined || at === undefined) continue;
    await dynamodb!.handle('UpdateItem', {
      TableName,
      Key: { p, s },
      UpdateExpression: 'SET #at = :at',
      ExpressionAttributeNames: { '#at': 'at' },
      ExpressionAttributeValues: { ':at': { N: String(Number(at.N) - 60_000) } },
    });
  }
}

/** The five applications' own ways to prove who somebody is. */
async function prove(): Promise<void> {
  const bearer = { authorization: `Bearer ${await token({ sub: '1' })}` };
  const sockets = await Promise.all([
    client('/', { extraHeaders: bearer }),
    client('/', { auth: { token: await token({ sub: '2' }) } }),
    client('/sync', { auth: { apiKey: CLOUD_API_KEY } }),
  ]);
  await fetch(`${bus.stack.origin}/api/chat/mensajes`, { headers: bearer });
  await fetch(`${bus.stack.origin}/sync/pull-changes`, {
    headers: { authorization: `Bearer ${CLOUD_API_KEY}` },
  });
  for (const socket of sockets) socket.disconnect();
}

/** What `poll` does that `message` does for others, and what a WebSocket that takes over needs; the one that polls on. */
async function pollAndUpgrade(): Promise<Socket> {
  const bearer = { authorization: `Bearer ${await token({ sub: '1' })}` };
  const polling = { transports: ['polling'] };
  const [poller, upgraded, ...proven] = await Promise.all([
    client('/everything', polling),
    client('/everything', { transports: ['polling', 'websocket'] }),
    client('/', { ...polling, extraHeaders: bearer }),
    client('/sync', { ...polling, auth: { apiKey: CLOUD_API_KEY } }),
  ]);
  await expect.poll(() => upgraded.io.engine.transport.name, { timeout: 5_000 }).toBe('websocket');
  expect(await poller.emitWithAck('everything', {})).toEqual({ ok: true });
  for (const socket of [upgraded, ...proven]) socket.disconnect();
  return poller;
}

/** Hangs up as soon as it may. */
async function hangUp(): Promise<void> {
  const socket = new WebSocket(
    `${bus.stack.origin.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`,
  );
  await new Promise<void>((resolve) => socket.once('open', () => resolve()));
  socket.terminate();
}

/** Every path of every function that uses a grant. */
async function drive(): Promise<void> {
  // Two that stay are an audience that is divided.
  const [watcher, active, lost, due] = await Promise.all([
    client('/everything'),
    client('/everything'),
    client('/everything'),
    client('/everything'),
    client('/everything'),
    prove(),
    hangUp(),
  ]);

  expect(await active.emitWithAck('everything', {})).toEqual({ ok: true });
  // Still there when its time is over: the sweep has to close it.
  await due.emitWithAck('expire', {});
  const namespace = '/everything';
  await publish({ op: 'app', app: 'everything', call: 'everything' });
  await publish({ op: 'socketsJoin', namespace, join: ['in:published'] });
  await publish({ op: 'socketsLeave', namespace, leave: ['in:published'] });

  await lose(lost);
  await age();
  await bus.stack.tick();
  const route = () => fetch(`${bus.stack.origin}/everything`, { method: 'POST' });
  await lose(await client('/everything'));
  await age();
  expect((await route()).status).toBe(200);

  // A frame that only servers send ends the connection.
  const ended = new Promise((resolve) => active.once('disconnect', resolve));
  active.io.engine.write('42/never-joined,["x"]');
  await ended;

  // Who cannot be posted to is closed: here by `disconnect`, whose hook emits to the watcher, by `http` and by `poll`.
  const poller = await pollAndUpgrade();
  const leaver = await client('/everything');
  const heardOfIt = heard(watcher, 'done');
  await route();
  await heardOfIt;
  bus.stack.faults.replace({
    calls: { 'connections.POST': { throttled: 1 }, 'connections.DELETE': { throttled: 1 } },
  });
  poller.emit('everything', {});
  cut(leaver);
  await route();
  // By now `disconnect` has begun too, and what it posts has been refused for almost as long.
  await bus.stack.settled(20_000);
  bus.stack.faults.clear();
  await publish({ op: 'disconnectSockets', namespace, close: true });
  await bus.stack.settled();
}

test('what the roles allow is what the functions need', { timeout: 120_000 }, async () => {
  // A denial is why the drive failed, and says more.
  const failure = await drive().then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(denials()).toEqual([]);
  if (failure !== undefined) throw failure;
  expect(grants().flatMap(({ name, isUsed }) => (isUsed ? [] : [name]))).toEqual([]);
});

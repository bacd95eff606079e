import { fileURLToPath } from 'node:url';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logUnits } from '../../dev/cost/bill.ts';
import { fanOutTo, measuredFanOuts } from '../../dev/cost/fan-out.ts';
import { type CostPage, readCostPage } from '../../dev/cost/page.ts';
import { synthesise } from '../support/assembly.ts';
import { alive } from '../support/bus-rows.ts';
import { type Meter, meter, type Usage } from '../support/meter.ts';
import { heard, startTestStack, type TestStack } from '../support/stack.ts';

const APP = fileURLToPath(new URL('../integration/fixtures/apps/echo.ts', import.meta.url));
const MINUTE_MS = 60_000;

let bus: TestStack;
let counted: Meter;
let page: CostPage;
/** What a tick uses that has nothing to do. */
let idleTick: Usage;
beforeAll(async () => {
  counted = meter();
  // Whether packets are told of is decided by chance; with limits as large as can be a session has hardly any chance of it.
  const limits = { EVENTS_PER_SECOND: '10000', EVENT_BURST: '10000' };
  const settings = { APPS: APP, IDENTITY: 'trusted', ...limits };
  const { onAuthorized } = counted;
  [page, bus] = await Promise.all([
    readCostPage(),
    startTestStack({ assembly: synthesise(settings), onAuthorized }),
  ]);
  counted.watch(bus.stack);
  await used(() => bus.stack.tick());
  idleTick = await tick();
});
afterAll(() => bus.close());

/** What is used until everything that it causes has been done. */
async function used(act: () => Promise<unknown>): Promise<Usage> {
  await act();
  await bus.stack.settled();
  return counted.take();
}

async function tick(): Promise<Usage> {
  await bus.stack.advance(MINUTE_MS);
  return used(() => bus.stack.tick());
}

/** The sum, and what the functions of clients were invoked for; the sweep's own is that of the deployment. */
function sum(usages: readonly Usage[]) {
  const add = (count: (usage: Usage) => number) => usages.reduce((total, usage) => total + count(usage), 0);
  const requests = ({ invocations }: Usage) =>
    Object.entries(invocations).reduce((total, [name, n]) => total + (name === 'sweep' ? 0 : n), 0);
  return {
    writeUnits: add(({ writes }) => writes),
    readUnits: add(({ reads }) => reads),
    lambdaRequests: add(requests),
    posts: add(({ posts }) => posts),
    httpRequests: add(({ invocations }) => invocations.poll ?? 0),
  };
}

/** A client that connects, joins a room, is looked at after 45 s, and is cut; without the pings of that time. */
async function session(transports: string[]): Promise<ReturnType<typeof sum>> {
  const client = bus.client({ transports });
  const parts = [await used(() => onWebSocket(client))];
  parts.push(await used(() => client.emitWithAck('join', { room: transports.join() })));
  const ticks = [await tick(), await tick()];
  parts.push(await used(() => cut(client)));
  const { readUnits, writeUnits, ...rest } = sum([...parts, ...ticks]);
  const pings = ticks.reduce((total, { posts }) => total + posts, 0);
  return {
    ...rest,
    readUnits: readUnits - 2 * idleTick.reads,
    writeUnits: writeUnits - 2 * idleTick.writes - pings,
    lambdaRequests: rest.lambdaRequests - pings,
    posts: rest.posts - pings,
  };
}

async function onWebSocket(client: Socket): Promise<void> {
  await heard(client, 'connect');
  await expect.poll(() => client.io.engine.transport.name, { timeout: 8_000 }).toBe('websocket');
}

/** Until its heartbeat slot, the last row to go, has gone. */
async function cut(client: Socket): Promise<void> {
  client.io.engine.close();
  await expect.poll(async () => (await alive(bus.stack)).slots).toBe(0);
}

describe('a step of docs/cost.md', () => {
  test('is what a session over a WebSocket uses', async () => {
    const { messages, gigabyteSeconds: _assumed, ...step } = page.step('a session over a WebSocket');
    // CONNECT and the event are the client's own messages.
    expect(await session(['websocket'])).toEqual({ ...step, posts: messages - 2 });
  });

  test('is what a session with default options uses, give or take a poll', async () => {
    const { messages, gigabyteSeconds: _assumed, ...step } = page.step('a session with default options');
    const found = await session(['polling', 'websocket']);
    // Those of the client: the probe, the upgrade, the event.
    expect(found.posts).toBe(messages - 3);
    expect(Math.abs(found.httpRequests - step.httpRequests)).toBeLessThanOrEqual(2);
    for (const unit of ['writeUnits', 'readUnits', 'lambdaRequests'] as const) {
      expect(found[unit] / step[unit], unit).toBeGreaterThan(0.75);
      // What a request waits for is looked at more often where it takes longer, as on a machine that is busy.
      expect(found[unit] / step[unit], unit).toBeLessThan(unit === 'readUnits' ? 5 : 1.35);
    }
  });

  describe('of somebody who is there', () => {
    let client: Socket;
    beforeAll(async () => {
      client = bus.client();
      await used(() => heard(client, 'connect'));
      await used(() => client.emitWithAck('join', { room: 'x' }));
      // After those in which what is due 45 s after it connected is done.
      await tick();
      await tick();
    });

    test('is what an event uses', async () => {
      const { messages, gigabyteSeconds: _assumed, ...step } = page.step('an event of a client');
      const again = await used(() => client.emitWithAck('join', { room: 'x' }));
      expect(sum([again])).toEqual({ ...step, posts: messages - 1 });
    });

    test.each([
      ['short', 200],
      ['of more than a kilobyte', 2_000],
      ['of several', 4_500],
    ])('is what a publish uses that is %s, with what its audience is read by', async (_what, bytes) => {
      const { writeUnits } = page.step('a publish');
      const request = { op: 'emit', rooms: ['all:x'], event: 'said', args: [{ text: 'x'.repeat(bytes) }] };
      const found = sum([await used(() => bus.stack.invoke('publish', request))]);
      const { readUnits } = fanOutTo(1, await measuredFanOuts());
      expect(found).toEqual({
        writeUnits: writeUnits * logUnits(bytes),
        readUnits: Math.floor(readUnits),
        lambdaRequests: 1,
        posts: 1,
        httpRequests: 0,
      });
    });

    test('is what a ping and its pong use, in a cycle', async () => {
      const {
        messages,
        readUnits: _row,
        gigabyteSeconds: _assumed,
        ...step
      } = page.step('a ping and its pong');
      const ticks = [await tick(), await tick(), await tick(), await tick()];
      const { readUnits, ...found } = sum(ticks);
      expect({ ...found, writeUnits: found.writeUnits - 4 * idleTick.writes }).toEqual({
        ...step,
        posts: messages - 1,
      });
      // A page of rows is read in any case; what a row adds is too little to be seen.
      expect(readUnits).toBe(4 * idleTick.reads);
    });
  });
});

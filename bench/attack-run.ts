/** An attack on a running stack with `relay-app.ts`, and what honest clients notice of it. */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import pMap from 'p-map';
import { connectRaw, type RawClient } from './raw-client.ts';

export interface AttackOptions {
  /** Clients that relay an event once a second and wait for its acknowledgement, two to a room. */
  readonly honest: number;
  /** Connections that send as fast as the attacker can, until they are closed. */
  readonly hostile: number;
  /** How many of them do so at a time: one machine emulates what AWS does on as many as it takes. */
  readonly together: number;
  /** Events that each of them sends in a second. */
  readonly perSecond: number;
  /** Of the quiet run. */
  readonly seconds: number;
}

export interface Heard {
  /** From the event to its acknowledgement; ms. */
  readonly latencies: readonly number[];
  /** Events without an acknowledgement. */
  readonly lost: number;
}

export interface Hostile {
  readonly sent: number;
  readonly accepted: number;
  readonly refused: number;
  readonly closed: number;
  /** Accepted of the one that got furthest. */
  readonly mostAccepted: number;
  /** What each had accepted, and how long it lasted. */
  readonly each: readonly { readonly accepted: number; readonly seconds: number }[];
}

const BATCH_MS = 100;
/** A connection that is not closed after so many frames is not held by any bound. */
const MOST_FRAMES = 5_000;
const PATIENCE_MS = 20_000;

export async function attack(
  origin: string,
  { honest, hostile, together, perSecond, seconds }: AttackOptions,
): Promise<{ readonly quiet: Heard; readonly attacked: Heard; readonly hostile: Hostile }> {
  const clients = await pMap(
    Array.from({ length: honest }, (_, n) => n),
    (n) => enter(origin, n),
    {
      concurrency: 10,
    },
  );
  try {
    const quiet = await listen(clients, pause(seconds * 1_000));
    const flood = pMap(Array.from({ length: hostile }), () => assail(origin, perSecond), {
      concurrency: together,
    });
    const [attacked, each] = await Promise.all([listen(clients, flood), flood]);
    const sum = (count: (one: Assault) => number) => each.reduce((total, one) => total + count(one), 0);
    return {
      quiet,
      attacked,
      hostile: {
        sent: sum(({ sent }) => sent),
        accepted: sum(({ accepted }) => accepted),
        refused: sum(({ refused }) => refused),
        closed: sum(({ closed }) => Number(closed)),
        each,
        mostAccepted: Math.max(0, ...each.map(({ accepted }) => accepted)),
      },
    };
  } finally {
    for (const { ws } of clients) ws.terminate();
  }
}

async function enter(origin: string, n: number): Promise<RawClient> {
  const client = await connectRaw(origin);
  await client.call('enter', { pair: String(Math.floor(n / 2)) });
  return client;
}

/** Relays once a second from each client, spread over the second, until something is over. */
async function listen(clients: readonly RawClient[], over: Promise<unknown>): Promise<Heard> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  // Why it ended is for whoever waits for it.
  over.then(end, end);
  const latencies: number[] = [];
  let lost = 0;
  await Promise.all(
    clients.map(async ({ call }, n) => {
      await pause((n * 1_000) / clients.length);
      while (!isOver) {
        const begin = performance.now();
        const answer = call('relay', { pair: String(Math.floor(n / 2)), n });
        const heard = await Promise.race([answer.then(() => true), pause(PATIENCE_MS, false)]);
        if (heard) latencies.push(performance.now() - begin);
        else lost += 1;
        await pause(Math.max(0, 1_000 - (performance.now() - begin)));
      }
    }),
  );
  return { latencies, lost };
}

interface Assault {
  readonly sent: number;
  readonly accepted: number;
  readonly refused: number;
  readonly closed: boolean;
  readonly seconds: number;
}

/** One hostile connection, from its begin to its end. */
async function assail(origin: string, perSecond: number): Promise<Assault> {
  const { ws } = await connectRaw(origin);
  const begin = performance.now();
  let [sent, accepted, refused, closed] = [0, 0, 0, false];
  ws.on('message', (data: Buffer) => {
    const frame = data.toString('utf8');
    if (!frame.startsWith('43')) return;
    if (frame.includes('rate_limited')) refused += 1;
    else accepted += 1;
  });
  const end = once(ws, 'close').then(() => {
    closed = true;
  });
  const batch = Math.ceil((perSecond * BATCH_MS) / 1_000);
  while (!closed && sent < MOST_FRAMES) {
    for (let n = 0; n < batch; n += 1) ws.send('421["relay",{"pair":"hostile","n":1}]', () => {});
    sent += batch;
    await Promise.race([end, pause(BATCH_MS)]);
  }
  await Promise.race([end, pause(PATIENCE_MS)]);
  ws.terminate();
  return { sent, accepted, refused, closed, seconds: (performance.now() - begin) / 1_000 };
}

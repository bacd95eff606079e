/** An attack on a running stack with `relay-app.ts`, and what honest clients notice of it. */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import pMap from 'p-map';
import { WebSocket } from 'ws';
import { type Assault, type Malice, MOST_FRAMES } from './attack-rows.ts';
import { connectRaw, type RawClient } from './raw-client.ts';

export interface AttackOptions {
  /** Clients that relay an event and wait for its acknowledgement, two to a room. */
  readonly honest: number;
  /** How often each of them does; ms. */
  readonly everyMs: number;
  /** Hostile connections in the order in which they come. */
  readonly hostile: readonly Malice[];
  /** They come spread over this time, as long as the quiet run before. */
  readonly seconds: number;
  /** Events that one which floods sends in a second. */
  readonly perSecond: number;
  /** How long a hostile connection may stay open. */
  readonly patienceMs: number;
}

export interface Heard {
  /** From the event to its acknowledgement; ms. */
  readonly latencies: readonly number[];
  /** Events without an acknowledgement. */
  readonly lost: number;
}

const BATCH_MS = 100;
const ANSWER_MS = 20_000;

/** Honest clients for a while alone, then with the attack, until the last of it is over. */
export async function attack(
  origin: string,
  options: AttackOptions,
): Promise<{ readonly quiet: Heard; readonly attacked: Heard; readonly assaults: readonly Assault[] }> {
  const { everyMs, honest, hostile, seconds } = options;
  const numbers = Array.from({ length: honest }, (_, n) => n);
  const clients = await pMap(numbers, (n) => enter(origin, n), { concurrency: 10 });
  try {
    // Until each instance has compiled what it does.
    await listen(clients, everyMs, pause(2 * everyMs));
    const quiet = await listen(clients, everyMs, pause(seconds * 1_000));
    const coming = hostile.map(async (malice, n) => {
      await pause((n * seconds * 1_000) / hostile.length);
      return await assail(origin, malice, options);
    });
    const all = Promise.all(coming);
    const [attacked, assaults] = await Promise.all([
      // Those that only wait for their end would make the rest a quiet run.
      listen(clients, everyMs, Promise.race([all, pause(seconds * 1_000)])),
      all,
    ]);
    return { quiet, attacked, assaults };
  } finally {
    for (const { ws } of clients) ws.terminate();
  }
}

async function enter(origin: string, n: number): Promise<RawClient> {
  const client = await connectRaw(origin);
  await client.call('enter', { pair: String(Math.floor(n / 2)) });
  return client;
}

/** Relays from each client, spread over the time between two events of it, until something is over. */
async function listen(
  clients: readonly RawClient[],
  everyMs: number,
  over: Promise<unknown>,
): Promise<Heard> {
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
      await pause((n * everyMs) / clients.length);
      while (!isOver) {
        const begin = performance.now();
        const answer = call('relay', { pair: String(Math.floor(n / 2)), n });
        const heard = await Promise.race([answer.then(() => true), pause(ANSWER_MS, false)]);
        if (heard) latencies.push(performance.now() - begin);
        else lost += 1;
        await pause(Math.max(0, everyMs - (performance.now() - begin)));
      }
    }),
  );
  return { latencies, lost };
}

async function assail(origin: string, malice: Malice, options: AttackOptions): Promise<Assault> {
  const ws = malice === 'flood' ? (await connectRaw(origin)).ws : await open(origin);
  const begin = performance.now();
  let [sent, accepted, closed] = [0, 0, false];
  ws.on('message', (data: Buffer) => {
    const frame = data.toString('utf8');
    if (frame.startsWith('43') && !frame.includes('rate_limited')) accepted += 1;
  });
  const end = once(ws, 'close').then(() => {
    closed = true;
  });
  if (malice === 'garbage') {
    ws.send('no packet');
    sent = 1;
  }
  const batch = malice === 'flood' ? Math.ceil((options.perSecond * BATCH_MS) / 1_000) : 0;
  while (batch > 0 && !closed && sent < MOST_FRAMES) {
    for (let n = 0; n < batch; n += 1) ws.send('421["relay",{"pair":"hostile","n":1}]', () => {});
    sent += batch;
    await Promise.race([end, pause(BATCH_MS)]);
  }
  await Promise.race([end, pause(options.patienceMs)]);
  ws.terminate();
  return { malice, sent, accepted, closed, seconds: (performance.now() - begin) / 1_000 };
}

/** A connection that does not ask for a namespace. */
async function open(origin: string): Promise<WebSocket> {
  const ws = new WebSocket(`${origin.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`);
  ws.on('error', () => undefined);
  await once(ws, 'open');
  return ws;
}

/**
 * How long an event takes from one client to the other in a room of two, beside a stock Socket.IO server.
 *
 *     npm run bench -- event [seconds] [instances] [pairs]
 *
 * Each server runs in a process of its own, the clients in this one, all over WebSockets; the local stack emulates the
 * gateway, Lambda and DynamoDB on the same cores. Events are sent at a fixed rate, spread over the pairs, whether or not the
 * ones before have arrived; each rate goes to the stock server and to the stack one after the other. Where fewer arrive in
 * a second than are sent, latencies are those of a growing queue; what has not arrived 20 s after the last was sent is
 * lost. Bound: p50 and p99 at most 12 times the stock server's at 100 events/s.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import { child } from './child.ts';
import { type Bench, type BenchResult, percentile, type Row } from './result.ts';

const RATES = [10, 100, 1_000];
/** A bound is for this one. */
const BOUND_RATE = 100;
const BOUND = 12;
/** Until the engine has compiled what is hot: the stack's first events take ten times as long. */
const WARM_UP = { perSecond: 60, seconds: 30 };
/** What has not arrived so long after the last was sent is lost. */
const PATIENCE_MS = 20_000;

interface Load {
  readonly perSecond: number;
  readonly seconds: number;
}

interface Pair {
  readonly name: string;
  readonly sender: Socket;
  readonly receiver: Socket;
}

interface Relayed {
  readonly sent: number;
  /** Of those that arrived, in the order of arrival; ms. */
  readonly latencies: readonly number[];
  /** From the first that was sent to the last that arrived. */
  readonly seconds: number;
  readonly repeated: number;
}

const SERVERS = { stock: 'Socket.IO server', stack: 'local stack' } as const;
type Kind = keyof typeof SERVERS;

export const bench: Bench = async ([seconds = '10', instances = '3', pairs = '10']) => {
  const stock = await child<string>('event-server.ts', ['stock']);
  const stack = await child<string>('event-server.ts', ['stack', instances]);
  const rooms = new Map<Kind, readonly Pair[]>();
  try {
    rooms.set('stock', await enterAll(stock.said, Number(pairs)));
    rooms.set('stack', await enterAll(stack.said, Number(pairs)));
    for (const both of rooms.values()) await relay(both, WARM_UP);
    const measured: { readonly kind: Kind; readonly rate: number; readonly relayed: Relayed }[] = [];
    for (const rate of RATES) {
      for (const [kind, both] of rooms) {
        // Enough for a 99th percentile of the slowest rate.
        const load = { perSecond: rate, seconds: Math.max(Number(seconds), 200 / rate) };
        measured.push({ kind, rate, relayed: await relay(both, load) });
      }
    }
    return summary(measured);
  } finally {
    for (const { sender, receiver } of [...rooms.values()].flat()) {
      sender.disconnect();
      receiver.disconnect();
    }
    await Promise.all([stock.end(), stack.end()]);
  }
};

async function enterAll(origin: string, count: number): Promise<readonly Pair[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const name = String(n);
      const [sender, receiver] = await Promise.all([enter(origin, name), enter(origin, name)]);
      return { name, sender, receiver };
    }),
  );
}

async function enter(origin: string, pair: string): Promise<Socket> {
  const socket = io(origin, { transports: ['websocket'], forceNew: true });
  const answer: unknown = await socket.timeout(30_000).emitWithAck('enter', { pair });
  if ((answer as { ok?: boolean }).ok !== true) throw new Error(`refused: ${JSON.stringify(answer)}`);
  return socket;
}

async function relay(pairs: readonly Pair[], { perSecond, seconds }: Load): Promise<Relayed> {
  const count = Math.round(perSecond * seconds);
  const sentAt = new Map<number, number>();
  const latencies: number[] = [];
  let repeated = 0;
  let last = performance.now();
  let arrivedAll = () => {};
  const all = new Promise<void>((resolve) => {
    arrivedAll = resolve;
  });
  const arrive = ({ n }: { n: number }) => {
    const at = sentAt.get(n);
    if (at === undefined) {
      repeated += 1;
      return;
    }
    sentAt.delete(n);
    last = performance.now();
    latencies.push(last - at);
    if (latencies.length === count) arrivedAll();
  };
  for (const { receiver } of pairs) receiver.on('relay', arrive);
  const begin = performance.now();
  for (let n = 0; n < count; n += 1) {
    const ahead = begin + (n * 1_000) / perSecond - performance.now();
    if (ahead > 0) await pause(ahead);
    const pair = pairs[n % pairs.length];
    sentAt.set(n, performance.now());
    pair?.sender.emit('relay', { pair: pair.name, n });
  }
  await Promise.race([all, pause(PATIENCE_MS, undefined, { ref: false })]);
  for (const { receiver } of pairs) receiver.off('relay', arrive);
  return { sent: count, latencies, seconds: (last - begin) / 1_000, repeated };
}

function summary(
  measured: readonly { readonly kind: Kind; readonly rate: number; readonly relayed: Relayed }[],
): BenchResult {
  const at = (kind: Kind, rate: number, share: number) =>
    percentile(
      measured.find((one) => one.kind === kind && one.rate === rate)?.relayed.latencies ?? [],
      share,
    );
  const times = (rate: number, share: number) => at('stack', rate, share) / at('stock', rate, share);
  return {
    rows: measured.map(
      ({ kind, rate, relayed }): Row => ({
        server: SERVERS[kind],
        'events/s': rate,
        'p50 (ms)': at(kind, rate, 0.5),
        'p99 (ms)': at(kind, rate, 0.99),
        'arrived/s': relayed.latencies.length / relayed.seconds,
        sent: relayed.sent,
        lost: relayed.sent - relayed.latencies.length,
        repeated: relayed.repeated,
      }),
    ),
    ratios: {
      ...Object.fromEntries(
        RATES.flatMap((rate) => [
          [`p50 at ${rate}/s`, times(rate, 0.5)],
          [`p99 at ${rate}/s`, times(rate, 0.99)],
        ]),
      ),
      [`p50 / bound at ${BOUND_RATE}/s`]: times(BOUND_RATE, 0.5) / BOUND,
      [`p99 / bound at ${BOUND_RATE}/s`]: times(BOUND_RATE, 0.99) / BOUND,
    },
  };
}

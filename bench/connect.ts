/**
 * How long clients with default options take to connect and to be upgraded, all at once, beside a stock Socket.IO
 * server.
 *
 *     npm run bench -- connect [clients] [instances]
 *
 * Each server runs in a process of its own, the clients in this one; first the stock server, then the local stack, which
 * emulates the gateway, Lambda and DynamoDB on the same cores. `instances` is how many each function may have at a
 * time: what comes beyond them waits in a queue, as it would not on AWS. Fails unless every client is upgraded.
 */
import { io, type Socket } from 'socket.io-client';
import { child } from './child.ts';
import { type Bench, percentile } from './result.ts';

const PATIENCE_MS = 300_000;
/** Clients that warm up both sides and are not counted. */
const WARM_UP = 40;

interface Measured {
  /** Per client, from its creation; ms. */
  readonly connected: number[];
  readonly upgraded: number[];
  /** Why clients lost their connection or did not get one, and tried again; how often. */
  readonly retries: Map<string, number>;
}

export const bench: Bench = async ([clients = '500', instances = '8']) => {
  const stock = await measure('stock', Number(clients), instances);
  const ours = await measure('stack', Number(clients), instances);
  return {
    rows: [
      { server: 'Socket.IO server', ...figures(stock), retries: retries(stock) },
      { server: 'local stack', ...figures(ours), retries: retries(ours) },
    ],
    ratios: Object.fromEntries(
      Object.entries(figures(ours)).map(([name, figure]) => [
        name.replace(' (ms)', ''),
        figure / (figures(stock)[name] ?? Number.NaN),
      ]),
    ),
  };
};

async function measure(kind: 'stock' | 'stack', clients: number, instances: string): Promise<Measured> {
  const server = await child<string>('connect-server.ts', [kind, instances]);
  try {
    // What is measured is connecting, not the start of instances.
    await connectAll(server.said, WARM_UP);
    return await connectAll(server.said, clients);
  } finally {
    await server.end();
  }
}

async function connectAll(origin: string, clients: number): Promise<Measured> {
  const measured: Measured = { connected: [], upgraded: [], retries: new Map() };
  const sockets: Socket[] = [];
  const all = Promise.all(Array.from({ length: clients }, () => follow(origin, sockets, measured)));
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => {
      const { connected, upgraded } = measured;
      const counts = `${connected.length} connected, ${upgraded.length} upgraded, ${retries(measured)} retries`;
      reject(new Error(`${counts} of ${clients} after ${PATIENCE_MS / 1_000} s`));
    }, PATIENCE_MS).unref();
  });
  try {
    await Promise.race([all, late]);
    const lost = sockets.filter((socket) => !socket.connected);
    if (lost.length > 0) throw new Error(`${lost.length} clients were lost again`);
    return measured;
  } finally {
    for (const socket of sockets) socket.disconnect();
  }
}

/** Resolves when one client is connected and upgraded. */
async function follow(origin: string, sockets: Socket[], measured: Measured): Promise<void> {
  const begin = performance.now();
  // With the same origin and namespace each call opens a connection of its own.
  const socket = io(origin);
  sockets.push(socket);
  const count = (why: string) => measured.retries.set(why, (measured.retries.get(why) ?? 0) + 1);
  socket.on('connect_error', ({ message }) => count(message));
  socket.on('disconnect', (reason) => {
    if (reason !== 'io client disconnect') count(reason);
  });
  const connected = new Promise<void>((resolve) => socket.once('connect', resolve));
  const upgraded = new Promise<void>((resolve) => {
    const watch = () => socket.io.engine.once('upgrade', () => resolve());
    watch();
    socket.io.on('reconnect_attempt', () => setImmediate(watch));
  });
  await Promise.all([
    connected.then(() => measured.connected.push(performance.now() - begin)),
    upgraded.then(() => measured.upgraded.push(performance.now() - begin)),
  ]);
}

/** p50 and p99 of both. */
function figures({ connected, upgraded }: Measured): Record<string, number> {
  return {
    'connected p50 (ms)': percentile(connected, 0.5),
    'connected p99 (ms)': percentile(connected, 0.99),
    'upgraded p50 (ms)': percentile(upgraded, 0.5),
    'upgraded p99 (ms)': percentile(upgraded, 0.99),
  };
}

function retries({ retries: all }: Measured): string {
  const sum = [...all.values()].reduce((total, count) => total + count, 0);
  const reasons = [...all].map(([why, count]) => `${count} ${why}`).join(', ');
  return sum === 0 ? '0' : `${sum} (${reasons})`;
}

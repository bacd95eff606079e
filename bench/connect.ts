/**
 * How long clients with default options take to connect and to be upgraded, all at once, beside a stock Socket.IO
 * server. Run by hand:
 *
 *     node --import tsx bench/connect.ts [clients] [instances]
 *
 * Each server runs in a process of its own, the clients in this one; first the stock server, then the local stack, which
 * emulates the gateway, Lambda and DynamoDB on the same cores. `instances` is how many each function may have at a
 * time: what comes beyond them waits in a queue, as it would not on AWS. Fails unless every client is upgraded.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { startStack } from '../local/stack.ts';
import { synthesiseInto } from '../test/support/synthesis.ts';

const [role = '500', instances = '8'] = process.argv.slice(2);
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

if (role === 'stock') await serveStock();
else if (role === 'stack') await serveStack(Number(instances));
else await compare(Number(role));

async function compare(clients: number): Promise<void> {
  const [cpu] = cpus();
  console.log(`${clients} clients at once, at most ${instances} instances of each function`);
  console.log(`${availableParallelism()} × ${cpu?.model}, Node ${process.version}`);
  const stock = await measure('stock', clients);
  const ours = await measure('stack', clients);
  const rows = [
    ['', 'connected p50', 'p99', 'upgraded p50', 'p99', 'retries'],
    ['Socket.IO server', ...columns(stock), retries(stock)],
    ['local stack', ...columns(ours), retries(ours)],
    ['ratio', ...figures(ours).map((figure, n) => `${(figure / (figures(stock)[n] ?? 1)).toFixed(1)} ×`), ''],
  ];
  for (const row of rows)
    console.log(row.map((cell, n) => (n === 0 ? cell.padEnd(18) : ` ${cell}`.padStart(14))).join(''));
}

async function measure(kind: 'stock' | 'stack', clients: number): Promise<Measured> {
  const server = fork(fileURLToPath(import.meta.url), [kind, instances]);
  try {
    const [origin] = (await Promise.race([once(server, 'message'), failure(server)])) as [string];
    // What is measured is connecting, not the start of instances.
    await connectAll(origin, WARM_UP);
    return await connectAll(origin, clients);
  } finally {
    server.disconnect();
    await once(server, 'exit');
  }
}

async function failure(server: ChildProcess): Promise<never> {
  await once(server, 'exit');
  throw new Error('a server ended');
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

/** p50 and p99 of both; ms. */
function figures({ connected, upgraded }: Measured): number[] {
  return [connected, upgraded].flatMap((times) => {
    const sorted = [...times].sort((a, b) => a - b);
    return [0.5, 0.99].map((share) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN);
  });
}

function columns(measured: Measured): string[] {
  return figures(measured).map((time) => `${Math.round(time)} ms`);
}

function retries({ retries: all }: Measured): string {
  const sum = [...all.values()].reduce((total, count) => total + count, 0);
  const reasons = [...all].map(([why, count]) => `${count} ${why}`).join(', ');
  return sum === 0 ? '0' : `${sum} (${reasons})`;
}

/** Serves until the parent lets go. */
async function serveStock(): Promise<void> {
  const http = createServer();
  const server = new Server(http);
  await once(http.listen(0, '127.0.0.1'), 'listening');
  process.send?.(`http://localhost:${(http.address() as AddressInfo).port}`);
  await once(process, 'disconnect');
  await server.close();
}

async function serveStack(maxInstances: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
  try {
    await synthesiseInto(directory, { APPS: 'storefront-chat', IDENTITY: 'trusted' });
    const stack = await startStack({ assembly: directory, schedule: false, host: { maxInstances } });
    process.send?.(stack.origin);
    await once(process, 'disconnect');
    await stack.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Servers of a process of their own: each says its origin and serves until its parent lets go. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, type ServerOptions } from 'socket.io';
import { type LocalStack, startStack } from '../local/stack.ts';
import { synthesiseInto } from '../test/support/synthesis.ts';

/** A stock Socket.IO server. @param prepare gives it what it does for its clients */
export async function serveStock(
  prepare: (server: Server) => void = () => {},
  options: Partial<ServerOptions> = {},
): Promise<void> {
  const http = createServer();
  const server = new Server(http, options);
  prepare(server);
  await once(http.listen(0, '127.0.0.1'), 'listening');
  process.send?.(`http://localhost:${(http.address() as AddressInfo).port}`);
  await once(process, 'disconnect');
  await server.close();
}

/**
 * The local stack with one application, which believes in whom its clients say they are.
 *
 * @param prepare is given the stack before anybody knows of it
 * @param settings those that are not the defaults of a deployment
 * @param schedule whether it sweeps every minute
 */
export async function serveStack(
  application: string,
  maxInstances: number,
  prepare: (stack: LocalStack) => void = () => {},
  settings: Readonly<Record<string, string>> = {},
  schedule = false,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
  try {
    await synthesiseInto(directory, { APPS: application, IDENTITY: 'trusted', ...settings });
    // What waits for a turn on this machine would be done long ago on AWS, and does not count as running there.
    const host = { maxInstances, accountConcurrency: 100_000 };
    const stack = await startStack({ assembly: directory, schedule, host });
    prepare(stack);
    process.send?.(stack.origin);
    await once(process, 'disconnect');
    await stack.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

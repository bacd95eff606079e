/** A server that relays events, which says its origin and serves until its parent lets go: `[stock | stack, instances]`. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from 'socket.io';
import { startStack } from '../local/stack.ts';
import { synthesiseInto } from '../test/support/synthesis.ts';

const [kind, instances = '8'] = process.argv.slice(2);
if (kind === 'stock') await serveStock();
else await serveStack(Number(instances));

/** Does what `relay-app.ts` does. */
async function serveStock(): Promise<void> {
  const http = createServer();
  const server = new Server(http);
  server.on('connection', (socket) => {
    socket.on('enter', async ({ pair }: { pair: string }, answer: (result: object) => void) => {
      await socket.join(`pair:${pair}`);
      answer({ ok: true });
    });
    socket.on('relay', (event: { pair: string }) => {
      socket.to(`pair:${event.pair}`).emit('relay', event);
    });
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  process.send?.(`http://localhost:${(http.address() as AddressInfo).port}`);
  await once(process, 'disconnect');
  await server.close();
}

async function serveStack(maxInstances: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
  try {
    await synthesiseInto(directory, { APPS: './bench/relay-app.ts', IDENTITY: 'trusted' });
    const stack = await startStack({ assembly: directory, schedule: false, host: { maxInstances } });
    process.send?.(stack.origin);
    await once(process, 'disconnect');
    await stack.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

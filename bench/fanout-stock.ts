/** A stock Socket.IO server: `[sizes, by comma]`. The first clients are in the room of each size that counts them. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { whenAsked } from './child.ts';

/** Pings of ten thousand clients, every 25 s, would be measured too; with ours they are far apart. */
const PING_INTERVAL_MS = 10 * 60_000;

const sizes = (process.argv[2] ?? '').split(',').map(Number);
const http = createServer();
const io = new Server(http, { pingInterval: PING_INTERVAL_MS });
let connected = 0;
io.on('connection', (socket) => {
  const index = connected;
  connected += 1;
  socket.join(sizes.filter((size) => index < size).map(String));
});
whenAsked<{ readonly room: number; readonly event: string; readonly args: unknown[] }>(
  ({ room, event, args }) => {
    io.to(String(room)).emit(event, ...args);
  },
);
process.once('disconnect', () => process.exit());
await once(http.listen(0, '127.0.0.1', 4_096), 'listening');
process.send?.(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);

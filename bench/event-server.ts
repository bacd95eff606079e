/** A server that relays events: `[stock | stack | guarded, instances]`; `guarded` keeps the limits of a deployment, and sweeps. */
import type { Server } from 'socket.io';
import { serveStack, serveStock } from './serve.ts';

/** A few pairs make all the load that is measured. */
const UNLIMITED = { EVENTS_PER_SECOND: '10000', EVENT_BURST: '10000' };

const [kind, instances = '8'] = process.argv.slice(2);
if (kind === 'stock') await serveStock(relay);
else
  await serveStack(
    './bench/relay-app.ts',
    Number(instances),
    undefined,
    kind === 'guarded' ? {} : UNLIMITED,
    kind === 'guarded',
  );

/** Does what `relay-app.ts` does. */
function relay(server: Server): void {
  server.on('connection', (socket) => {
    socket.on('enter', async ({ pair }: { pair: string }, answer: (result: object) => void) => {
      await socket.join(`pair:${pair}`);
      answer({ ok: true });
    });
    socket.on('relay', (event: { pair: string }) => {
      socket.to(`pair:${event.pair}`).emit('relay', event);
    });
  });
}

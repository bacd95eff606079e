/** A server whose clients are cut off all at once: `[stock | stack, instances]`. */
import type { Server } from 'socket.io';
import { sharedNow, whenAsked } from './child.ts';
import { serveStack, serveStock } from './serve.ts';

/** What it does when asked; it answers a cut with when it was. */
export type Command =
  | { readonly do: 'cut' }
  | { readonly do: 'tell'; readonly room: string; readonly n: number };

const [kind, instances = '8'] = process.argv.slice(2);
if (kind === 'stock') await serveStock(prepare, { connectionStateRecovery: {} });
else {
  await serveStack('./bench/recover-app.ts', Number(instances), ({ webSocketApi }) => {
    whenAsked<Command>(() => timed(() => webSocketApi?.cut()));
  });
}

/** Does what `recover-app.ts` does, and is its own backend. */
function prepare(server: Server): void {
  const namespace = server.of('/recover');
  namespace.on('connection', (socket) => {
    socket.on('enter', async ({ room }: { room: string }, answer: (result: object) => void) => {
      await socket.join(room);
      answer({ ok: true });
    });
  });
  whenAsked<Command>((command) =>
    timed(() => {
      if (command.do === 'tell') namespace.to(command.room).emit('told', { n: command.n });
      else for (const socket of namespace.sockets.values()) socket.conn.close();
    }),
  );
}

function timed(act: () => void): number {
  const at = sharedNow();
  act();
  return at;
}

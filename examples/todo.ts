import type { AppContext, AppRequest, Id, TokenIdentity } from 'socketbus/app';
import { BusError, defineApp, id, jwt } from 'socketbus/app';
import * as z from 'zod/mini';

const text = z.string().check(z.minLength(1), z.maxLength(200));
const lists = z.object({ lists: z.array(z.string()) });
const mayOpen = (claims: unknown, list: string) =>
  lists.safeParse(claims).data?.lists.includes(list) === true;
const tasksOf = (list: Id, { rows }: AppContext) => rows.query(`list:${list}`, { limit: 100 });

export default defineApp({
  name: 'todo',
  namespace: '/todo',
  auth: jwt({ onFailure: () => ({ kind: 'refused', message: 'a token is needed' }) }),
  rooms: { 'list:': { canJoin: ({ identity }, list) => mayOpen(identity?.claims, list) } },
  serverEvents: { added: z.object({ list: id(), text, by: id() }) },
  clientEvents: {
    open: { payload: z.object({ list: id() }), handle: (socket, { list }) => socket.join(`list:${list}`) },
    add: {
      payload: z.object({ list: id(), text }),
      async handle(socket, { list, text }, { rows, now, newId }) {
        const opened = await socket.eventually(() => socket.rooms.has(`list:${list}`));
        if (!opened || !socket.identity) throw new BusError('forbidden', 'open the list first');
        const task = { list, text, by: socket.identity.id };
        await rows.put(`list:${list}`, `${now()}-${newId()}`, task);
        await socket.nsp.to(`list:${list}`).emit('added', task);
        return { ok: true, task };
      },
    },
  },
  http: [{ method: 'GET', path: '/todo/tasks', handle: readTasks }],
  backend: { tasks: { args: z.tuple([id()]), handle: (_io, [list], context) => tasksOf(list, context) } },
});

async function readTasks({ query, identity }: AppRequest<TokenIdentity>, _: unknown, app: AppContext) {
  const { list = '' } = query;
  if (!mayOpen(identity?.claims, list)) throw new BusError('forbidden', 'the token does not name the list');
  return { status: 200, body: { tasks: await tasksOf(list, app) } };
}

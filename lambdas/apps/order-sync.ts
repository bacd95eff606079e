/**
 * Tells the machines of a back office that there is something to pull. A change is pending from when it is recorded
 * until it is confirmed, or for 30 days.
 */
import * as z from 'zod/mini';
import type { AppContext, HttpAnswer, Json, Millis } from '../bus/public.ts';
import { type NewChange, newChangeSchema } from '../contract/changes.ts';
import { MAX_PACKET_BYTES } from '../contract/publish.ts';
import { apiKey, requireApiKey } from './api-key.ts';
import {
  type AppRequest,
  defineApp,
  type EventSchemas,
  type Id,
  id,
  type Namespace,
  timestamp,
} from './define-app.ts';
import { limitOf, parsedInput } from './http-input.ts';
import { timeBound, timeOrderedId } from './time-ordered-ids.ts';

/** All changes are one partition, in the order of their ids: DynamoDB takes 1,000 writes per second of 1 KB to it. */
const CHANGES = 'changes';
const PENDING_MS = 30 * 24 * 60 * 60_000;
const ORDER = 'order';

const PULL_LIMIT = 500;
/** What one pull brings, one confirm can take. */
const MAX_PULL = 1_000;
/** Lambda answers with 6 MB at most (quotas page), of a JSON text in which quotes are escaped a second time. */
const MAX_PULL_BYTES = 2_500_000;
/** The event's name, the namespace and the brackets around the orders. */
const MAX_ORDERS_BYTES = MAX_PACKET_BYTES - 1_024;
/** Rows read at once. */
const PAGE = 200;

const confirmation = z.object({
  ids: z.array(id()).check(z.maxLength(MAX_PULL, `must not exceed ${MAX_PULL} ids`)),
});

const serverEvents = {
  'changes:pending': z.undefined(),
  'orders:pending': z.array(
    z.object({ id: z.string(), type: z.string(), entityId: id(), data: z.json(), createdAt: timestamp() }),
  ),
} satisfies EventSchemas;

/** A recorded change, as it is stored, pulled and sent. */
export interface Change {
  readonly id: string;
  readonly type: string;
  readonly entityId: Id;
  readonly data: NewChange['data'];
  /** ISO 8601. */
  readonly createdAt: string;
}

type SyncNamespace = Namespace<typeof serverEvents, undefined>;

export const orderSync = defineApp({
  name: 'order-sync',
  namespace: '/sync',
  // Its nudge has no argument at all, so no offset either; who comes back is told whether anything is pending.
  recovery: false,
  auth: apiKey(),
  serverEvents,
  startupLines: () => ['WebSocket sync notification service initialized'],

  async onConnect(socket, context) {
    if (await anyPending(context)) await socket.emit('changes:pending');
  },

  clientEvents: {
    'sync:orders': {
      // It takes no data; whatever a client sends along is ignored.
      payload: z.optional(z.unknown()),
      /** The oldest orders that fit into one frame; `more` in the acknowledgement tells of others. */
      async handle(socket, _payload, context) {
        const { changes, more } = await pending(context, {
          limit: Number.POSITIVE_INFINITY,
          bytes: MAX_ORDERS_BYTES,
          matches: ({ type }) => type.startsWith(ORDER),
        });
        await socket.emit('orders:pending', changes);
        return { ok: true, count: changes.length, more };
      },
    },
    'sync:confirm': {
      payload: confirmation,
      async handle(socket, { ids }, context) {
        return { ok: true, pending: await confirm(socket.nsp, context, ids) };
      },
    },
  },

  http: [
    { method: 'GET', path: '/sync/pull-changes', handle: pullChanges },
    { method: 'POST', path: '/sync/confirm-changes', handle: confirmChanges },
  ],

  backend: {
    recordChange: {
      args: z.tuple([newChangeSchema]),
      handle: (io, [change], context) => recordChange(io, context, change),
    },
  },
});

async function pullChanges(
  { headers, query }: AppRequest<undefined>,
  _io: SyncNamespace,
  context: AppContext,
): Promise<HttpAnswer> {
  await requireApiKey(headers, context);
  const limit = limitOf(query.limit, PULL_LIMIT, MAX_PULL);
  return { status: 200, body: await pending(context, { limit, bytes: MAX_PULL_BYTES }) };
}

async function confirmChanges(
  { headers, body }: AppRequest<undefined>,
  io: SyncNamespace,
  context: AppContext,
): Promise<HttpAnswer> {
  await requireApiKey(headers, context);
  const { ids } = parsedInput(confirmation, body);
  return { status: 200, body: { ok: true, pending: await confirm(io, context, ids) } };
}

/** Once it is stored the change is recorded, whatever becomes of the notice: whoever connects next is told. */
async function recordChange(
  io: SyncNamespace,
  context: AppContext,
  { type, entityId, data }: NewChange,
): Promise<Pick<Change, 'id' | 'createdAt'>> {
  const now = context.now();
  const change: Change = {
    id: timeOrderedId(context),
    type,
    entityId,
    data,
    createdAt: new Date(now).toISOString(),
  };
  await context.rows.put(CHANGES, change.id, change as unknown as Json, { expiresAt: now + PENDING_MS });
  try {
    await io.emit('changes:pending');
  } catch (error) {
    context.log.error('a change is recorded and nobody could be told', { change: change.id, error });
  }
  return { id: change.id, createdAt: change.createdAt };
}

/** Whether changes are still pending then; everybody is told so, because nobody knows who will pull them. */
async function confirm(io: SyncNamespace, context: AppContext, ids: readonly Id[]): Promise<boolean> {
  const confirmed = await context.rows.delete(CHANGES, ids.map(String));
  const left = await anyPending(context);
  // Who confirms nothing each time it is told would tell everybody for ever.
  if (left && confirmed > 0) await io.emit('changes:pending');
  return left;
}

async function anyPending(context: AppContext): Promise<boolean> {
  const rows = await context.rows.query(CHANGES, { after: oldestPending(context.now()), limit: 1 });
  return rows.length > 0;
}

interface Wanted {
  readonly limit: number;
  /** Of all changes as JSON, with the commas between them. */
  readonly bytes: number;
  readonly matches?: (change: Change) => boolean;
}

/** The oldest pending changes, and whether there are more than were wanted. */
async function pending(
  context: AppContext,
  { limit, bytes, matches = () => true }: Wanted,
): Promise<{ readonly changes: Change[]; readonly more: boolean }> {
  const changes: Change[] = [];
  let size = 0;
  for (let after = oldestPending(context.now()); ; ) {
    const rows = await context.rows.query(CHANGES, { after, limit: PAGE });
    for (const { sort, value } of rows) {
      after = sort;
      const change = value as unknown as Change;
      if (!matches(change)) continue;
      size += Buffer.byteLength(JSON.stringify(change)) + 1;
      if (changes.length === limit || size > bytes) return { changes, more: true };
      changes.push(change);
    }
    if (rows.length < PAGE) return { changes, more: false };
  }
}

/** DynamoDB deletes expired rows within days: until then reads begin behind them. */
function oldestPending(now: Millis): string {
  return timeBound(now - PENDING_MS);
}

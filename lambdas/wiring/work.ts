/** What the functions ask `deliver` for. */
import * as z from 'zod/mini';
import type { DeliverWork, ReapWork } from '../bus/ports.ts';

const groupSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('room'), namespace: z.string(), room: z.string() }),
  z.object({ kind: z.literal('namespace'), namespace: z.string() }),
  z.object({ kind: z.literal('slot'), slot: z.number() }),
]);

const rangeWorkSchema = z.object({
  v: z.literal(1),
  kind: z.literal('range'),
  id: z.string(),
  name: z.exactOptional(z.string()),
  broadcast: z.string(),
  target: z.object({
    namespace: z.string(),
    rooms: z.array(z.string()),
    except: z.array(z.string()),
  }),
  range: z.object({ after: z.exactOptional(z.string()), through: z.exactOptional(z.string()) }),
  frames: z.array(z.string()).check(z.minLength(1)),
  volatile: z.boolean(),
  publishedAt: z.number(),
  logged: z.boolean(),
  perSecond: z.number().check(z.positive()),
  expected: z.number(),
}) satisfies z.ZodMiniType<DeliverWork>;

const reapWorkSchema = z.object({
  v: z.literal(1),
  kind: z.literal('reap'),
  gone: z.array(z.object({ id: z.string(), connectionId: z.string(), group: groupSchema })),
}) satisfies z.ZodMiniType<ReapWork>;

export const deliverEventSchema = z.discriminatedUnion('kind', [rangeWorkSchema, reapWorkSchema]);

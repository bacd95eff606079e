/** What may be asked of the log of a room, and what the answer looks like, by the publish contract and over HTTP. */
import * as z from 'zod/mini';
import { parseOffset } from './offsets.ts';

const MOST_EVENTS = 1_000;
const DEFAULT_EVENTS = 100;
const notLimit = `must be a whole number from 1 to ${MOST_EVENTS}`;

/** Which part of a room's log. */
export const historyQuery = {
  /** Only events after the one with this offset; without it the last ones. */
  since: z.optional(
    z.string().check(z.refine((text) => parseOffset(text) !== undefined, 'must be the offset of an event')),
  ),
  limit: z._default(z.int(notLimit).check(z.gte(1, notLimit), z.lte(MOST_EVENTS, notLimit)), DEFAULT_EVENTS),
};

export const historyQuerySchema = z.strictObject(historyQuery);
export type HistoryQuery = z.output<typeof historyQuerySchema>;

export const historySchema = z.object({
  /** Oldest first. */
  events: z.array(
    z.object({
      offset: z.string(),
      event: z.string(),
      /** Without the offset; binary values are placeholders into `attachments`, as in an emit. */
      args: z.array(z.json()),
      attachments: z.optional(z.array(z.string())),
      /** When it was published; milliseconds since the epoch. */
      at: z.number(),
    }),
  ),
  /** There are later events, or without `since` earlier ones, beyond the limit or a megabyte. */
  more: z.boolean(),
});
/** What is answered, with binary values taken out. */
export type EncodedHistory = z.output<typeof historySchema>;

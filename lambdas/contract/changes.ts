/** What a backend records for `order-sync`: one schema for the emitter, which refuses first, and the server. */
import * as z from 'zod/mini';

const MAX_TYPE_LENGTH = 128;
const MAX_ID_LENGTH = 256;
/** UTF-8 bytes of the JSON: one change and what is around it always fit into a frame of 128 KB. */
const MAX_DATA_BYTES = 102_400;

const utf8 = new TextEncoder();

export const newChangeSchema = z.object({
  /** Like `order.created`; what begins with `order` is an order. */
  type: z
    .string()
    .check(
      z.minLength(1, 'must not be empty'),
      z.maxLength(MAX_TYPE_LENGTH, `must not exceed ${MAX_TYPE_LENGTH} characters`),
    ),
  entityId: z.union(
    [
      z
        .string()
        .check(
          z.minLength(1, 'must not be empty'),
          z.maxLength(MAX_ID_LENGTH, `must not exceed ${MAX_ID_LENGTH} characters`),
        ),
      z.int(),
    ],
    'must be a string or a safe integer',
  ),
  /** Any JSON, `null` where there is nothing to say. */
  data: z
    .custom<z.core.util.JSONType>(isJson, { error: 'must be JSON', abort: true })
    .check(
      z.refine(
        (data) => utf8.encode(JSON.stringify(data)).length <= MAX_DATA_BYTES,
        `must not exceed ${MAX_DATA_BYTES} bytes as JSON`,
      ),
    ),
});

export type NewChange = z.output<typeof newChangeSchema>;

const json = z.json();

/** What contains itself, or is nested beyond any use, overflows the stack of the check: no JSON either. */
function isJson(value: unknown): boolean {
  try {
    return json.safeParse(value).success;
  } catch {
    return false;
  }
}

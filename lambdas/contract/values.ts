/** Values that occur in the payloads of many events. */
import * as z from 'zod/mini';

export type Id = string | number;

/** Longest id in characters: ids become parts of room names. */
const MAX_ID_LENGTH = 256;

/** An id: a string or a safe integer. `7` and `"7"` name the same room; echoes keep the type (the contract). */
export const id = () =>
  z.union(
    [
      z.string().check(
        z.minLength(1, 'must not be empty'),
        z.maxLength(MAX_ID_LENGTH, `must not exceed ${MAX_ID_LENGTH} characters`),
        z.refine((value) => value.isWellFormed(), 'must be well-formed Unicode'),
      ),
      z.int(),
    ],
    'must be a string or a safe integer',
  );

/** ISO 8601 in UTC, as `Date.toISOString` writes it. */
export const timestamp = () => z.iso.datetime();

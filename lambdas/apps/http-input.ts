/** What a request asks for, checked as event payloads are. */
import * as z from 'zod/mini';
import { invalidPayload, type Schema } from '../bus/public.ts';
import { firstIssue } from '../contract/issues.ts';

/** @throws BusError `invalid_payload` that names the field */
export function parsedInput<Output>(schema: Schema<Output>, value: unknown): Output {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return parsed.data;
  const { field, message } = firstIssue(parsed.error);
  throw invalidPayload(message, field === '' ? undefined : field);
}

/**
 * `?limit=`: how many at most. Asking for more than there may be gets as many as there may be.
 * @throws BusError `invalid_payload` for what is no whole number from 1 on
 */
export function limitOf(text: string | undefined, fallback: number, most: number): number {
  if (text === undefined || text === '') return fallback;
  if (!/^\d+$/.test(text) || Number(text) < 1) {
    throw invalidPayload('limit: must be a whole number from 1 on', 'limit');
  }
  return Math.min(Number(text), most);
}

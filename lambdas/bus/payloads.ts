/** Checking what comes in and what goes out against an application's definitions. */
import * as z from 'zod/mini';
import { firstIssue } from '../contract/issues.ts';
import { RESERVED_EVENTS } from '../contract/publish.ts';
import type { Application, Schema } from './application.ts';
import { BusError, invalidPayload } from './errors.ts';

/** @throws BusError `invalid_payload` that names the field. */
export function parsePayload<Output>(schema: Schema<Output>, value: unknown): Output {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return parsed.data;
  const { field, message } = firstIssue(parsed.error);
  throw invalidPayload(message, field === '' ? undefined : field);
}

/**
 * An application's own mistake is found where it is made: an event it did not declare, or a payload that is not
 * what it declared.
 * @throws BusError `invalid_payload`
 */
export function checkServerEvent(application: Application, event: string, args: readonly unknown[]): void {
  if (RESERVED_EVENTS.has(event)) throw invalidPayload(`${event} is a name reserved by Socket.IO`, 'event');
  const schema = Object.hasOwn(application.serverEvents, event) ? application.serverEvents[event] : undefined;
  if (schema === undefined) {
    throw new BusError('internal', `${application.name} does not declare the event ${event}`, {
      retryable: false,
    });
  }
  const parsed = z.safeParse(schema, args[0]);
  if (parsed.success && args.length <= 1) return;
  const { message } = parsed.success ? { message: 'takes one payload' } : firstIssue(parsed.error);
  throw new BusError('internal', `${application.name} emits a wrong ${event}: ${message}`, {
    retryable: false,
  });
}

/** When a connection is pinged, and when silence means that it is gone (design D4). */
import { createHash } from 'node:crypto';
import type { BusConfig } from './context.ts';

export const MINUTE_MS = 60_000;
/** Socket.IO's `connectTimeout`: a connection without a namespace is closed (socket.io `lib/client.ts`). */
export const CONNECT_TIMEOUT_MS = 45_000;
/** API Gateway closes every connection after two hours (WebSocket quotas page). */
export const MAX_CONNECTION_MS = 2 * 60 * MINUTE_MS;
/** Connections are recycled before the platform cuts them, at a random time in this range. */
export const RECYCLE_FROM_MS = 100 * MINUTE_MS;
export const RECYCLE_TO_MS = 118 * MINUTE_MS;
/** A 410 is no proof of absence while the connection may still be opening (design D2). */
export const OPENING_MS = 30_000;

/** The slot of the ping cycle that a connection belongs to; a pure function, so that a pong needs no read. */
export function slotOf(connectionId: string, intervalMinutes: number): number {
  const digest = createHash('sha256').update(`slot:${connectionId}`).digest();
  return digest.readUInt32BE(0) % intervalMinutes;
}

export function minuteOf(time: number): number {
  return Math.floor(time / MINUTE_MS);
}

/** The first minute whose sweep runs at or after a time. */
export function dueMinute(at: number): number {
  return Math.ceil(at / MINUTE_MS);
}

/** The slots that fell due in the minutes after `last` up to `now`, each once. */
export function dueSlots(last: number, now: number, intervalMinutes: number): number[] {
  const slots = new Set<number>();
  for (let minute = Math.max(last + 1, now - intervalMinutes + 1); minute <= now; minute += 1) {
    slots.add(minute % intervalMinutes);
  }
  return [...slots];
}

/** Two whole cycles without a pong, and the time a client has to answer the second ping. */
export function silenceLimitMs(
  config: Pick<BusConfig, 'pingIntervalMinutes' | 'pingTimeoutMinutes'>,
): number {
  return (2 * config.pingIntervalMinutes + config.pingTimeoutMinutes) * MINUTE_MS;
}

/** Rows of clients that poll: what waits for them, and which WebSocket belongs to whom. */
import type { Connection, PollSession, Probe } from '../bus/ports.ts';
import { connectionKey, pollKey } from './keys.ts';
import { lifetimeEnd, ROW_VERSION, type Row } from './rows.ts';
import type { Update } from './table-calls.ts';

export function openPollRow({ id, connectedAt }: Connection): Row {
  return {
    ...pollKey(id),
    v: ROW_VERSION,
    t: lifetimeEnd(connectedAt),
    id,
    open: true,
    at: connectedAt,
    asked: connectedAt,
    frames: [],
    tokens: [],
    bytes: 0,
    answered: 0,
    appended: 0,
    told: false,
  };
}

export function readPollSession(row: Row): PollSession {
  return {
    id: row.id as string,
    open: row.open === true,
    connectedAt: row.at as number,
    ...(typeof row.address === 'string' ? { address: row.address } : {}),
    ...(row.probe === undefined ? {} : { probe: row.probe as Probe }),
    frames: row.frames as string[],
    answered: row.answered as number,
    appended: row.appended as number,
    partial: (row.part ?? []) as string[],
    told: row.told === true,
  };
}

/** Stands where a connection of that address would: its frames come with the address alone. */
export function linkRow(owner: string, { address, at }: Probe): Row {
  return {
    ...connectionKey(address),
    v: ROW_VERSION,
    t: lifetimeEnd(at),
    id: address,
    link: owner,
    open: true,
    at,
  };
}

/** The connection that a WebSocket's row points to. */
export function linkedTo(row: Row): string | undefined {
  return typeof row.link === 'string' ? row.link : undefined;
}

/** The update that ends a WebSocket's attempt to take over, unless it has or another one is at it. */
export function endedProbe(id: string, address: string): Update {
  return {
    Key: pollKey(id),
    UpdateExpression: 'REMOVE probe',
    ConditionExpression: 'probe.address = :address',
    ExpressionAttributeValues: { ':address': address },
  };
}

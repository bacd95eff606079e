/** After the faults: whether the rows and the clients agree (design §4). */
import { connectionKey, idBytes, memberKey, slotMemberId, socketKey } from '../../lambdas/adapters/keys.ts';
import { linkedTo, readPollSession } from '../../lambdas/adapters/poll-rows.ts';
import { expired, readConnection, readMember, readSocket } from '../../lambdas/adapters/rows.ts';
import { slotOf } from '../../lambdas/bus/heartbeat.ts';
import { isPollingId } from '../../lambdas/contract/ids.ts';
import { ROOMS } from './app.ts';
import type { Client } from './client.ts';
import type { Row } from './expressions.ts';
import type { Gateway } from './gateway.ts';
import type { Ground } from './ground.ts';
import { isMember } from './sessions.ts';
import type { ModelTable } from './table.ts';

/** What may remain of anything is gone after this; a due row outlasts a sweep that was down for a day. */
const LONGEST_REST_MS = 27 * 60 * 60_000;
/** But what failed for good may be done again for two weeks. */
const LONGEST_CHECKPOINT_MS = 16 * 24 * 60 * 60_000;
const HOT_SHARDS = 16;

interface Parts {
  readonly ground: Ground;
  readonly table: ModelTable;
  readonly gateway: Gateway;
  readonly clients: readonly Client[];
  readonly intervalMinutes: number;
  readonly trackPongs: boolean;
}

export function checkRows(parts: Parts): void {
  const { ground, table } = parts;
  const now = ground.scheduler.now();
  for (const row of table.rows()) {
    if (kindOf(row) === 'w') continue;
    const longest = kindOf(row) === 'k' ? LONGEST_CHECKPOINT_MS : LONGEST_REST_MS;
    if (typeof row.t !== 'number' || row.t * 1_000 > now + longest)
      ground.violation(`a row of kind ${kindOf(row)} never expires`);
    else if (!expired(row, now)) checkRow(parts, row);
  }
  for (const client of parts.clients) checkClient(parts, client);
  if (ground.isFaultless) checkGhosts(parts);
}

/** Each membership is one that its socket knows of. A cleanup that was cut off may leave one until the client goes. */
function checkGhosts({ ground, table }: Parts): void {
  const known = new Set<string>();
  for (const row of table.rows()) {
    if (kindOf(row) === 'c' && row.open === true && typeof row.countedAt === 'string')
      known.add(
        keyText(memberKey({ kind: 'address', address: row.countedAt }, slotMemberId(String(row.id)), 1)),
      );
    if (kindOf(row) !== 's' || row.state === 'closed') continue;
    const { namespace, id, rooms, countedAs } = readSocket(row);
    if (countedAs !== undefined)
      known.add(keyText(memberKey({ kind: 'user', namespace, user: countedAs }, idBytes(id), 1)));
    known.add(keyText(memberKey({ kind: 'namespace', namespace }, idBytes(id), HOT_SHARDS)));
    for (const room of Object.keys(rooms))
      known.add(keyText(memberKey({ kind: 'room', namespace, room }, idBytes(id), shardsOf(room))));
  }
  for (const row of table.rows()) {
    if (kindOf(row) === 'm' && row.seen === undefined && !known.has(keyText(row as never)))
      ground.violation('a membership row that no open socket knows of');
  }
}

function shardsOf(room: string): number {
  return room.startsWith('hot:') ? HOT_SHARDS : 1;
}

/** No open connection, open socket, membership or slot row without a live client. */
function checkRow(parts: Parts, row: Row): void {
  const { ground } = parts;
  switch (kindOf(row)) {
    case 'c': {
      const owner = linkedTo(row);
      if (owner !== undefined) {
        checkLink(parts, row, owner);
        return;
      }
      const { id, open } = readConnection(row);
      if (open && !isLive(parts, id)) ground.violation(`an open connection row of ${id}, who is not there`);
      return;
    }
    case 'p': {
      const { id, open } = readPollSession(row);
      if (open && !isLive(parts, id)) ground.violation(`an open outbox of ${id}, who is not there`);
      return;
    }
    case 's': {
      const { connectionId, state, id } = readSocket(row);
      if (state !== 'closed' && !isLive(parts, connectionId))
        ground.violation(`a ${state} socket row ${id} of ${connectionId}, who is not there`);
      return;
    }
    case 'm': {
      const { connectionId, seen } = readMember(row);
      const kind = seen === undefined ? 'membership' : 'slot';
      if (!isLive(parts, connectionId))
        ground.violation(`a ${kind} row of ${connectionId}, who is not there`);
      return;
    }
    default:
  }
}

/** An attempt to take over whose end nobody was told of keeps its row until that expires; it leads nowhere. */
function checkLink(parts: Parts, row: Row, owner: string): void {
  const { ground, gateway, table } = parts;
  const { id, open } = row as { readonly id: string; readonly open: boolean };
  if (!open || gateway.connection(id)?.state === 'open') return;
  const hasTakenOver = table.row({ ...connectionKey(owner) })?.address === id;
  if (hasTakenOver || ground.isFaultless)
    ground.violation(`an open row of ${id} beside ${owner}, who is not there`);
}

/**
 * Where pongs are not written down, only the gateway can tell that a silent client is gone. One that polls is known to
 * be gone when it stops asking.
 */
function isLive(parts: Parts, connectionId: string): boolean {
  const { clients, gateway, table, trackPongs } = parts;
  if (isPollingId(connectionId)) {
    if (clients.some(({ engine }) => engine?.id === connectionId)) return true;
    const address = table.row({ ...connectionKey(connectionId) })?.address;
    return typeof address === 'string' && isLive(parts, address);
  }
  const connection = gateway.connection(connectionId);
  return connection?.state === 'open' && (connection.peer !== undefined || !trackPongs);
}

/** Every live client has its rows. */
function checkClient(parts: Parts, client: Client): void {
  const { ground, intervalMinutes, table } = parts;
  const id = client.engine?.id;
  if (id === undefined || !client.isOpen) return;
  const rows = new Map(table.rows().map((row) => [keyText(row as never), row]));
  const rowOf = (key: { readonly p: Uint8Array; readonly s: Uint8Array }) => rows.get(keyText(key));
  const missing = (what: string) => ground.violation(`${client.name} (${id}) is there, but has no ${what}`);
  if (rowOf(connectionKey(id))?.open !== true) missing('open connection row');
  // The move of the slot row to the WebSocket may have been cut off: pings find their way from either.
  const isPinged = [id, client.socket?.id ?? id].some((address) => {
    const slot = { kind: 'slot', slot: slotOf(address, intervalMinutes) } as const;
    return rowOf(memberKey(slot, slotMemberId(address), HOT_SHARDS)) !== undefined;
  });
  if (!isPinged) missing('slot row');
  for (const session of client.sessions) {
    const { namespace, line } = session;
    const { sid = '' } = line;
    const socket = rowOf(socketKey({ namespace, id: sid }));
    if (socket?.state !== 'open') missing(`open socket row in ${namespace}`);
    const whole = { kind: 'namespace', namespace } as const;
    if (rowOf(memberKey(whole, idBytes(sid), HOT_SHARDS)) === undefined)
      missing(`membership of ${namespace}`);
    for (const room of ROOMS) {
      if (!isMember(session, room)) continue;
      const group = { kind: 'room', namespace, room } as const;
      if (rowOf(memberKey(group, idBytes(sid), shardsOf(room))) === undefined)
        missing(`membership of ${room}`);
      if (socket !== undefined && !Object.hasOwn(socket.rooms as object, room))
        missing(`${room} in its room list`);
    }
  }
}

function kindOf(row: Row): string {
  return String.fromCharCode((row.p as Uint8Array)[0] ?? 0);
}

function keyText({ p, s }: { readonly p: Uint8Array; readonly s: Uint8Array }): string {
  return `${Buffer.from(p).toString('hex')} ${Buffer.from(s).toString('hex')}`;
}

/**
 * Who is in a room. The rows follow the memberships in the same transactions; what is told of them (that somebody came,
 * that they left and stayed away for 3 s) is told by one invocation at a time, in order, and at least once: whoever
 * crashes leaves a due row, and the sweep tells again. `onEnter` and `onLeave` run twice only after such a crash.
 */
import type { AnySocket, PresenceKind, PresenceNotice } from './application.ts';
import { CallEffects } from './call-effects.ts';
import { appContext, type Bus } from './context.ts';
import type {
  Millis,
  PresenceChange,
  PresenceDue,
  PresenceKey,
  SocketRecord,
  SocketRef,
  Who,
} from './ports.ts';
import { LEAVE_GRACE_MS } from './presence-grace.ts';
import type { RoomOwner } from './registry.ts';
import {
  ApplicationSocket,
  NamespaceBroadcast,
  type RoomPresences,
  type SocketSession,
} from './socket-session.ts';
import { whoOf } from './who.ts';

/** How long whoever tells has for the application's hook before somebody else may tell again. */
const TELLING_MS = 60_000;
/** A transaction holds 100 items; a room takes three to join or leave, and one is the socket's. */
const ROOMS_AT_ONCE = 33;
/** How often a row is looked at again because somebody else changed it meanwhile. */
const LOOKS = 8;
const TELLER_BYTES = 6;
/** Leaves that nobody waited for; what is forgotten of them the sweep settles. */
const MOST_WAITING = 1_000;

interface Left {
  readonly key: PresenceKey;
  readonly due: PresenceDue;
}

export class Presences implements RoomPresences {
  readonly #bus: Bus;
  readonly #left: Left[] = [];

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  whos(session: SocketSession, rooms: readonly string[], socket?: AnySocket): Record<string, Who> {
    const { namespace } = session.record;
    return Object.fromEntries(
      rooms.flatMap((room) => {
        const owner = this.#bus.registry.roomOwner(namespace, room);
        if (owner?.kind.presence === undefined) return [];
        const asked = socket ?? new ApplicationSocket(session, owner.application);
        return [[room, whoOf(owner.kind.presence, asked)]];
      }),
    );
  }

  async join(
    socket: SocketRef,
    rooms: readonly string[],
    at: Millis,
    whos: Readonly<Record<string, Who>>,
  ): Promise<'joined' | 'closed' | 'full' | 'changed'> {
    for (const part of parts(rooms, whos)) {
      const changes = changesOf(part, whos, at).map((change) => this.#coming(socket, change));
      const outcome = await this.#bus.store.join(socket, part, at, changes);
      if (outcome !== 'joined') return outcome;
      for (const change of changes) if (change.due !== undefined) await this.#settleNow(change.due);
    }
    return 'joined';
  }

  async leave(
    socket: SocketRef,
    rooms: readonly string[],
    whos: Readonly<Record<string, Who>>,
  ): Promise<'left' | 'closed' | 'changed'> {
    for (const part of parts(rooms, whos)) {
      const changes = this.#going(socket, part, whos);
      const outcome = await this.#bus.store.leave(socket, part, changes);
      if (outcome !== 'left') return outcome;
      this.#note(changes);
    }
    return 'left';
  }

  /** The socket is closed: nobody else changes what it counts as, but one who brings it back on another connection. */
  async ended(socket: SocketRecord): Promise<void> {
    const whos = socket.presences ?? {};
    for (const part of parts(Object.keys(whos), whos)) {
      const changes = this.#going(socket, part, whos);
      await this.#bus.store.presence.end(socket, changes);
      this.#note(changes);
    }
  }

  /**
   * A socket has come back on another connection, with its rooms: it counts again as whom it counted as. Repeating it
   * is harmless, and nobody is told where the leave was not told.
   */
  async returned(session: SocketSession): Promise<'joined' | 'closed' | 'full' | 'changed'> {
    const { rooms, presences = {} } = session.record;
    const whos = { ...this.whos(session, Object.keys(rooms)), ...presences };
    return this.join(session.ref, Object.keys(whos), this.#bus.clock.now(), whos);
  }

  /**
   * Waits until those who left in this invocation have been away for 3 s, and tells of who stayed away. Throws nothing:
   * what is not done here the sweep does, a minute or two later.
   */
  async linger(): Promise<void> {
    await Promise.all(this.#left.splice(0).map((left) => this.#wait(left)));
  }

  async #wait({ key, due }: Left): Promise<void> {
    const { clock, log, store } = this.#bus;
    try {
      const others = ((await store.presence.get(key))?.sockets ?? []).length > 0;
      if (!others) await clock.sleep(Math.max(0, due.at - clock.now()));
      if (others || (await this.settle(due))) await store.removeDue(due);
    } catch (error) {
      log.warn('a leave could not be told yet; the sweep will', { room: key.room, error });
    }
  }

  async #settleNow(due: PresenceDue): Promise<void> {
    try {
      if (await this.settle(due)) await this.#bus.store.removeDue(due);
    } catch (error) {
      this.#bus.log.warn('an arrival could not be told yet; the sweep will', { room: due.room, error });
    }
  }

  /**
   * Tells what there is to be told of somebody.
   * @returns false where it has to be asked again: the 3 s are not over, or somebody else is telling
   */
  async settle({ socket: { namespace }, room, who }: PresenceDue): Promise<boolean> {
    const { clock, random, store } = this.#bus;
    const key = { namespace, room, who };
    for (let look = 0; look < LOOKS; look += 1) {
      const row = await store.presence.get(key);
      if (row === undefined) return true;
      const now = clock.now();
      const isThere = row.sockets.length > 0;
      if (isThere && row.told) return true;
      const leftBy = now - LEAVE_GRACE_MS;
      if (!isThere && (row.leftAt ?? 0) > leftBy) return false;
      if ((row.tellingUntil ?? 0) > now) return false;
      const teller = random.bytes(TELLER_BYTES);
      const claim = { teller, now, until: now + TELLING_MS };
      if (isThere) {
        if (await store.presence.claimCame(key, claim)) await this.#tellCame(key, teller);
      } else if (!row.told && row.tellingUntil === undefined) {
        // They came and went before anybody was told.
        if (await store.presence.remove(key, undefined)) return true;
      } else if (await store.presence.claimLeft(key, { ...claim, leftBy })) {
        await this.#tellLeft(key, teller);
      }
    }
    return false;
  }

  async #tellCame(key: PresenceKey, teller: Uint8Array): Promise<void> {
    await this.#tell(key, 'onEnter');
    await this.#bus.store.presence.release(key, teller, true);
  }

  async #tellLeft(key: PresenceKey, teller: Uint8Array): Promise<void> {
    const { presence } = this.#bus.store;
    await this.#tell(key, 'onLeave');
    // Who came back meanwhile has not told it, so that it is told after this.
    if (!(await presence.remove(key, teller))) await presence.release(key, teller, false);
  }

  async #tell({ namespace, room, who }: PresenceKey, name: 'onEnter' | 'onLeave'): Promise<void> {
    const owner = this.#bus.registry.roomOwner(namespace, room);
    const hook: PresenceNotice | undefined = owner?.kind.presence?.[name];
    if (owner === undefined || hook === undefined) return;
    const effects = new CallEffects(this.#bus);
    const { application } = owner;
    const io = new NamespaceBroadcast(effects, application, { rooms: [], except: [], volatile: false });
    try {
      await hook(io, { room, who }, appContext(this.#bus, application));
    } catch (error) {
      this.#bus.log.error('a presence hook failed', { application: application.name, hook: name, error });
    }
    await effects.finish();
  }

  #coming(socket: SocketRef, { room, who, at }: PresenceChange): PresenceChange {
    const kind = this.#kind(socket.namespace, room);
    if (kind?.onEnter === undefined) return { room, who, at, told: kind?.onLeave !== undefined };
    // Later than the telling may take, so that the sweep does not come in between.
    return { room, who, at, due: dueOf(socket, room, who, at + TELLING_MS) };
  }

  #going(
    socket: SocketRef,
    rooms: readonly string[],
    whos: Readonly<Record<string, Who>>,
  ): readonly LeavingChange[] {
    const at = this.#bus.clock.now();
    return changesOf(rooms, whos, at).map(({ room, who }) => ({
      room,
      who,
      at,
      due: dueOf(socket, room, who, at + LEAVE_GRACE_MS),
    }));
  }

  /** Where nobody has to be told, the row is left to the sweep. */
  #note(changes: readonly LeavingChange[]): void {
    for (const { room, who, due } of changes) {
      const { namespace } = due.socket;
      if (this.#kind(namespace, room)?.onLeave === undefined) continue;
      this.#left.push({ key: { namespace, room, who }, due });
    }
    this.#left.splice(0, this.#left.length - MOST_WAITING);
  }

  #kind(namespace: string, room: string): PresenceKind | undefined {
    const owner: RoomOwner | undefined = this.#bus.registry.roomOwner(namespace, room);
    return owner?.kind.presence;
  }
}

type LeavingChange = PresenceChange & { readonly due: PresenceDue };

function dueOf(socket: SocketRef, room: string, who: Who, at: Millis): PresenceDue {
  const { namespace, id, connectionId } = socket;
  return { kind: 'presence', at, connectionId, socket: { namespace, id }, room, who };
}

function changesOf(
  rooms: readonly string[],
  whos: Readonly<Record<string, Who>>,
  at: Millis,
): PresenceChange[] {
  return rooms.flatMap((room) => {
    const who = Object.hasOwn(whos, room) ? whos[room] : undefined;
    return who === undefined ? [] : [{ room, who, at }];
  });
}

/** As many rooms as one transaction takes: all of them where none keeps presence. */
function parts(rooms: readonly string[], whos: Readonly<Record<string, Who>>): (readonly string[])[] {
  if (Object.keys(whos).length === 0) return rooms.length === 0 ? [] : [rooms];
  return Array.from({ length: Math.ceil(rooms.length / ROOMS_AT_ONCE) }, (_, part) =>
    rooms.slice(part * ROOMS_AT_ONCE, (part + 1) * ROOMS_AT_ONCE),
  );
}

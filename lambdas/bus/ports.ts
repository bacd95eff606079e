/** What the server needs from the world. Adapters on AWS implement these; nothing here knows AWS. */
import type { CountName, DurationName } from '../contract/metrics.ts';

/** Milliseconds since the epoch. */
export type Millis = number;

/** JSON as it is stored and sent. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What is kept of the opening request: an allow-list, never tokens or cookies (design D5). */
export interface Handshake {
  /** Lower-cased names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly address: string;
  readonly secure: boolean;
  /** Whether the request carried an `Origin` header. */
  readonly xdomain: boolean;
  readonly issued: Millis;
}

/** One Engine.IO session and the transport that carries it. */
export interface Connection {
  /** API Gateway's connection id; for one that began with long polling, 20 characters made from its secret sid. */
  readonly id: string;
  /** API Gateway's id of the WebSocket that took over from long polling. */
  readonly address?: string;
  readonly open: boolean;
  readonly connectedAt: Millis;
  readonly handshake: Handshake;
  /** What each application made of the handshake's headers, by application name. */
  readonly credentials: Readonly<Record<string, Json>>;
  /** The address that it is counted at, where that is bounded. */
  readonly countedAt?: string;
  /** Namespace → socket id. */
  readonly namespaces: Readonly<Record<string, string>>;
  /** Namespaces this connection has left and when: a frame that was under way then is dropped, not a violation. */
  readonly left: Readonly<Record<string, Millis>>;
}

export type SocketState = 'pending' | 'open' | 'closed';

/** A client in a namespace. */
export interface SocketRecord {
  readonly namespace: string;
  readonly id: string;
  readonly connectionId: string;
  /** The connection's `address`, where a WebSocket has taken over. */
  readonly address?: string;
  readonly state: SocketState;
  readonly connectedAt: Millis;
  /** Room → when it was joined. */
  readonly rooms: Readonly<Record<string, Millis>>;
  /** By application name. */
  readonly identities: Readonly<Record<string, Json>>;
  /** Keys are `{application}:{key}`. */
  readonly data: Readonly<Record<string, Json>>;
  readonly handshake: Handshake;
  /** The connect hooks were begun and the disconnect hooks have not run to their end. */
  readonly hooksDue: boolean;
  /** Room → whom the socket counts as there, where the room's kind keeps presence; gone once it has left. */
  readonly presences?: Readonly<Record<string, Who>>;
  /** What makes it one that can be recovered; absent where its namespace has recovery off. */
  readonly session?: Session;
  /** It has been taken over by another connection: its client gets what it missed, not another greeting. */
  readonly recovered?: true;
  /** When what its client has proven since it connected ends; the proof that it connected with is asked for each time. */
  readonly expiresAt?: Millis;
  /** The user that it is counted as, where the connections of one are bounded. */
  readonly countedAs?: string;
  /** The connection on which its client has last proven who it is otherwise than by the handshake. */
  readonly provenOn?: string;
  /** When the rows are due that were written with it: who leaves before that takes them along. */
  readonly due?: Readonly<Partial<Record<'pending' | 'expiry', Millis>>>;
}

/** What a socket is recovered by (design D9). */
export interface Session {
  /** Of the secret in its `pid`. */
  readonly secretHash: string;
  /** When it was created. */
  readonly position: Millis;
  /** Raised by whatever changes its connection or its rooms. */
  readonly version: number;
  readonly closedAt?: Millis;
  /** By its client or the server, in earnest: it does not come back. */
  readonly ended: boolean;
  /** An event of that time could not be posted, nor could the connection be cut. */
  readonly gap?: Millis;
}

export interface SocketKey {
  readonly namespace: string;
  readonly id: string;
}

/** A socket as seen by one connection: writes through it fail once the socket is closed or has moved. */
export interface SocketRef extends SocketKey {
  readonly connectionId: string;
  readonly address?: string;
  readonly connectedAt: Millis;
}

/** A set of sockets that one broadcast reads: an application's room, a whole namespace, or a heartbeat slot. */
export type Group =
  | { readonly kind: 'room'; readonly namespace: string; readonly room: string }
  | { readonly kind: 'namespace'; readonly namespace: string }
  | { readonly kind: 'slot'; readonly slot: number };

/** Connections that are counted together: those from one address, or one user's to one namespace. Nothing is posted to them. */
export type CountedGroup =
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'user'; readonly namespace: string; readonly user: string };

/** Base64url of the 15 bytes that order the members of a group. */
export type MemberId = string;

/** A piece of their order: beyond `after`, up to and with `through`; where one is absent, to the end of all. */
export interface IdRange {
  readonly after?: MemberId;
  readonly through?: MemberId;
}

/** One row of a group. */
export interface Member {
  /** The socket id, or in a slot a hash of the connection id. */
  readonly id: MemberId;
  /** Where to post: the connection's id, or its address. */
  readonly connectionId: string;
  /** Slots only: when the last pong was written down. */
  readonly seen?: Millis;
}

export interface Page {
  readonly members: readonly Member[];
  /** The id after which the next page begins; absent at the end. */
  readonly next?: MemberId;
}

/** Something that must happen at a time (design D4). */
export type Due =
  | { readonly kind: 'namespace'; readonly at: Millis; readonly connectionId: string }
  | { readonly kind: 'recycle'; readonly at: Millis; readonly connectionId: string }
  | {
      readonly kind: 'pending';
      readonly at: Millis;
      readonly connectionId: string;
      readonly socket: SocketKey;
    }
  | {
      readonly kind: 'expiry';
      readonly at: Millis;
      readonly connectionId: string;
      readonly socket: SocketKey;
    }
  | PresenceDue;

/** Somebody has come to a room or left it, and whoever was to tell may not have done so. */
export interface PresenceDue {
  readonly kind: 'presence';
  readonly at: Millis;
  readonly connectionId: string;
  /** The one that came or went. */
  readonly socket: SocketKey;
  readonly room: string;
  readonly who: Who;
}

/** Who is in a room, to the application: `7` and `"7"` are the same. */
export type Who = string | number;

export interface PresenceKey {
  readonly namespace: string;
  readonly room: string;
  readonly who: Who;
}

/** What a socket's joining or leaving of a room changes there; written together with it. */
export interface PresenceChange {
  readonly room: string;
  readonly who: Who;
  readonly at: Millis;
  /** Joining only: nobody has to be told, so that it counts as told. */
  readonly told?: boolean;
  /** Written with it. */
  readonly due?: PresenceDue;
}

/** Somebody who is in a room, or has just been. */
export interface Presence {
  readonly who: Who;
  /** Ids of the sockets, in no order. */
  readonly sockets: readonly string[];
  /** When the last of them that left did so. */
  readonly leftAt?: Millis;
  /** The application was told that they came, and not that they left. */
  readonly told: boolean;
  /** Somebody tells, or began to and did not come to the end: nobody else does before this. */
  readonly tellingUntil?: Millis;
}

/** Who is in which room. The rows change in the transactions of `Store.join` and `leave`, and here. */
export interface PresenceStore {
  /** Takes a socket that is closed, and still on this connection, out of rooms; repeating it is harmless. */
  end(socket: SocketRef, changes: readonly PresenceChange[]): Promise<void>;
  get(key: PresenceKey): Promise<Presence | undefined>;
  /** Takes the telling until a time: that they came, where they are there and nobody was told. */
  claimCame(key: PresenceKey, claim: PresenceClaim): Promise<boolean>;
  /** That they left, where nobody is there and the last one left no later than `leftBy`; from then on they count as not told. */
  claimLeft(key: PresenceKey, claim: PresenceClaim & { readonly leftBy: Millis }): Promise<boolean>;
  /** Gives the telling back; with `came` they count as told. */
  release(key: PresenceKey, teller: Uint8Array, came: boolean): Promise<void>;
  /** Deletes the row of somebody who is not there; false where they have come back, or somebody else tells. */
  remove(key: PresenceKey, teller: Uint8Array | undefined): Promise<boolean>;
  /**
   * The first who are there, or whose last socket left after a time, and how many those are in all. Reads the rows of
   * the room: with up to `limit` once, beyond that twice.
   */
  list(
    namespace: string,
    room: string,
    options: { readonly leftAfter: Millis; readonly limit: number },
  ): Promise<{ readonly count: number; readonly members: readonly Presence[] }>;
}

export interface PresenceClaim {
  readonly teller: Uint8Array;
  readonly now: Millis;
  readonly until: Millis;
}

export interface NotedRoom {
  readonly room: string;
  readonly socketId: string;
}

/** How far the sweep has come. */
export interface SweepCursor {
  /** The last minute (since the epoch) whose pings are out. */
  readonly minute: number;
  /** The first minute of the unbroken run of sweeps that `minute` ends. */
  readonly since: number;
  /** The last minute of which, and of all before it, all that was due is done. */
  readonly drained: number;
}

/** Durable state. Reads are strongly consistent; each write is one atomic step unless it says otherwise. */
export interface Store {
  createConnection(connection: Connection, due: readonly Due[]): Promise<void>;
  /**
   * Whether so many are in the group, without the socket of an id, should it be there: one read unit for about 60 of
   * them. Those that are under way at the same moment do not see each other.
   */
  countsTo(group: CountedGroup, most: number, without?: MemberId): Promise<boolean>;
  /** Takes the connection out of those that are counted at an address; repeating it is harmless. */
  uncount(connection: Pick<Connection, 'id' | 'countedAt'>): Promise<void>;
  /**
   * Adds to what the connection has sent in a window of time; returns the sum. 0: there is no row, or a later window has
   * begun.
   */
  tally(connectionId: string, share: { readonly window: number; readonly packets: number }): Promise<number>;
  /**
   * Writes a strike in the connection's row, unless there was one less than a second before; returns how many it has within
   * the time. 0: there is no row.
   */
  strike(connectionId: string, at: Millis, withinMs: number): Promise<number>;
  /** By its id or its address; a WebSocket that has not taken over yet is nobody's address. */
  connection(id: string): Promise<Connection | undefined>;
  /** Joins the connection to its heartbeat slot if it is open; false where it is not. */
  joinSlot(connectionId: string, slot: number, connectedAt: Millis, seen: Millis): Promise<boolean>;
  /** Writes a pong down; false where the connection has no slot row. */
  touchSlot(connectionId: string, slot: number, seen: Millis): Promise<boolean>;
  inSlot(connectionId: string, slot: number): Promise<boolean>;
  leaveSlot(connectionId: string, slot: number): Promise<void>;
  /**
   * Marks the connection closed, found by its id or its address, and returns it as it is then; undefined where there is
   * none. The end of a WebSocket that has not taken over yet ends the attempt alone.
   */
  closeConnection(id: string, at: Millis): Promise<Connection | undefined>;
  /** Lets a socket's memberships name the connection's address, so that a broadcast finds it without a detour. */
  readdress(socket: SocketRef, address: string): Promise<void>;

  /** CONNECT: the connection's namespace, the pending socket, its membership of the namespace, the due rows. */
  connectSocket(socket: SocketRecord, due: readonly Due[]): Promise<'connected' | 'closed' | 'occupied'>;
  /** A socket that is told why and let go: a closed row, a namespace that counts as left, no membership. */
  refuseSocket(socket: SocketRecord): Promise<'refused' | 'closed' | 'occupied'>;
  /** pending → open, with disconnect hooks due from then on; only one caller is told true. */
  openSocket(socket: SocketRef): Promise<boolean>;
  socket(key: SocketKey): Promise<SocketRecord | undefined>;
  sockets(keys: readonly SocketKey[]): Promise<SocketRecord[]>;
  /**
   * Marks the socket closed if it is still on this connection; returns it as it was before the call.
   * @param ended it may not be recovered
   */
  closeSocket(socket: SocketRef, at: Millis, ended?: boolean): Promise<SocketRecord | undefined>;
  /**
   * Takes a socket over: it is pending on the connection of `taken`, with its new identities and handshake and all its
   * memberships, if the session is as it was read. `changed`: it is not. `closed`, `occupied`: the new connection is
   * closed, or has a socket in the namespace.
   */
  recoverSocket(
    known: SocketRecord,
    taken: SocketRecord,
    due: readonly Due[],
  ): Promise<'recovered' | 'changed' | 'closed' | 'occupied'>;
  /**
   * Counts the socket as this user's, in place of whose it was counted as, and as proven on this connection; only while it is
   * open on it. `changed`: it was counted as somebody else than that.
   */
  recount(
    socket: SocketRef & Pick<SocketRecord, 'countedAs'>,
    user: string,
  ): Promise<'counted' | 'closed' | 'changed'>;
  /** Notes that its client has proven on this connection who it is; false where it is not open on it. */
  noteProof(socket: SocketRef): Promise<boolean>;
  /** As `noteProof`, and when what the client has proven ends; whoever recovers the socket is held to it. */
  saveExpiry(socket: SocketRef, at: Millis): Promise<void>;
  /** An event could not be posted, nor the connection cut: whoever recovers the socket begins there. */
  noteGap(socket: SocketRef, position: Millis): Promise<void>;
  /** Forgets a gap that was noted on another connection than this. */
  closeGap(socket: SocketRef): Promise<void>;
  markHooksDone(socket: SocketRef): Promise<void>;
  /** Forgets that the namespace belongs to this socket. */
  freeNamespace(socket: SocketRef, at: Millis): Promise<void>;
  /**
   * Membership rows, the socket's room list and who is in the rooms, together; only while the socket is open on this
   * connection. `changed`: it counts as somebody else in one of the rooms by now.
   */
  join(
    socket: SocketRef,
    rooms: readonly string[],
    at: Millis,
    presences?: readonly PresenceChange[],
  ): Promise<'joined' | 'closed' | 'full' | 'changed'>;
  /** `changed`: it does not count as those any more. */
  leave(
    socket: SocketRef,
    rooms: readonly string[],
    presences?: readonly PresenceChange[],
  ): Promise<'left' | 'closed' | 'changed'>;
  readonly presence: PresenceStore;
  /** Saves changed keys and removes others, while the socket is on this connection. */
  saveData(
    socket: SocketRef,
    changed: Readonly<Record<string, Json>>,
    removed: readonly string[],
  ): Promise<void>;
  /**
   * Deletes memberships that still name this connection, that of its user's among them. Not atomic; repeating it is
   * harmless.
   */
  removeMemberships(
    socket: SocketRef & Pick<SocketRecord, 'countedAs'>,
    rooms: readonly string[],
  ): Promise<void>;

  /** Shards of a group: known without a read, so that a publisher needs none (design D5). */
  shards(group: Group): number;
  /** One page of one shard within a range, ordered by the members' bytes. */
  members(group: Group, shard: number, options: IdRange & { readonly limit?: number }): Promise<Page>;
  /** How many members a group has: reads as many rows as a list of them, and has only numbers sent. */
  countMembers(group: Group): Promise<number>;
  /** Which of these ids are members of the group, read by key. */
  membersAmong(group: Group, ids: readonly MemberId[]): Promise<Set<MemberId>>;

  /** Notes that a room has members; a hint that is never taken back by a leave and expires (design D5). */
  noteRoom(namespace: string, room: string, socketId: string, at: Millis): Promise<void>;
  /** Rooms that may have members, with one socket that had joined each. */
  notedRooms(namespace: string): Promise<NotedRoom[]>;
  /** Which of the noted sockets are still members, read in batches. */
  stillMembers(namespace: string, noted: readonly NotedRoom[]): Promise<Set<string>>;

  due(minute: number, shard: number): Promise<Due[]>;
  dueShards(): number;
  addDue(due: Due): Promise<void>;
  removeDue(due: Due): Promise<void>;
  /** Puts it off to a later time. Not atomic: it is written anew before it is removed. */
  postponeDue(due: Due, at: Millis): Promise<void>;
  sweepCursor(): Promise<SweepCursor | undefined>;
  saveSweepCursor(cursor: SweepCursor): Promise<void>;
}

/** An event, or what ends sessions, as the log of a room keeps it (design D9). */
export interface LogEntry {
  readonly position: Millis;
  /** The message's; the same where it was written again. */
  readonly id: MemberId;
  /** Of the event's packet; its last argument is an offset of this message. None: it ends the sessions it is for. */
  readonly frames: readonly string[];
  /** Names of sockets and rooms that it is not for, as {@link exceptionToken} writes them. */
  readonly except: readonly string[];
  /** It is for those alone. */
  readonly range?: IdRange;
  /** Ends sessions of this identity only. */
  readonly identity?: string;
  /** When everybody it is for had been posted to. */
  readonly doneAt?: Millis;
}

/** A room or a whole namespace has a log. */
export type LoggedGroup = Exclude<Group, { readonly kind: 'slot' }>;

/** What was published lately, room by room. Reads are strongly consistent. */
export interface EventLog {
  /** In the logs of all groups or in none. Writing the same again is harmless. */
  append(groups: readonly LoggedGroup[], entry: LogEntry): Promise<void>;
  /** @param at when the last post had ended */
  markDone(
    groups: readonly LoggedGroup[],
    entry: Pick<LogEntry, 'position' | 'id'>,
    at: Millis,
  ): Promise<void>;
  /** Takes back what must not be posted. Not atomic over several groups; repeating it is harmless. */
  withdraw(groups: readonly LoggedGroup[], entry: Pick<LogEntry, 'position' | 'id'>): Promise<void>;
  /**
   * Entries from a position on, in their order, at most `limit`; `descending`: the last ones, latest first. `after`: only
   * those that come after this place, which need not be an entry's.
   */
  read(
    group: LoggedGroup,
    query: {
      readonly from: Millis;
      readonly limit: number;
      readonly descending?: boolean;
      readonly after?: Pick<LogEntry, 'position' | 'id'>;
      /** Reads no further once the frames have so many. */
      readonly characters?: number;
    },
  ): Promise<LogEntry[]>;
}

/** A message that its publisher has given a name. */
export interface NamedPublication {
  readonly namespace: string;
  readonly name: string;
  /** Equal for equal content. */
  readonly hash: string;
}

/** Which of them have been published. Each step is one atomic write. */
export interface Publications {
  /**
   * Begins until a time, alone. `busy`: it is under way. `other`: the name belongs to other content. Or what was
   * answered when it was done.
   */
  claim(
    named: NamedPublication,
    owner: string,
    until: Millis,
  ): Promise<'claimed' | 'busy' | 'other' | { readonly result: Json }>;
  /** It is done; nothing happens where it is somebody else's now. */
  finish(named: NamedPublication, owner: string, result: Json): Promise<void>;
  /** It was not done, and may be begun by another one at once. */
  release(named: NamedPublication, owner: string): Promise<void>;
}

/**
 * What became of one post.
 * - `ok`: the edge accepted it; the client may still be gone.
 * - `gone`: closed, or not open yet.
 * - `throttled`: over the quota, or the client reads too slowly; trying again may help.
 * - `failed`: a timeout or a server error; it may or may not have arrived.
 * - `refused`: it can never be posted (too large, not allowed).
 */
export type PostOutcome = 'ok' | 'gone' | 'throttled' | 'failed' | 'refused';

/** A WebSocket that is to take over from long polling. */
export interface Probe {
  /** API Gateway's id of it. */
  readonly address: string;
  readonly at: Millis;
}

/** A client that polls, and what waits for it. */
export interface PollSession {
  readonly id: string;
  readonly open: boolean;
  readonly connectedAt: Millis;
  /** The WebSocket that has taken over: nothing waits here any more. */
  readonly address?: string;
  readonly probe?: Probe;
  /** Frames that the client has not acknowledged, in order. */
  readonly frames: readonly string[];
  /** How many of them the last answer carried. */
  readonly answered: number;
  /** How many were ever put in. */
  readonly appended: number;
  /** Frames that the client has sent of a packet that is not whole yet. */
  readonly partial: readonly string[];
  /** The client knows that it is over. */
  readonly told: boolean;
}

/** What a client that polls has not fetched yet. Every step is one atomic write. */
export interface Outbox {
  session(id: string): Promise<PollSession | undefined>;
  /**
   * Puts frames in at the end, all or none. `gone`: closed, or the client has stopped asking. `full`: it fetches too
   * slowly. `tooLarge`: they would never fit. Or the address of the WebSocket that has taken over.
   */
  append(
    id: string,
    frames: readonly string[],
  ): Promise<'appended' | 'gone' | 'full' | 'tooLarge' | { readonly address: string }>;
  /**
   * A request for frames begins, alone until `until`. It acknowledges what the one before was answered, unless its mark
   * says that it is that request again. `late`: it is a copy of one that was followed by others; nothing happened.
   * Nothing happens either where a WebSocket has taken over or the client knows that it is over, however many requests
   * come then.
   */
  beginPoll(
    id: string,
    poll: { readonly lease: string; readonly mark: string | undefined; readonly until: Millis },
  ): Promise<PollSession | 'overlap' | 'late' | 'unknown'>;
  /** Notes the answer, durable before it is given; false where the lease ran out meanwhile. */
  endPoll(
    id: string,
    poll: {
      readonly lease: string;
      readonly mark: string | undefined;
      readonly count: number;
      readonly told: boolean;
    },
  ): Promise<boolean>;
  /** Begins alone as well; where the session is over or a WebSocket has taken over, it need not be. */
  beginSend(
    id: string,
    send: { readonly lease: string; readonly until: Millis },
  ): Promise<PollSession | 'overlap' | 'unknown'>;
  /** @param partial frames to keep for the next request */
  endSend(id: string, lease: string, partial: readonly string[]): Promise<void>;
  /** Nothing goes in any more; what is in is still fetched. `told`: the client knows already. */
  close(id: string, told?: boolean): Promise<PollSession | undefined>;
  /** A WebSocket wants to take over; `taken` where another one is at it, or was and has not been ended. */
  beginProbe(id: string, probe: Probe): Promise<'probing' | 'unknown' | 'taken'>;
  endProbe(id: string, address: string): Promise<void>;
  /** The connection's id for a WebSocket that is, or was, to take over. */
  probedBy(address: string): Promise<string | undefined>;
  /** Counts a frame of a WebSocket that has not taken over; false where `most` have been counted before. */
  countEarly(address: string, most: number): Promise<boolean>;
  /** The WebSocket takes over, if nothing was put in after the first `appended` frames. */
  upgrade(id: string, address: string, appended: number): Promise<'upgraded' | 'more' | 'closed'>;
}

/** An edge that takes one frame at a time. */
export interface FrameWire {
  post(connectionId: string, frame: string): Promise<PostOutcome>;
  /** Cuts the connection. False where it may still be there; a gone one counts as done. Throws nothing. */
  close(connectionId: string): Promise<boolean>;
}

/** The sockets' edge. */
export interface Wire extends FrameWire {
  /**
   * Posts all frames of one packet, or none, so that no other packet comes between them. `singly`: nothing was posted,
   * for the client's transport takes one frame at a time.
   */
  postPacket(connectionId: string, frames: readonly string[]): Promise<PostOutcome | 'singly'>;
}

/** One stored value of an application. */
export interface StoredRow {
  readonly sort: string;
  readonly value: Json;
}

export interface RowQuery {
  /** Only rows after this sort key, in the query's direction. */
  readonly after?: string;
  /** Most rows to return. */
  readonly limit: number;
  readonly descending?: boolean;
}

/**
 * What applications keep beyond a connection's life. Rows are found by a partition and ordered by a sort key (by
 * their UTF-8 bytes); expired rows count as absent. Reads are strongly consistent.
 */
export interface Rows {
  /** False where `ifAbsent` is asked for and the row is there. */
  put(
    partition: string,
    sort: string,
    value: Json,
    options?: { readonly expiresAt?: Millis; readonly ifAbsent?: boolean },
  ): Promise<boolean>;
  get(partition: string, sort: string): Promise<Json | undefined>;
  query(partition: string, query: RowQuery): Promise<StoredRow[]>;
  /** Returns how many were there; deleting what is not there is no error. Not atomic over several rows. */
  delete(partition: string, sorts: readonly string[]): Promise<number>;
}

/** An application event for other systems, on the deployment's event bus. */
export interface ForwardedEvent {
  readonly app: string;
  readonly namespace: string;
  readonly event: string;
  readonly payload: Json;
  readonly socketId: string;
  readonly identity: Json;
  /** ISO 8601. */
  readonly timestamp: string;
}

export interface Forwarder {
  /** Resolves when the event bus has accepted it. */
  forward(event: ForwardedEvent): Promise<void>;
}

/** Work handed to another invocation. */
export interface Workers {
  /** Each resolves when the platform has accepted the work. */
  open(work: OpenWork): Promise<void>;
  deliver(work: DeliverWork): Promise<void>;
  reap(work: ReapWork): Promise<void>;
}

export interface OpenWork {
  readonly v: 1;
  readonly connectionId: string;
  readonly sid: string;
  readonly connectedAt: Millis;
}

/** A part of a broadcast's audience, to be posted to. All that is needed for it, now or from a dead-letter queue. */
export interface DeliverWork {
  readonly v: 1;
  readonly kind: 'range';
  /** The message's. */
  readonly id: string;
  /** What its publisher calls it: only the log says so. */
  readonly name?: string;
  /** The broadcast's; no other has it, also of the same message. With the range it names the work, however often begun. */
  readonly broadcast: string;
  readonly target: {
    readonly namespace: string;
    readonly rooms: readonly string[];
    readonly except: readonly string[];
  };
  readonly range: IdRange;
  readonly frames: readonly string[];
  readonly volatile: boolean;
  readonly publishedAt: Millis;
  /** It is in the log: posted later than its deadline, it has to be written there anew first. */
  readonly logged: boolean;
  /** Posts per second: its part of the account's quota. */
  readonly perSecond: number;
  /** Recipients that it is thought to have. */
  readonly expected: number;
}

/** Recipients whose connection has gone: what is left of them is removed. */
export interface ReapWork {
  readonly v: 1;
  readonly kind: 'reap';
  readonly gone: readonly { readonly id: MemberId; readonly connectionId: string; readonly group: Group }[];
}

/** How far a piece of work has come. */
export interface Progress {
  /** Everybody up to and with this one has been tried, or is among `late`. */
  readonly through?: MemberId;
  /** Who was tried, without a result yet. */
  readonly late: readonly { readonly id: MemberId; readonly connectionId: string }[];
  readonly posted: number;
  readonly gone: number;
  readonly failed: number;
  /** The parts that it has been divided into; whoever finds them has to see that they are done. */
  readonly parts?: readonly IdRange[];
  readonly done: boolean;
}

/** Progress that outlives an invocation. One at a time has a piece of work, for as long as it says so. */
export interface Checkpoints {
  /** Takes the work until a time, and tells how far it has come; `busy` while somebody else has it. */
  claim(work: string, owner: string, until: Millis): Promise<Progress | 'busy'>;
  /** Saves how far it has come and keeps it until a time; false where it is somebody else's now. */
  save(work: string, owner: string, progress: Progress, until: Millis): Promise<boolean>;
}

/** One event that is to be answered; sockets of other namespaces may be asked with the same id. */
export interface AckKey {
  readonly namespace: string;
  /** The packet's acknowledgement id. */
  readonly id: number;
}

export interface AckAnswer {
  readonly socketId: string;
  /** Of the packet that the client sent, without what nobody reads. */
  readonly frames: readonly string[];
}

/** Answers of clients, which reach other invocations than the one that asked. */
export interface Acks {
  /** Answers are awaited until a time. */
  await(key: AckKey, until: Millis): Promise<void>;
  /** Keeps a socket's first answer; false where it is not the first, or nobody waits (any more), which one read tells. */
  answer(key: AckKey, answer: AckAnswer): Promise<boolean>;
  /** Answers of these sockets, as far as they have come; in no order. */
  answers(key: AckKey, socketIds: readonly string[]): Promise<AckAnswer[]>;
}

export interface Clock {
  now(): Millis;
  sleep(ms: number): Promise<void>;
}

export interface Random {
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). */
  float(): number;
}

/** Secrets by name, cached. */
export interface Secrets {
  /** @throws SecretError where the secret is not there or cannot be read. */
  get(name: string): Promise<string>;
}

/** A JSON Web Key Set (RFC 7517), of which nothing but its form is known. */
export interface KeySet {
  readonly keys: readonly { readonly [member: string]: Json }[];
}

/** Public keys of those who issue tokens. */
export interface KeySets {
  /**
   * The key set at a URL as it was read lately: the same object as long as it is the same reading.
   * @param lacking a reading in which a key was not found; where it is time for a newer one, that is made
   * @throws KeySetError where there is none to be had
   */
  get(url: string, lacking?: KeySet): Promise<KeySet>;
}

/** What operators see of the bus. */
export interface Metrics {
  count(name: CountName, value: number): void;
  milliseconds(name: DurationName, value: number): void;
}

type Fields = Readonly<Record<string, unknown>>;

/** Structured logs. Never hand a token, a secret or a payload to it. */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

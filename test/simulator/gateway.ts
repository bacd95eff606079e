/** API Gateway's WebSocket API by its rules: who may be posted to when, and how connections end. */
import { pollingId } from '../../lambdas/bus/names.ts';
import type { Ended, Functions, ManagementApi } from './functions.ts';
import type { Ground } from './ground.ts';
import type { Timer } from './scheduler.ts';
import type { FaultedPosts } from './watched-outbox.ts';

export const NETWORK_MS = 15;
/** WebSocket quotas page. */
const IDLE_TIMEOUT_MS = 10 * 60_000;
const MAX_AGE_MS = 2 * 60 * 60_000;
/** For how long after the 101 a post can still be answered with 410. */
const NOT_YET_MS = 50;

/** A client's end of a connection. */
export interface Peer {
  opened(): void;
  refused(status: number): void;
  receive(frame: string): void;
  closed(code: number): void;
}

export interface Connection {
  readonly id: string;
  /** The connection that polls and that this one is to take over, or itself: what the ledger knows it by. */
  readonly owner: string;
  readonly connectedAt: number;
  /** Its opening request was answered with 101. */
  isLetIn: boolean;
  state: 'opening' | 'open' | 'closed';
  /** Undefined where the client has gone, whether the gateway knows it or not. */
  peer: Peer | undefined;
  /** The client has said goodbye before it was let in. */
  isAbandoned: boolean;
  addressableAt: number;
  lastActiveAt: number;
  /** Frames arrive in order in either direction. */
  downstreamAt: number;
  upstreamAt: number;
  /** Reads nothing for so long. */
  slowUntil: number;
}

export class Gateway implements ManagementApi {
  readonly #ground: Ground;
  readonly #faulted: FaultedPosts;
  readonly #connections = new Map<string, Connection>();
  #functions: Functions | undefined;
  #requests = 0;

  constructor(ground: Ground, faulted: FaultedPosts) {
    this.#ground = ground;
    this.#faulted = faulted;
  }

  attach(functions: Functions): void {
    this.#functions = functions;
  }

  connection(id: string): Connection | undefined {
    return this.#connections.get(id);
  }

  /** @param sid of the polling connection that the WebSocket is to take over */
  connect(peer: Peer, sid?: string): Connection {
    const { chance, scheduler } = this.#ground;
    const now = Math.floor(scheduler.now());
    const id = `${Buffer.from(chance.bytes(11)).toString('base64url')}=`;
    const connection: Connection = {
      id,
      owner: sid === undefined ? id : pollingId(sid),
      connectedAt: now,
      isLetIn: false,
      state: 'opening',
      peer,
      isAbandoned: false,
      addressableAt: Number.POSITIVE_INFINITY,
      lastActiveAt: now,
      downstreamAt: now,
      upstreamAt: now,
      slowUntil: 0,
    };
    this.#connections.set(connection.id, connection);
    const event = {
      headers: { Host: 'simulated' },
      queryStringParameters: { EIO: '4', transport: 'websocket', ...(sid === undefined ? {} : { sid }) },
      requestContext: this.#context(connection),
    };
    this.#invoke('connect', event, (how) => this.#answered(connection, how));
    return connection;
  }

  /** A frame from the client. */
  send(connection: Connection, body: string): void {
    const { chance, scheduler } = this.#ground;
    connection.upstreamAt = Math.max(connection.upstreamAt, scheduler.now() + chance.latency(NETWORK_MS));
    scheduler.after(connection.upstreamAt - scheduler.now(), () => {
      if (connection.state !== 'open') return;
      connection.lastActiveAt = scheduler.now();
      if (this.isThrottled()) return this.#errorFrame(connection, 'Too Many Requests');
      const event = { body, requestContext: this.#context(connection) };
      this.#invoke('message', event, (how) => {
        if (how.kind !== 'answered') this.#errorFrame(connection, 'Internal server error');
      });
    });
  }

  /** The client closes, and says so. */
  leave(connection: Connection): void {
    const { chance, scheduler } = this.#ground;
    connection.peer = undefined;
    connection.isAbandoned = true;
    connection.upstreamAt = Math.max(connection.upstreamAt, scheduler.now() + chance.latency(NETWORK_MS));
    scheduler.after(connection.upstreamAt - scheduler.now(), () => {
      if (connection.state === 'open') this.#end(connection, 1005);
    });
  }

  /** The client is gone without a word; the network may or may not tell the gateway. */
  vanish(connection: Connection): void {
    const { chance, faults, scheduler } = this.#ground;
    connection.peer = undefined;
    if (chance.hits(faults.vanished)) return;
    connection.isAbandoned = true;
    scheduler.after(chance.latency(NETWORK_MS), () => {
      if (connection.state === 'open') this.#end(connection, 1006);
    });
  }

  post(id: string, frame: string): number {
    const { chance, faults, scheduler } = this.#ground;
    const connection = this.#connections.get(id);
    if (connection?.state !== 'open' || scheduler.now() < connection.addressableAt) return 410;
    if (chance.hits(faults.postLost)) return this.#fault(id, frame, 'lost', 500);
    if (chance.hits(faults.postThrottled) || scheduler.now() < connection.slowUntil)
      return this.#fault(id, frame, 'lost', 429);
    this.#deliver(connection, frame);
    return chance.hits(faults.postUnanswered) ? this.#fault(id, frame, 'repeated', 504) : 200;
  }

  delete(id: string): number {
    const { chance, faults } = this.#ground;
    const connection = this.#connections.get(id);
    if (connection?.state !== 'open') return 410;
    if (chance.hits(faults.closeLost)) {
      this.#faulted.close(connection.owner);
      return 500;
    }
    this.#end(connection, 1000);
    return 204;
  }

  /** Whether a frame of a client is one too many; asked once for each. */
  protected isThrottled(): boolean {
    const { chance, faults } = this.#ground;
    return chance.hits(faults.messageThrottled);
  }

  #fault(id: string, frame: string, kind: 'lost' | 'repeated', status: number): number {
    this.#ground.trace(() => `gateway: ${status} for a post to ${id}`);
    this.#faulted.post(this.#connections.get(id)?.owner ?? id, frame, kind);
    return status;
  }

  #answered(connection: Connection, how: Ended): void {
    const { chance, scheduler } = this.#ground;
    const status = how.kind === 'answered' ? (how.value as { readonly statusCode: number }).statusCode : 502;
    if (status >= 300) {
      connection.state = 'closed';
      this.#downstream(connection, (peer) => peer.refused(status));
      return;
    }
    connection.state = 'open';
    connection.isLetIn = true;
    connection.addressableAt = scheduler.now() + chance.float() * NOT_YET_MS;
    connection.lastActiveAt = scheduler.now();
    this.#downstream(connection, (peer) => peer.opened());
    if (connection.isAbandoned) this.#end(connection, 1006);
    else this.#watch(connection, scheduler.now());
  }

  /** One timer for both limits, as the local gateway has it. */
  #watch(connection: Connection, openedAt: number): Timer {
    const { scheduler } = this.#ground;
    const deadline = Math.min(connection.lastActiveAt + IDLE_TIMEOUT_MS, openedAt + MAX_AGE_MS);
    return scheduler.after(deadline - scheduler.now(), () => {
      if (connection.state !== 'open') return;
      const limit = Math.min(connection.lastActiveAt + IDLE_TIMEOUT_MS, openedAt + MAX_AGE_MS);
      if (scheduler.now() >= limit) this.#end(connection, 1001);
      else this.#watch(connection, openedAt);
    });
  }

  #end(connection: Connection, code: number): void {
    connection.state = 'closed';
    this.#ground.trace(() => `gateway: ${connection.id} is closed with ${code}`);
    this.#downstream(connection, (peer) => peer.closed(code));
    const { chance, faults, scheduler } = this.#ground;
    if (chance.hits(faults.disconnectLost)) return;
    const disconnect = (): void =>
      this.#invoke('disconnect', {
        requestContext: { ...this.#context(connection), disconnectStatusCode: code },
      });
    if (chance.hits(faults.disconnectLate)) scheduler.after(chance.between(1_000, 120_000), disconnect);
    else disconnect();
    if (chance.hits(faults.disconnectTwice)) scheduler.after(chance.between(0, 5_000), disconnect);
  }

  /** What API Gateway sends when a function fails: no Engine.IO packet, so it ends the connection. */
  #errorFrame(connection: Connection, message: string): void {
    if (connection.state === 'open')
      this.#deliver(connection, `{"message": "${message}", "connectionId":"${connection.id}"}`);
  }

  #deliver(connection: Connection, frame: string): void {
    connection.lastActiveAt = this.#ground.scheduler.now();
    this.#downstream(connection, (peer) => peer.receive(frame));
  }

  #downstream(connection: Connection, tell: (peer: Peer) => void): void {
    const { chance, scheduler } = this.#ground;
    connection.downstreamAt = Math.max(connection.downstreamAt, scheduler.now() + chance.latency(NETWORK_MS));
    scheduler.after(connection.downstreamAt - scheduler.now(), () => {
      if (connection.peer !== undefined) tell(connection.peer);
    });
  }

  #context(connection: Connection): object {
    this.#requests += 1;
    const { id: connectionId, connectedAt } = connection;
    return {
      connectionId,
      connectedAt,
      requestId: `r${this.#requests}`,
      identity: { sourceIp: '192.0.2.1' },
    };
  }

  #invoke(name: 'connect' | 'message' | 'disconnect', event: object, ended?: (how: Ended) => void): void {
    this.#functions?.invoke(name, event, ended);
  }
}

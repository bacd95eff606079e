/** The stock client's long polling, and its change to a WebSocket (engine.io-client 6, `transports/polling.ts`, `socket.ts`). */
import { pollingId } from '../../lambdas/bus/names.ts';
import type { SocketKey } from '../../lambdas/bus/ports.ts';
import type { Engine, EngineEvents } from './engine.ts';
import type { Row } from './expressions.ts';
import type { Connection, Gateway, Peer } from './gateway.ts';
import type { Ground } from './ground.ts';
import type { Answered, HttpGateway } from './http-gateway.ts';

const SEPARATOR = '\x1e';
/** Longer than the server's patience with a WebSocket that wants to take over. */
const LATE_MS = 12_000;

/** How the change to a WebSocket goes, if there is one. */
export const UPGRADE_PLANS = [
  [6, 'whole'],
  [4, 'none'],
  /** A second WebSocket wants to take over as well. */
  [1, 'twice'],
  /** The WebSocket ends before it has said anything, or before it was answered. */
  [1, 'silent'],
  [1, 'unanswered'],
  /** It asks too late. */
  [1, 'late'],
  /** The WebSocket is cut while the client waits for its last poll: the stock client then waits for ever. */
  [1, 'cut'],
] as const;

export type UpgradePlan = (typeof UPGRADE_PLANS)[number][1];

export interface World {
  readonly ground: Ground;
  readonly gateway: Gateway;
  readonly http: HttpGateway;
  /** Somebody speaks: a moment is near at which what is said could get lost. */
  readonly speak: () => void;
  /** What the server has written down of a connection that polls. */
  readonly socket: (key: SocketKey) => Row | undefined;
  readonly outbox: (id: string) => { readonly open?: unknown; readonly address?: unknown } | undefined;
}

export class PollingEngine implements Engine {
  id = '';
  socket: Connection | undefined;
  readonly #world: World;
  readonly #name: string;
  readonly #plan: UpgradePlan;
  #events: EngineEvents | undefined;
  #sid = '';
  #queue: string[] = [];
  #isPolling = false;
  #isSending = false;
  /** No request begins any more: the client is away, or the WebSocket is about to take over. */
  #isOver = false;
  #isLeaving = false;
  #isPausing = false;
  #probe: Connection | undefined;
  #marks = 0;

  constructor(world: World, name: string, plan: UpgradePlan, events: EngineEvents) {
    this.#world = world;
    this.#name = name;
    this.#plan = plan;
    this.#events = events;
    this.#request('GET', undefined, (status, body) => {
      if (this.#isOver) return;
      if (status === 200) {
        this.#opened(body);
        return;
      }
      this.#isOver = true;
      this.#expectFault(status, body);
      this.#events?.refused(status);
    });
  }

  send(frame: string): void {
    if (this.socket !== undefined) {
      this.#world.gateway.send(this.socket, frame);
      return;
    }
    this.#queue.push(frame);
    this.#flush();
  }

  /** What is to be sent is sent before; a change to the WebSocket that has begun is waited for. */
  leave(): void {
    if (this.#isOver || this.#isLeaving) return;
    this.#isLeaving = true;
    if (this.socket !== undefined) {
      this.#isOver = true;
      this.#world.gateway.leave(this.socket);
    } else if (!this.#isPausing) {
      if (this.#probe !== undefined) this.#world.gateway.leave(this.#probe);
      if (this.id === '') this.#isOver = true;
      else this.send('1');
    }
  }

  vanish(): void {
    this.#isOver = true;
    const socket = this.socket ?? this.#probe;
    if (socket !== undefined) this.#world.gateway.vanish(socket);
  }

  /** Asks where it must not: while another request waits, or after the WebSocket has taken over. */
  askOddly(): void {
    const { ground, outbox } = this.#world;
    if (this.id === '' || this.#isOver) return;
    const hasTakenOver = outbox(this.id)?.address !== undefined;
    this.#request('GET', undefined, (status) => {
      if (hasTakenOver && status === 200)
        ground.violation(`${this.#name} was answered a poll though a WebSocket has taken over`);
    });
    // What the answer holds nobody reads: the client cannot go on.
    if (!hasTakenOver) this.#closed('asked twice');
  }

  detach(): void {
    this.#events = undefined;
    if (this.socket !== undefined) this.socket.peer = undefined;
  }

  #opened(body: string): void {
    const { sid } = JSON.parse(body.slice(1)) as { readonly sid: string };
    this.#sid = sid;
    this.id = pollingId(sid);
    this.#events?.receive(body);
    if (this.#isOver) return;
    this.#upgrade();
    this.#poll();
  }

  #poll(): void {
    if (this.#isOver || this.#isLeaving || this.#isPolling) return;
    this.#isPolling = true;
    this.#request('GET', undefined, (status, body) => {
      this.#isPolling = false;
      if (this.#isOver) return;
      if (status !== 200) {
        this.#fail(`a poll was answered with ${status}`, status, body);
        return;
      }
      for (const frame of body.split(SEPARATOR)) {
        if (this.#isOver || this.#isLeaving) break;
        if (frame === '1') {
          this.#closed('closed by the server');
          return;
        }
        if (frame !== '6') this.#events?.receive(frame);
      }
      if (this.#isPausing) this.#paused();
      else this.#poll();
    });
  }

  #flush(): void {
    if (this.#isOver || this.#isSending || this.#isPausing || this.#queue.length === 0 || this.id === '')
      return;
    this.#isSending = true;
    const batch = this.#queue.splice(0);
    this.#request('POST', batch.join(SEPARATOR), (status, body) => {
      this.#isSending = false;
      if (this.#isOver) return;
      if (batch.at(-1) === '1' && this.#isLeaving) {
        this.#isOver = true;
        return;
      }
      if (status !== 200) {
        this.#fail(`a POST was answered with ${status}`, status, body);
        return;
      }
      if (this.#isPausing) this.#paused();
      else this.#flush();
    });
  }

  #fail(reason: string, status: number, body: string): void {
    this.#expectFault(status, body);
    this.#closed(reason);
  }

  /** The stock client says goodbye whenever it closes, if it can. */
  #closed(reason: string): void {
    const { chance } = this.#world.ground;
    const events = this.#events;
    const socket = this.#probe ?? this.socket;
    if (socket !== undefined) this.#world.gateway.leave(socket);
    if (!this.#isSending && chance.hits(0.5)) this.#request('POST', '1', () => {});
    this.#isOver = true;
    events?.closed(reason);
  }

  /** Without a fault nothing fails but the requests of a session that the server has closed. */
  #expectFault(status: number, body: string): void {
    const { ground, outbox } = this.#world;
    if (!ground.isFaultless) return;
    if (status === 400 && body !== '' && this.id !== '' && outbox(this.id)?.open !== true) return;
    ground.violation(`${this.#name} was answered with ${status} ${body}`);
  }

  #upgrade(): void {
    const { ground } = this.#world;
    const { chance, scheduler } = ground;
    const plan = this.#plan === 'cut' && ground.isFaultless ? 'whole' : this.#plan;
    if (plan === 'none') return;
    // Mostly at once, as the stock client does; a slow network makes it later.
    scheduler.after(chance.hits(0.7) ? 0 : chance.between(0, 5_000), () => {
      if (this.#isOver || this.#isLeaving) return;
      this.#probing(plan);
    });
  }

  #probing(plan: UpgradePlan): void {
    const { gateway, ground } = this.#world;
    const { chance, scheduler } = ground;
    const probe = gateway.connect(
      this.#probePeer(plan, () => probe),
      this.#sid,
    );
    this.#probe = probe;
    ground.trace(() => `${this.#name} probes with ${probe.id} as ${plan}`);
    if (plan === 'twice') this.#rival(probe);
    if (plan === 'silent') scheduler.after(chance.between(0, 1_000), () => this.#cut());
  }

  /** A WebSocket with the same sid beside the one of the client: one of the two is let in, not both. */
  #rival(probe: Connection): void {
    const { gateway, ground } = this.#world;
    const rival = gateway.connect(
      {
        opened: () => {
          if (probe.isLetIn && probe.state === 'open')
            ground.violation(`${this.#name} has two WebSockets that take over`);
          ground.scheduler.after(ground.chance.between(0, 3_000), () => gateway.leave(rival));
        },
        refused: () => {},
        receive: (frame) => ground.violation(`${this.#name}'s other WebSocket got ${frame}`),
        closed: () => {},
      },
      this.#sid,
    );
  }

  #probePeer(plan: UpgradePlan, own: () => Connection): Peer {
    const { gateway, ground } = this.#world;
    const { chance, scheduler } = ground;
    const carries = (): boolean => this.socket === own();
    return {
      opened: () => {
        if (plan === 'silent') return;
        const ask = (): void => {
          if (this.#probe === own()) gateway.send(own(), '2probe');
        };
        if (plan === 'late') scheduler.after(LATE_MS, ask);
        else ask();
        if (plan === 'unanswered') scheduler.after(chance.between(0, 30), () => this.#cut());
      },
      refused: () => {
        if (this.#probe === own()) this.#probe = undefined;
      },
      receive: (frame) => {
        if (carries()) {
          this.#events?.receive(frame);
          return;
        }
        if (this.#probe !== own()) return;
        if (frame === '3probe') {
          this.#pause(plan);
          return;
        }
        // API Gateway's error frame is no answer to the probe: the attempt is over.
        if (frame.startsWith('{"message"')) {
          this.#cut();
          return;
        }
        ground.violation(`${this.#name} got ${frame} over a WebSocket that has not taken over`);
      },
      closed: (code) => {
        if (carries()) {
          this.#isOver = true;
          this.#events?.closed(`closed with ${code}`);
        } else if (this.#probe === own()) this.#probe = undefined;
      },
    };
  }

  #cut(): void {
    const { gateway, ground } = this.#world;
    const probe = this.#probe;
    if (probe === undefined) return;
    this.#probe = undefined;
    if (ground.chance.hits(0.5)) gateway.leave(probe);
    else gateway.vanish(probe);
  }

  /** The WebSocket works both ways: it takes over when the requests under way are answered. */
  #pause(plan: UpgradePlan): void {
    if (this.#isOver || this.#isLeaving || this.#isPausing) return;
    this.#isPausing = true;
    if (plan === 'cut') this.#cut();
    const { chance, scheduler } = this.#world.ground;
    for (let count = chance.below(4); count > 0; count -= 1)
      scheduler.after(chance.between(0, 300), this.#world.speak);
    this.#paused();
  }

  #paused(): void {
    if (this.#isPolling || this.#isSending || this.#probe === undefined || this.#isOver) return;
    const { gateway, ground } = this.#world;
    const socket = this.#probe;
    this.#probe = undefined;
    this.socket = socket;
    ground.trace(() => `${this.#name} has changed over to ${socket.id}`);
    gateway.send(socket, '5');
    for (const frame of this.#queue.splice(0)) gateway.send(socket, frame);
    if (!this.#isLeaving) return;
    this.#isOver = true;
    gateway.leave(socket);
  }

  #request(method: 'GET' | 'POST', body: string | undefined, answered: Answered): void {
    const { http } = this.#world;
    this.#marks += 1;
    http.request(
      {
        method,
        query: {
          EIO: '4',
          transport: 'polling',
          ...(this.#sid === '' ? {} : { sid: this.#sid }),
          t: `${this.#marks.toString(36)}`,
        },
        ...(body === undefined ? {} : { body }),
      },
      answered,
    );
  }
}

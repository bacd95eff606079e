/** The stock client, as far as a server can tell: socket.io-client 4 with engine.io-client 6, over WebSockets, long polling, or both. */
import { decodePacket } from 'engine.io-parser';
import { parseOffset } from '../../lambdas/contract/offsets.ts';
import { type Engine, type EngineEvents, WebSocketEngine } from './engine.ts';
import type { Connection } from './gateway.ts';
import type { Ground } from './ground.ts';
import { type Ledger, publishIn } from './ledger.ts';
import { PollingEngine, UPGRADE_PLANS, type World } from './polling-engine.ts';
import { checkFresh, checkRecovered, isRefused } from './recovery-check.ts';
import type { Timer } from './scheduler.ts';
import { CLOCK_MS, type Line, newLine, type Receipt, type Session, type Via } from './sessions.ts';

/** The client's `timeout` option: from the first attempt to the open packet. */
const CONNECT_TIMEOUT_MS = 20_000;
/** How many connections begin with long polling. */
const POLLING_SHARE = 0.45;

/** Of the moments at which a drop hurts most, how many have one. */
const STUMBLES = 0.04;

/** No message takes longer than its function may (lib/functions.ts). */
const HANDLED_MS = 25_000;

/** What was sent so long ago has been done, where nothing fails. */
const HEEDED_MS = 2_000;

/** What ends sessions counts for those, too, that begin so much later: their clocks and what the server allows them. */
const ENDING_MS = 2 * CLOCK_MS + 4_000;

/** Connections are recycled from their hundredth minute on. */
const YOUNG_MS = 100 * 60_000;

interface Answer {
  readonly ok: boolean;
  readonly nonce?: number;
  readonly error?: { readonly code: string };
}

interface Pending {
  readonly nonce: number;
  readonly event: string;
  readonly resolve: (answer: Answer) => void;
}

interface Live {
  readonly session: Session;
  readonly pending: Map<number, Pending>;
  /** Acknowledgements of what was sent before are of an earlier session. */
  readonly firstAck: number;
}

/** An event as it came: with the text that may be an offset. */
interface Arrived {
  readonly receipt: Receipt | undefined;
  readonly lastArgument: unknown;
}

/** What a socket of the stock client keeps over its connections, even where it is disconnected in earnest. */
interface Kept {
  pid?: string;
  offset?: string;
  line?: Line;
  /** Came before a CONNECT reply: kept back until there is one. */
  readonly early: Arrived[];
}

/** Of an odd frame, and no event of this client. */
const ODD_ACK = 999_999;
const SOCKET_PACKET = /^(\d)(?:(\/[^,]*),)?(\d+)?(.*)$/s;

export class Client {
  readonly name: string;
  /** Whether it comes back by itself after a drop that it did not want. */
  reconnects = true;
  readonly #ground: Ground;
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #sockets = new Map<string, Live>();
  readonly #kept = new Map<string, Kept>();
  /** Namespaces to which it connects again when it is back. */
  readonly #wanted = new Set<string>();
  /** What it has left on this connection, and when. */
  readonly #left: { readonly line: Line; readonly at: number }[] = [];
  #engine: Engine | undefined;
  /** Has its open packet. */
  #isOpen = false;
  /** Something was done for which its connection may be closed. */
  expectsCut = false;
  #begunAt = 0;
  #endsAt = 0;
  #timer: Timer | undefined;
  #returning: Timer | undefined;
  #sessions = 0;
  #nonces = 0;
  /** Never begins anew: neither does the stock client's. */
  #nextAck = 0;
  #patienceMs = 0;

  constructor(world: World, ledger: Ledger, name: string) {
    this.#ground = world.ground;
    this.#world = world;
    this.#ledger = ledger;
    this.name = name;
  }

  get isAway(): boolean {
    return this.#engine === undefined;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get engine(): Engine | undefined {
    return this.#engine;
  }

  get socket(): Connection | undefined {
    return this.#engine?.socket;
  }

  /** Its sockets that have their CONNECT reply. */
  get sessions(): Session[] {
    return [...this.#sockets.values()].flatMap(({ session }) =>
      session.connectedAt === undefined ? [] : [session],
    );
  }

  isConnectingTo(namespace: string): boolean {
    return this.#sockets.has(namespace);
  }

  pendingIn(session: Session): readonly Pending[] {
    return [...(this.#sockets.get(session.namespace)?.pending.values() ?? [])];
  }

  connect(): void {
    if (this.#returning !== undefined) this.#returning.cancelled = true;
    if (this.#engine !== undefined) return;
    const { chance } = this.#ground;
    const events = this.#events(() => this.#engine === engine);
    const plan = chance.hits(POLLING_SHARE) ? chance.weighted(UPGRADE_PLANS) : undefined;
    const engine =
      plan === undefined
        ? new WebSocketEngine(this.#world.gateway, events)
        : new PollingEngine(this.#world, this.name, plan, events);
    this.#engine = engine;
    this.#begunAt = this.#ground.scheduler.now();
    this.#ground.trace(
      () => `${this.name} connects${plan === undefined ? ` as ${engine.id}` : ` to poll, upgrade: ${plan}`}`,
    );
    this.#alarm(CONNECT_TIMEOUT_MS, 'connect timeout');
  }

  /** CONNECT to a namespace; a second one to the same breaks the protocol. */
  connectTo(namespace: string): void {
    if (!this.#isOpen) return;
    const { pid, offset } = this.#keptOf(namespace);
    if (!this.#sockets.has(namespace)) {
      const session = this.#begun(namespace);
      this.#ledger.sessions.push(session);
      this.#sockets.set(namespace, { session, pending: new Map(), firstAck: this.#nextAck });
      this.#wanted.add(namespace);
    }
    this.send(`40${prefix(namespace)}${pid === undefined ? '' : JSON.stringify({ pid, offset })}`);
  }

  #begun(namespace: string): Session {
    const { line, offset, pid } = this.#keptOf(namespace);
    const now = this.#ground.scheduler.now();
    this.#sessions += 1;
    return {
      label: `${this.name}${namespace}#${this.#sessions}`,
      namespace,
      connectionId: this.#engine?.id ?? '',
      askedAt: now,
      line: this.#nextLine(namespace, line),
      shown:
        pid === undefined || line?.sid === undefined
          ? undefined
          : {
              line,
              offset: parseOffset(offset),
              isRefused: isRefused(this.#world.socket({ namespace, id: line.sid }), now),
            },
    };
  }

  /**
   * What was asked for on this connection before the namespace was left may be done for the socket that comes after it,
   * since the messages of one client are handled side by side (design D13).
   */
  #nextLine(namespace: string, before: Line | undefined): Line {
    const next = newLine(namespace);
    if (before === undefined || before.sessions.at(-1)?.connectionId !== this.#engine?.id) return next;
    const endedAt = this.#ground.scheduler.now() + HANDLED_MS;
    for (const { kind, room, sentAt, ok } of before.operations)
      if (ok === undefined) next.operations.push({ kind, room, sentAt, endedAt });
    return next;
  }

  #keptOf(namespace: string): Kept {
    const kept = this.#kept.get(namespace) ?? { early: [] };
    this.#kept.set(namespace, kept);
    return kept;
  }

  /** DISCONNECT from a namespace; with none left the client closes. */
  leaveNamespace(namespace: string): void {
    const live = this.#sockets.get(namespace);
    if (live === undefined) return;
    this.send(`41${prefix(namespace)}`);
    live.session.line.isOver = true;
    this.#left.push({ line: live.session.line, at: this.#ground.scheduler.now() });
    this.#endSocket(live);
    this.#wanted.delete(namespace);
    if (this.#sockets.size === 0) this.close();
  }

  /** Sends an event and waits for its acknowledgement; the payload gets a nonce that the answer must repeat. */
  emit(session: Session, event: string, payload: object, resolve: (answer: Answer) => void = () => {}): void {
    const live = this.#sockets.get(session.namespace);
    if (live?.session !== session) return;
    this.#nonces += 1;
    const id = this.#nextAck;
    this.#nextAck += 1;
    live.pending.set(id, { nonce: this.#nonces, event, resolve });
    const args = JSON.stringify([event, { ...payload, nonce: this.#nonces }]);
    this.send(`42${prefix(session.namespace)}${id}${args}`);
  }

  emitSilently(session: Session, event: string, payload: object): void {
    this.send(`42${prefix(session.namespace)}${JSON.stringify([event, payload])}`);
  }

  /** Something was done for which its connection may be closed. */
  expectCut(): void {
    this.expectsCut = true;
    for (const { session } of this.#sockets.values()) session.expectsCut = true;
  }

  /** Sessions are ended, perhaps also one that begins a moment later. */
  expectEnd(): void {
    this.expectCut();
    this.#endsAt = this.#ground.scheduler.now();
  }

  send(frame: string): void {
    if (this.#engine === undefined) return;
    this.#ground.trace(() => `${this.name} sends ${frame}`);
    this.#engine.send(frame);
  }

  close(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#drop('own close');
    engine.leave();
  }

  /** Switched off, or out of reach. */
  vanish(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#drop('vanishes');
    engine.vanish();
  }

  askOddly(): void {
    this.#engine?.askOddly();
  }

  #events(isCurrent: () => boolean): EngineEvents {
    const current =
      <A extends unknown[]>(handle: (...args: A) => void) =>
      (...args: A): void => {
        if (isCurrent()) handle(...args);
      };
    return {
      refused: current((status: number) => {
        if (this.#ground.isFaultless) this.#ground.violation(`${this.name} was refused with ${status}`);
        this.#drop(`refused with ${status}`);
        this.#comeBack();
      }),
      receive: current((frame: string) => this.#receive(frame)),
      closed: current((reason: string) => {
        if (this.#ground.isFaultless && this.#behaved())
          this.#ground.violation(`${this.name} was cut (${reason}) without a fault of anybody`);
        this.#drop(reason);
        this.#comeBack();
      }),
    };
  }

  /** Nothing that this client did, and no age, is a reason to close its connection. */
  #behaved(): boolean {
    const ageMs = this.#ground.scheduler.now() - this.#begunAt;
    return !this.expectsCut && this.#sockets.size > 0 && ageMs < YOUNG_MS;
  }

  #receive(frame: string): void {
    this.#ground.trace(() => `${this.name} receives ${frame}`);
    const packet = decodePacket(frame);
    switch (packet.type) {
      case 'open':
        this.#opened(String(packet.data));
        return;
      case 'ping':
        if (!this.#isOpen) {
          // The stock client closes at once; without a fault its open packet came first.
          if (this.#ground.isFaultless)
            this.#ground.violation(`${this.name} was pinged before its open packet`);
          this.#giveUp('pinged before the open packet');
          return;
        }
        this.#alarm(this.#patienceMs, 'ping timeout');
        this.send('3');
        return;
      case 'message':
        this.#message(String(packet.data ?? ''));
        return;
      default:
        if (!frame.startsWith('{"message"')) this.#ground.violation(`${this.name} got junk: ${frame}`);
        {
          this.#giveUp('parse error');
          return;
        }
    }
  }

  #opened(text: string): void {
    const { pingInterval, pingTimeout } = JSON.parse(text) as { pingInterval: number; pingTimeout: number };
    this.#patienceMs = pingInterval + pingTimeout;
    this.#alarm(this.#patienceMs, 'ping timeout');
    // A second open packet only sets the timer again.
    if (this.#isOpen) return;
    this.#isOpen = true;
    for (const namespace of new Set(['/', ...this.#wanted])) this.connectTo(namespace);
  }

  #message(text: string): void {
    const [, type, namespace = '/', id, rest = ''] = SOCKET_PACKET.exec(text) ?? [];
    const live = this.#sockets.get(namespace);
    switch (type) {
      case '0':
        this.#connected(live, rest);
        return;
      case '1':
        this.#dismissed(live);
        return;
      case '2':
        if (live !== undefined) this.#event(live, rest);
        return;
      case '3':
        if (live !== undefined) this.#acknowledged(live, Number(id), rest);
        return;
      case '4':
        if (namespace !== '/nowhere') this.#ground.violation(`${this.name} was refused by ${namespace}`);
        {
          this.#dismissed(live);
          return;
        }
      default:
        this.#ground.violation(`${this.name} got no Socket.IO packet: ${text}`);
    }
  }

  #connected(live: Live | undefined, rest: string): void {
    if (live === undefined) return;
    const { session } = live;
    if (session.connectedAt !== undefined) {
      this.#ground.violation(`${session.label} connected twice`);
      return;
    }
    const now = this.#ground.scheduler.now();
    const { sid, pid } = JSON.parse(rest) as { readonly sid: string; readonly pid?: string };
    const kept = this.#keptOf(session.namespace);
    if (pid !== undefined && pid === kept.pid) this.#recovered(session, sid);
    else if (this.#endsAt + ENDING_MS < (session.shown?.line.sessions[0]?.askedAt ?? 0))
      checkFresh(this.#ground, session);
    session.line.sid = sid;
    session.line.sessions.push(session);
    session.connectedAt = now;
    Object.assign(kept, { pid, line: session.line });
    for (const early of kept.early.splice(0)) this.#emitted(early, kept);
    this.#stumble();
  }

  #recovered(session: Session, sid: string): void {
    const { namespace, shown } = session;
    if (shown !== undefined) session.line = shown.line;
    checkRecovered(this.#ground, session, sid, this.#world.socket({ namespace, id: sid }));
    // Whatever becomes of what was asked for before, it is decided: the connection is not the socket's any more.
    for (const operation of session.line.operations) operation.endedAt ??= this.#ground.scheduler.now();
  }

  /** The server ends a socket; with none left the client closes, and does not come back by itself. */
  #dismissed(live: Live | undefined): void {
    if (live === undefined) return;
    live.session.line.isOver = true;
    this.#endSocket(live);
    this.#wanted.delete(live.session.namespace);
    if (this.#sockets.size === 0) this.close();
  }

  #event({ session }: Live, rest: string): void {
    const publish = publishIn(rest);
    const lastArgument: unknown = (JSON.parse(rest) as unknown[]).at(-1);
    const isEarly = session.connectedAt === undefined;
    const offset = parseOffset(lastArgument);
    const receipt = publish === undefined ? undefined : { publish, session, via: this.#via, isEarly, offset };
    const kept = this.#keptOf(session.namespace);
    if (isEarly) {
      kept.early.push({ receipt, lastArgument });
      this.#stumble();
    } else this.#emitted({ receipt, lastArgument }, kept);
  }

  /** Where it hurts most, in the midst of a replay or with the reply, a client is gone and is back before that is known. */
  #stumble(): void {
    const { chance, scheduler } = this.#ground;
    if (!this.reconnects || !chance.hits(STUMBLES)) return;
    this.vanish();
    this.#returning = scheduler.after(chance.between(0, 2_000), () => {
      if (this.reconnects) this.connect();
    });
  }

  #emitted({ receipt, lastArgument }: Arrived, kept: Kept): void {
    if (receipt !== undefined) this.#ledger.hear(receipt);
    if (kept.pid !== undefined && typeof lastArgument === 'string') kept.offset = lastArgument;
  }

  /** Like the stock client, which forgets the callback with its first call. */
  #acknowledged(live: Live, id: number, rest: string): void {
    const pending = live.pending.get(id);
    // One of the odd frames asks for an acknowledgement of its own.
    if (id === ODD_ACK) return;
    if (pending === undefined) {
      if (id >= this.#nextAck || (id >= live.firstAck && this.#ground.isFaultless))
        this.#ground.violation(`${live.session.label} got an acknowledgement that it does not wait for`);
      return;
    }
    live.pending.delete(id);
    const [answer] = JSON.parse(rest) as [Answer];
    if (answer.ok ? answer.nonce !== pending.nonce : this.#ground.isFaultless)
      this.#ground.violation(
        `${live.session.label} got a wrong acknowledgement of ${pending.event}: ${rest}`,
      );
    pending.resolve(answer);
  }

  get #via(): Via {
    const { id, socket } = this.#engine ?? {};
    if (socket === undefined) return 'polling';
    return socket.id === id ? 'websocket' : 'upgraded';
  }

  #alarm(ms: number, reason: string): void {
    if (this.#timer !== undefined) this.#timer.cancelled = true;
    this.#timer = this.#ground.scheduler.after(ms, () => {
      // Closed for what it did while it changes over, a client that neither polls nor writes learns it by silence.
      if (this.#ground.isFaultless && !this.expectsCut)
        this.#ground.violation(`${this.name}: ${reason} without a fault`);
      this.#giveUp(reason);
    });
  }

  #giveUp(reason: string): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#drop(reason);
    engine.leave();
    this.#comeBack();
  }

  #drop(reason: string): void {
    this.#ground.trace(() => `${this.name} drops: ${reason}`);
    for (const live of [...this.#sockets.values()]) this.#endSocket(live);
    // The end of the connection may be known before what was sent over it.
    for (const { line, at } of this.#left.splice(0))
      if (this.#ground.scheduler.now() - at < HEEDED_MS) {
        line.isOver = false;
        line.mayBeOver = true;
      }
    if (this.#timer !== undefined) this.#timer.cancelled = true;
    this.#engine?.detach();
    this.#engine = undefined;
    this.#isOpen = false;
    this.expectsCut = false;
  }

  #endSocket(live: Live): void {
    live.session.endedAt = this.#ground.scheduler.now();
    this.#sockets.delete(live.session.namespace);
  }

  #comeBack(): void {
    if (!this.reconnects) return;
    // `reconnectionDelay`, as the manager randomises it.
    this.#returning = this.#ground.scheduler.after(this.#ground.chance.between(500, 5_000), () => {
      if (this.reconnects) this.connect();
    });
  }
}

function prefix(namespace: string): string {
  return namespace === '/' ? '' : `${namespace},`;
}

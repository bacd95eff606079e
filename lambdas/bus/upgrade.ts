/** A WebSocket takes over from long polling (engine.io-protocol v4, "Upgrade"; design D14). */
import type { Bus } from './context.ts';
import { OPENING_BACKOFF_MS, postUntil, retryUndelivered } from './delivery.ts';
import { ENGINE_ERRORS, type EngineError } from './handshake.ts';
import { slotOf } from './heartbeat.ts';
import type { Lifecycle } from './lifecycle.ts';
import { pollingId } from './names.ts';
import type { Connection, PollSession } from './ports.ts';

/**
 * How long a WebSocket may try. Engine.IO gives it 10 s (`upgradeTimeout`), on one machine; where many come at once its
 * three steps stand in three queues, and a client whose attempt was ended does not try again.
 */
export const PROBE_MS = 60_000;
const PROBE_ANSWER = '3probe';
/** How long each post of the switch is tried. */
const POST_MS = 3_000;
/**
 * How long a frame waits for the taking over that the frame before it asked for (design D13): an instance that handles
 * the request for it may be starting, and has frames to post.
 */
const TAKEOVER_MS = 8_000;
const TAKEOVER_STEP_MS = 50;
/**
 * Frames of one attempt that may wait. Whether `5` was sent before them cannot be told: it may be with an instance that
 * is starting, and until that has read it nothing is written of it. So whoever never sends it would hold an execution
 * with every frame. They are counted in the row, for an instance that waits handles nothing else, and sees no other.
 */
export const MOST_EARLY_FRAMES = 20;

export class Upgrades {
  readonly #bus: Bus;
  readonly #lifecycle: Lifecycle;

  constructor(bus: Bus, lifecycle: Lifecycle) {
    this.#bus = bus;
    this.#lifecycle = lifecycle;
  }

  /** `$connect` with a sid: the WebSocket may try to take over. It is not greeted, its client speaks first. */
  async begin(address: string, sid: string): Promise<EngineError | undefined> {
    const { clock, outbox } = this.#bus;
    const outcome = await outbox.beginProbe(pollingId(sid), { address, at: clock.now() });
    if (outcome === 'probing') return undefined;
    return outcome === 'taken' ? ENGINE_ERRORS.badRequest : ENGINE_ERRORS.unknownSid;
  }

  /** `2probe`: the WebSocket works in this direction; the answer tells whether in the other. */
  async probe(address: string): Promise<void> {
    const session = await this.#session(address);
    if (session?.probe?.address !== address || !session.open) {
      await this.#bus.wire.close(address);
      return;
    }
    await this.#post(address, PROBE_ANSWER);
  }

  /**
   * `5`: the client polls no more, so it has read every answer it was given. What it was not given goes over the
   * WebSocket, in order; then the WebSocket takes over, unless more has come meanwhile.
   */
  async complete(address: string): Promise<void> {
    const session = await this.#session(address);
    // A connection that began as a WebSocket has nothing to take over from; Engine.IO ignores the packet.
    if (session === undefined) return;
    if (!session.open) {
      await this.#bus.wire.close(address);
      return;
    }
    if (session.address !== address && !(await this.#drain(session, address))) {
      this.#bus.log.warn('an upgrade failed, closing the connection', { connectionId: session.id });
      return this.#lifecycle.close(session.id);
    }
    await this.settle(address);
  }

  /** Moves what names the old transport to the new one. Posts find their way without it, by one read more. */
  async settle(address: string): Promise<void> {
    const { clock, config, store } = this.#bus;
    const connection = await store.connection(address);
    if (connection === undefined || !connection.open || connection.address !== address) return;
    const { id, connectedAt, namespaces } = connection;
    const slot = slotOf(address, config.pingIntervalMinutes);
    if (!(await store.joinSlot(address, slot, connectedAt, clock.now()))) return;
    for (const [namespace, socketId] of Object.entries(namespaces)) {
      await store.readdress({ namespace, id: socketId, connectionId: id, connectedAt }, address);
    }
    await store.leaveSlot(id, slotOf(id, config.pingIntervalMinutes));
  }

  /**
   * The connection of a WebSocket whose taking over is under way: its client sends frames as soon as it has asked for
   * it. Undefined where there is none; where it does not come, or not in time, or for too many frames, the connection is
   * closed, for its client polls no more.
   */
  async awaited(address: string): Promise<Connection | undefined> {
    const { clock, outbox, store } = this.#bus;
    const id = await outbox.probedBy(address);
    if (id === undefined) return undefined;
    let waits = false;
    for (const deadline = clock.now() + TAKEOVER_MS; clock.now() < deadline; ) {
      const session = await outbox.session(id);
      if (session?.open !== true) return undefined;
      if (session.address === address) return store.connection(address);
      if (session.probe?.address !== address) break;
      waits ||= await outbox.countEarly(address, MOST_EARLY_FRAMES);
      if (!waits) break;
      await clock.sleep(TAKEOVER_STEP_MS);
    }
    this.#bus.log.info('frames came before an upgrade, closing the connection', { connectionId: id });
    await this.#lifecycle.close(id);
    return undefined;
  }

  async #session(address: string): Promise<PollSession | undefined> {
    const { outbox } = this.#bus;
    const id = await outbox.probedBy(address);
    return id === undefined ? undefined : outbox.session(id);
  }

  async #drain(session: PollSession, address: string): Promise<boolean> {
    const { outbox } = this.#bus;
    let done = session.appended - session.frames.length + session.answered;
    for (
      let at: PollSession | undefined = session;
      at?.open === true;
      at = await outbox.session(session.id)
    ) {
      if (at.probe?.address !== address) return false;
      for (const frame of at.frames.slice(done - (at.appended - at.frames.length))) {
        if (!(await this.#post(address, frame))) return false;
        done += 1;
      }
      const outcome = await outbox.upgrade(session.id, address, done);
      if (outcome !== 'more') return outcome === 'upgraded';
    }
    return false;
  }

  async #post(address: string, frame: string): Promise<boolean> {
    const deadline = this.#bus.clock.now() + POST_MS;
    const outcome = await postUntil(
      this.#bus,
      address,
      frame,
      retryUndelivered,
      deadline,
      OPENING_BACKOFF_MS,
    );
    return outcome === 'ok';
  }
}

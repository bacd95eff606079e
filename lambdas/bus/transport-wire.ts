/** One wire over both transports: nothing above it knows which of them a client has (design D1, D14). */
import { isPollingId } from '../contract/ids.ts';
import type { FrameWire, Log, Outbox, PostOutcome, Wire } from './ports.ts';

/** Connections whose WebSocket is remembered; one that has taken over stays the one until the end. */
const MOST_REMEMBERED = 10_000;

export class TransportWire implements Wire {
  readonly #sockets: FrameWire;
  readonly #outbox: Outbox;
  readonly #log: Log;
  readonly #upgraded = new Map<string, string>();

  /** @param sockets the wire of the connections that are WebSockets */
  constructor(sockets: FrameWire, outbox: Outbox, log: Log) {
    this.#sockets = sockets;
    this.#outbox = outbox;
    this.#log = log;
  }

  async post(connectionId: string, frame: string): Promise<PostOutcome> {
    if (!isPollingId(connectionId)) return this.#sockets.post(connectionId, frame);
    const known = this.#upgraded.get(connectionId);
    if (known !== undefined) return this.#sockets.post(known, frame);
    const outcome = await this.#append(connectionId, [frame]);
    if (typeof outcome === 'string') return outcome;
    this.#remember(connectionId, outcome.address);
    return this.#sockets.post(outcome.address, frame);
  }

  /** API Gateway takes no two frames together (@connections API), an outbox does. */
  async postPacket(connectionId: string, frames: readonly string[]): Promise<PostOutcome | 'singly'> {
    if (!isPollingId(connectionId) || this.#upgraded.has(connectionId)) return 'singly';
    const outcome = await this.#append(connectionId, frames);
    if (typeof outcome === 'string') return outcome;
    this.#remember(connectionId, outcome.address);
    return 'singly';
  }

  async close(connectionId: string): Promise<boolean> {
    if (!isPollingId(connectionId)) return this.#sockets.close(connectionId);
    try {
      const upgraded = (await this.#outbox.session(connectionId))?.address;
      // It first: with its outbox closed and itself open it would be deaf, and not know it.
      if (upgraded !== undefined && !(await this.#sockets.close(upgraded))) return false;
      const session = await this.#outbox.close(connectionId);
      const socket = session?.address ?? session?.probe?.address;
      return socket === undefined || socket === upgraded || (await this.#sockets.close(socket));
    } catch (error) {
      this.#log.warn('a polling connection could not be closed', { connectionId, error });
      return false;
    }
  }

  async #append(
    connectionId: string,
    frames: readonly string[],
  ): Promise<PostOutcome | { readonly address: string }> {
    try {
      const outcome = await this.#outbox.append(connectionId, frames);
      if (outcome === 'appended') return 'ok';
      if (outcome === 'tooLarge') {
        this.#log.warn('a packet is too large for an outbox', { connectionId });
        return 'refused';
      }
      // Who reads too slowly on a WebSocket is throttled as well; it may have caught up at the next try.
      return outcome === 'full' ? 'throttled' : outcome;
    } catch (error) {
      this.#log.warn('a packet could not be put into an outbox', { connectionId, error });
      return 'failed';
    }
  }

  #remember(connectionId: string, address: string): void {
    if (this.#upgraded.size >= MOST_REMEMBERED) this.#upgraded.clear();
    this.#upgraded.set(connectionId, address);
  }
}

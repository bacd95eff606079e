/** One wire over both transports: nothing above it knows which of them a client has (design D1, D14). */
import { isPollingId } from '../contract/ids.ts';
import type { Log, Outbox, PostOutcome, Wire } from './ports.ts';

/** Connections whose WebSocket is remembered; one that has taken over stays the one until the end. */
const MOST_REMEMBERED = 10_000;

export class TransportWire implements Wire {
  readonly #sockets: Wire;
  readonly #outbox: Outbox;
  readonly #log: Log;
  readonly #upgraded = new Map<string, string>();

  /** @param sockets the wire of the connections that are WebSockets */
  constructor(sockets: Wire, outbox: Outbox, log: Log) {
    this.#sockets = sockets;
    this.#outbox = outbox;
    this.#log = log;
  }

  async post(connectionId: string, frame: string): Promise<PostOutcome> {
    if (!isPollingId(connectionId)) return this.#sockets.post(connectionId, frame);
    const known = this.#upgraded.get(connectionId);
    if (known !== undefined) return this.#sockets.post(known, frame);
    const outcome = await this.#append(connectionId, frame);
    if (typeof outcome === 'string') return outcome;
    this.#remember(connectionId, outcome.address);
    return this.#sockets.post(outcome.address, frame);
  }

  async close(connectionId: string): Promise<boolean> {
    if (!isPollingId(connectionId)) return this.#sockets.close(connectionId);
    try {
      const session = await this.#outbox.close(connectionId);
      const socket = session?.address ?? session?.probe?.address;
      return socket === undefined || (await this.#sockets.close(socket));
    } catch (error) {
      this.#log.warn('a polling connection could not be closed', { connectionId, error });
      return false;
    }
  }

  async #append(connectionId: string, frame: string): Promise<PostOutcome | { readonly address: string }> {
    try {
      const outcome = await this.#outbox.append(connectionId, [frame]);
      if (outcome === 'appended') return 'ok';
      // Who reads too slowly on a WebSocket is throttled as well; it may have caught up at the next try.
      return outcome === 'full' ? 'throttled' : outcome;
    } catch (error) {
      this.#log.warn('a frame could not be put into an outbox', { connectionId, error });
      return 'failed';
    }
  }

  #remember(connectionId: string, address: string): void {
    if (this.#upgraded.size >= MOST_REMEMBERED) this.#upgraded.clear();
    this.#upgraded.set(connectionId, address);
  }
}

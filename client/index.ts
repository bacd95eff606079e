/** What a browser imports beside the stock `socket.io-client`: no other module, nothing of Node. */

/** A socket of `socket.io-client` 4, told by its public face: what `io()` gives in any version and with any event map. */
export interface ClientSocket {
  /** Its manager. */
  readonly io: object;
  onAny(listener: (...args: unknown[]) => void): unknown;
}

export interface DropRepeatsOptions {
  /** How many events are remembered; about 100 bytes each. @default 1000, the most that a recovery sends again */
  readonly remember?: number;
}

/**
 * What every version from 4.0 to 4.8 has, under these names in its minified builds as well. `emitEvent` is where all events
 * pass, those that came before `connect` included, one step before the first listener.
 */
interface Internals {
  emitEvent?(args: readonly unknown[]): void;
  _pid?: string;
  _lastOffset?: string;
}

/** Nine digits of time, then the message's id: the form is that of `lambdas/contract/offsets.ts`. */
const OFFSET = /^[\da-z]{9}[\w-]{20}$/;
const DIGITS = 9;

/**
 * Drops events that come again after a recovery or a retry, before any listener hears them, those of `onAny` included. An
 * event is a repeat if its last argument is the offset of one of the last `remember` different messages. Everything
 * else passes as it came: events without an offset, and those that want an acknowledgement. An argument of an application
 * that has the form of an offset is taken for one where the server adds none, so use it where there is recovery only.
 *
 * Where the client keeps an offset to show when it reconnects, a repeat's becomes the last as if it had been heard.
 *
 * @returns stops it, and forgets
 * @throws RangeError where `remember` is no positive integer, TypeError for what is no socket of `socket.io-client` 4
 */
export function dropRepeats(socket: ClientSocket, { remember = 1_000 }: DropRepeatsOptions = {}): () => void {
  const internals = socket as ClientSocket & Internals;
  const { emitEvent } = internals;
  if (!Number.isSafeInteger(remember) || remember < 1) throw new RangeError('remember: a positive integer');
  if (typeof emitEvent !== 'function') throw new TypeError('not a socket of socket.io-client 4');
  const heard = new Set<string>();
  let stopped = false;

  function isRepeat(id: string): boolean {
    const isKnown = heard.delete(id);
    heard.add(id);
    for (const oldest of heard) {
      if (heard.size <= remember) break;
      heard.delete(oldest);
    }
    return isKnown;
  }

  const filtered = (args: readonly unknown[]): void => {
    // The first is the event's name. With an acknowledgement the last is a function.
    const last = args.length > 1 ? args[args.length - 1] : undefined;
    if (!stopped && typeof last === 'string' && OFFSET.test(last) && isRepeat(last.slice(DIGITS))) {
      // What the client does after its listeners (since 4.6).
      if (internals._pid) internals._lastOffset = last;
    } else emitEvent.call(socket, args);
  };

  internals.emitEvent = filtered;
  return () => {
    stopped = true;
    heard.clear();
    // Whoever wrapped it since keeps what is then only passed on.
    if (internals.emitEvent === filtered) internals.emitEvent = emitEvent;
  };
}

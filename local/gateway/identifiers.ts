import { createHash, randomInt, randomUUID } from 'node:crypto';
import type { GatewayClock } from './clock.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const FORMAT = /^[A-Za-z0-9_-]{15}=$/;
const COUNTER_RANGE = 0x1_0000;

/**
 * Identifiers as API Gateway makes them: 16 characters, the URL-safe base64 of 11 bytes. Observed layout (capture of
 * February 2024): 8 characters that follow the time, 3 that name the API's cell, `C` for a connection or `F` for a
 * request, and 3 more. Canonical base64, so that decoding and encoding again gives the same text.
 */
export class Identifiers {
  readonly #clock: GatewayClock;
  readonly #cell: string;
  #counter = randomInt(COUNTER_RANGE);

  constructor(apiId: string, region: string, clock: GatewayClock) {
    this.#clock = clock;
    this.#cell = createHash('sha256').update(`${region}/${apiId}`).digest('base64url').slice(0, 3);
  }

  /** A connection id; never given twice, because API Gateway never reuses one. */
  connection(): string {
    return this.#next('C');
  }

  /** A request id, also used for `extendedRequestId` and the `x-amz-apigw-id` header. */
  request(): string {
    return this.#next('F');
  }

  /**
   * 48 bits of time and chance, then 16 bits that count: two identifiers of one gateway differ unless 65,536 are made
   * within one millisecond.
   */
  #next(letter: 'C' | 'F'): string {
    this.#counter = (this.#counter + 1) % COUNTER_RANGE;
    const time = (Math.trunc(this.#clock.now()) % 2 ** 41) * 128 + Math.floor(Math.random() * 128);
    return `${digits(time, 8)}${this.#cell}${letter}${digits(this.#counter * 4, 3)}=`;
  }
}

/** Whether a text has the form of a connection id; `@connections` answers 400 to any other. */
export function isConnectionId(text: string): boolean {
  return FORMAT.test(text);
}

/** A trace header as API Gateway adds it: `Root=1-{8 hex of seconds}-{24 hex}`. */
export function traceId(nowMs: number): string {
  const seconds = Math.trunc(nowMs / 1000)
    .toString(16)
    .padStart(8, '0');
  return `Root=1-${seconds}-${randomUUID().replaceAll('-', '').slice(0, 24)}`;
}

function digits(value: number, count: number): string {
  let text = '';
  for (let rest = value; text.length < count; rest = Math.floor(rest / 64)) {
    text = ALPHABET.charAt(rest % 64) + text;
  }
  return text;
}

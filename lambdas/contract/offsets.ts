/**
 * Offsets: what an event carries as its last argument, and what a client that reconnects shows as the last it had
 * (design D9). A position, the time of publishing, orders events; the message's id names one, however often it is sent.
 */
import { createHash } from 'node:crypto';
import { ID_BYTES } from './ids.ts';

export interface Offset {
  /** Milliseconds since the epoch, by the publisher's clock. */
  readonly position: number;
  /** 20 characters of base64url. */
  readonly id: string;
}

/** Nine digits of base 36 are good for three thousand years, and sort as text as they do as numbers. */
const DIGITS = 9;
const FORM = /^[0-9a-z]{9}[A-Za-z0-9_-]{20}$/;

export function offsetText({ position, id }: Offset): string {
  return `${position.toString(36).padStart(DIGITS, '0')}${id}`;
}

/** Undefined for what is no offset; whether there was ever such a message is not asked. */
export function parseOffset(text: unknown): Offset | undefined {
  if (typeof text !== 'string' || !FORM.test(text)) return undefined;
  return { position: Number.parseInt(text.slice(0, DIGITS), 36), id: text.slice(DIGITS) };
}

/** A message's id from what its publisher calls it, which may be any text: one name of a namespace is one message. */
export function messageId(namespace: string, name: string): string {
  return createHash('sha256')
    .update(`${Buffer.byteLength(namespace)}:message:${namespace}${name}`)
    .digest()
    .subarray(0, ID_BYTES)
    .toString('base64url');
}

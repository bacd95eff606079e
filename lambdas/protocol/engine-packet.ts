/**
 * Engine.IO v4 packets as text frames, over the official parser. One packet is one WebSocket frame
 * (engine.io-protocol v4, "Packet encoding").
 */
import { decodePacket } from 'engine.io-parser';
import { ProtocolError } from './protocol-error.ts';

/** The handshake a server opens with: exactly these five keys (engine.io-protocol v4, "Handshake"). */
export interface OpenPacket {
  readonly sid: string;
  readonly upgrades: readonly string[];
  /** Milliseconds. The client's timer is one `setTimeout` of interval + timeout, so the sum must stay below 2^31. */
  readonly pingInterval: number;
  readonly pingTimeout: number;
  /** Bytes of one payload; the client uses it to split long-polling batches only. */
  readonly maxPayload: number;
}

export type EnginePacket =
  | { readonly type: 'message'; readonly data: string }
  | { readonly type: 'binary'; readonly data: Uint8Array }
  | { readonly type: 'ping' | 'pong' | 'close' | 'upgrade' | 'noop'; readonly data: string };

export const PING_FRAME = '2';

export function openFrame(packet: OpenPacket): string {
  const { sid, upgrades, pingInterval, pingTimeout, maxPayload } = packet;
  return `0${JSON.stringify({ sid, upgrades, pingInterval, pingTimeout, maxPayload })}`;
}

/** @throws ProtocolError for anything that is not an Engine.IO packet a client may send. */
export function decodeEnginePacket(frame: string): EnginePacket {
  const packet = decodePacket(frame, 'nodebuffer');
  switch (packet.type) {
    case 'message':
      return typeof packet.data === 'string' || packet.data === undefined
        ? { type: 'message', data: packet.data ?? '' }
        : { type: 'binary', data: packet.data };
    case 'ping':
    case 'pong':
    case 'close':
    case 'upgrade':
    case 'noop':
      return { type: packet.type, data: packet.data ?? '' };
    default:
      throw new ProtocolError('parse error', 'the frame is not an Engine.IO packet');
  }
}

/** Packets the server sends, as frames. */
import { MAX_PACKET_BYTES } from '../contract/publish.ts';
import { openFrame } from '../protocol/engine-packet.ts';
import { PacketType, socketFrames } from '../protocol/socket-packet.ts';
import type { BusConfig, Transport } from './context.ts';
import { invalidPayload } from './errors.ts';
import { MINUTE_MS } from './heartbeat.ts';

/** What a client's parser takes (socket.io-parser, `maxAttachments`); more would drop the client. */
const MAX_ATTACHMENTS = 10;
/**
 * All frames of a packet. It has to fit into one item of the log, 400 KB (DynamoDB quotas page); and escaped once more,
 * with 90 rooms and 90 exceptions of 2 KB each, into the payload of an asynchronous invocation, 1 MB (Lambda quotas page),
 * whatever the size of its audience turns out to be.
 */
const MAX_WHOLE_BYTES = 384 * 1_024;

/** Engine.IO's greeting, with the deployment's ping cycle. */
export function greetingFrame(
  config: Pick<BusConfig, 'pingIntervalMinutes' | 'pingTimeoutMinutes' | 'limits'>,
  sid: string,
  upgrades: readonly Transport[],
): string {
  return openFrame({
    sid,
    upgrades,
    pingInterval: config.pingIntervalMinutes * MINUTE_MS,
    pingTimeout: config.pingTimeoutMinutes * MINUTE_MS,
    maxPayload: config.limits.payloadBytes,
  });
}

/**
 * An event's frames.
 * @throws BusError `invalid_payload` where a frame exceeds 128 KB, which API Gateway would refuse with 413, or where
 *   there are more binary values than a client takes, or all of them together exceed 384 KB.
 */
export function eventFrames(namespace: string, event: string, args: readonly unknown[]): string[] {
  const frames = socketFrames({ type: PacketType.EVENT, namespace, data: [event, ...args] });
  checkSize(frames);
  return frames;
}

/**
 * Frames of an event that the client answers.
 * @param id what its answer carries
 * @throws BusError as {@link eventFrames}
 */
export function askFrames(namespace: string, id: number, event: string, args: readonly unknown[]): string[] {
  const frames = socketFrames({ type: PacketType.EVENT, namespace, id, data: [event, ...args] });
  checkSize(frames);
  return frames;
}

export function ackFrames(namespace: string, id: number, args: readonly unknown[]): string[] {
  const frames = socketFrames({ type: PacketType.ACK, namespace, id, data: args });
  checkSize(frames);
  return frames;
}

/** @param pid only where the socket can be recovered: the client shows it when it comes back */
export function connectFrame(namespace: string, sid: string, pid?: string): string {
  return single({ type: PacketType.CONNECT, namespace, data: pid === undefined ? { sid } : { sid, pid } });
}

export function connectErrorFrame(namespace: string, message: string, data?: unknown): string {
  return single({
    type: PacketType.CONNECT_ERROR,
    namespace,
    data: data === undefined ? { message } : { message, data },
  });
}

export function disconnectFrame(namespace: string): string {
  return single({ type: PacketType.DISCONNECT, namespace });
}

function single(packet: Parameters<typeof socketFrames>[0]): string {
  return socketFrames(packet).join('');
}

/** @throws BusError `invalid_payload` as {@link eventFrames} */
export function checkSize(frames: readonly string[]): void {
  if (frames.length > 1 + MAX_ATTACHMENTS) {
    throw invalidPayload(
      `the packet holds ${frames.length - 1} binary values, more than ${MAX_ATTACHMENTS}`,
      'args',
    );
  }
  let whole = 0;
  for (const frame of frames) {
    const bytes = Buffer.byteLength(frame);
    whole += bytes;
    if (bytes > MAX_PACKET_BYTES) {
      throw invalidPayload(`the encoded packet is ${bytes} bytes, more than ${MAX_PACKET_BYTES}`, 'args');
    }
  }
  if (whole > MAX_WHOLE_BYTES) {
    throw invalidPayload(
      `the encoded packet is ${whole} bytes with its attachments, more than ${MAX_WHOLE_BYTES}`,
      'args',
    );
  }
}

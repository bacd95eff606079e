/** Several packets in one body, over long polling (engine.io-protocol v4, "Payload encoding"). */

const SEPARATOR = '\x1e';

export function encodePayload(frames: readonly string[]): string {
  return frames.join(SEPARATOR);
}

/** The packets as they were sent; the official parser stops at the first bad one, ours is looked at one by one. */
export function decodePayload(body: string): string[] {
  return body === '' ? [] : body.split(SEPARATOR);
}

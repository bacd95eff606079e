/** Reading back an event that was encoded here. */

export interface EncodedEvent {
  readonly event: string;
  /** JSON; binary values are placeholders. */
  readonly args: readonly unknown[];
  /** Base64 of each binary value, in the order of its placeholder's number. */
  readonly attachments: readonly string[];
}

/** Of an event's packet, or a binary one's: its type, and how many attachments it has. */
const HEAD = /^4(?:2|5\d+-)/;

/** The event in the frames that `socketFrames` has made of it; nothing is put together of its parts. */
export function readEventFrames(namespace: string, frames: readonly string[]): EncodedEvent {
  const [packet = '', ...attachments] = frames;
  const head = HEAD.exec(packet)?.[0].length ?? 0;
  // A namespace may have a bracket in its name.
  const begin = packet.indexOf('[', head + (namespace === '/' ? 0 : namespace.length));
  const [event, ...args] = JSON.parse(packet.slice(begin)) as [string, ...unknown[]];
  return { event, args, attachments: attachments.map((frame) => frame.slice(1)) };
}

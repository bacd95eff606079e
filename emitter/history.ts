import { Decoder, type Packet } from 'socket.io-parser';
import type { EncodedHistory } from '../lambdas/contract/history.ts';

/** Which part of a room's history. */
export interface HistoryOptions {
  /** An event's offset: only what came after it. @default the last events */
  readonly since?: string;
  /** 1 to 1,000. @default 100 */
  readonly limit?: number;
}

/** An event that was published to a room, with the arguments of its name. */
export type HistoryEvent<Events extends { readonly [E in keyof Events]: (...args: never[]) => void }> = {
  readonly [Name in keyof Events & string]: {
    readonly offset: string;
    readonly event: Name;
    readonly args: Parameters<Events[Name]>;
    /** When it was published; milliseconds since the epoch. */
    readonly at: number;
  };
}[keyof Events & string];

export interface History<Event> {
  /** Oldest first. */
  readonly events: readonly Event[];
  /** There are later ones, or without `since` earlier ones. */
  readonly more: boolean;
}

/** Puts binary values back in their places. What was published under a name is what its publisher's event map says. */
export function decodedHistory<Event>({ events, more }: EncodedHistory): History<Event> {
  const decoded = events.map(({ attachments = [], args, ...event }) => ({
    ...event,
    args: attachments.length === 0 ? args : withAttachments(args, attachments),
  }));
  return { events: decoded as unknown as readonly Event[], more };
}

function withAttachments(args: readonly unknown[], attachments: readonly string[]): unknown[] {
  let values: unknown[] = [];
  const decoder = new Decoder();
  decoder.on('decoded', ({ data }: Packet) => {
    values = (data as unknown[]).slice(1);
  });
  decoder.add(`5${attachments.length}-${JSON.stringify(['attachments', ...args])}`);
  for (const attachment of attachments) decoder.add(Buffer.from(attachment, 'base64'));
  return values;
}

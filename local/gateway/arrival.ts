import type { IncomingMessage } from 'node:http';
import { sourceIpOf } from './connection.ts';
import { type Target, targetOf } from './handshake.ts';

/** A request as it reached an API: as its client sent it, or as the front door passed it on. */
export interface Arrival extends Target {
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
  /** Address of whoever opened the connection to the API. */
  readonly sourceIp: string;
}

/** A request that came without a front door. */
export function arrivalOf(request: IncomingMessage): Arrival {
  const { rawHeaders, socket, url = '/' } = request;
  return { ...targetOf(url), rawHeaders, sourceIp: sourceIpOf(socket) };
}

/** The values of a header, by its name in small letters. */
export function headerValues({ rawHeaders }: Pick<Arrival, 'rawHeaders'>, name: string): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}

/** What goes wrong with a gateway on purpose. It is asked each time, so that the answers may change while it runs. */
import type { Caller } from '../dynamodb/call.ts';
import type { ConnectionFate, Decision } from '../faults/decision.ts';

export interface GatewayFaults {
  /** How long after its 101 a connection still answers 410; ms. */
  readonly postableDelayMs: number;
  /** Of a call of `@connections` that may go ahead; undefined: it is carried out at once. */
  call(method: 'POST' | 'GET' | 'DELETE', caller: Caller): Decision | undefined;
  /** Of a connection that has just been opened. */
  connection(): ConnectionFate;
  /** When a `$disconnect` is delivered: a delay in ms for each time. */
  disconnect(): readonly number[];
}

export const NO_GATEWAY_FAULTS: GatewayFaults = {
  postableDelayMs: 0,
  call: () => undefined,
  connection: () => ({}),
  disconnect: () => [0],
};

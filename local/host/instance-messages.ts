/** What a function instance (a worker thread) and its host say to each other. */
import type { FunctionError } from './invocation.ts';

export interface InstanceData {
  /** One 32-bit counter: the host adds one and notifies, the frozen instance waits on it. */
  readonly signal: SharedArrayBuffer;
  /** One BigInt64: milliseconds by which the stack's clock is ahead of the machine's. */
  readonly clockOffset: SharedArrayBuffer;
  /** `file:` URL of the bundle. */
  readonly module: string;
  readonly exportName: string;
  readonly handler: string;
  readonly functionName: string;
  readonly functionArn: string;
  readonly memoryMb: number;
  readonly logGroupName: string;
  readonly logStreamName: string;
}

export interface EventMessage {
  readonly requestId: string;
  /** The event as JSON. */
  readonly payload: string;
  /** Epoch in ms. */
  readonly deadline: number;
  readonly traceId: string;
}

export type InstanceMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'result'; readonly payload: string }
  /** `fatal`: the instance ends after this one. */
  | { readonly type: 'failed'; readonly error: FunctionError; readonly fatal: boolean }
  | {
      readonly type: 'log';
      readonly stream: 'stdout' | 'stderr';
      readonly requestId: string | undefined;
      readonly line: string;
    };

/** Lambda's own shape of an error ("Lambda function errors in Node.js"). */
export interface FunctionError {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
}

/** How one invocation ended, with the function's answer still as JSON text. */
export type Outcome =
  | { readonly kind: 'result'; readonly requestId: string; readonly payload: string }
  | { readonly kind: 'error'; readonly requestId: string; readonly error: FunctionError }
  | { readonly kind: 'timeout'; readonly requestId: string; readonly error: FunctionError }
  | {
      readonly kind: 'throttled';
      readonly requestId: string;
      readonly error: FunctionError;
      readonly reason: ThrottleReason;
    };

/** `Reason` of a TooManyRequestsException (Lambda API reference, "Invoke"). */
export type ThrottleReason =
  | 'ReservedFunctionConcurrentInvocationLimitExceeded'
  | 'ConcurrentInvocationLimitExceeded';

/** How one invocation ended, with the answer parsed. */
export type Invocation =
  | { readonly kind: 'result'; readonly requestId: string; readonly value: unknown }
  | Exclude<Outcome, { readonly kind: 'result' }>;

/** An asynchronous event that is given up; the function's destination and dead-letter queue get it. */
export interface DroppedEvent {
  readonly functionName: string;
  readonly requestId: string;
  readonly payload: string;
  /** The first two are documented conditions of a destination's record; the third is remembered. */
  readonly reason: 'RetriesExhausted' | 'EventAgeExceeded' | 'ZeroReservedConcurrency';
  /** Throttled ones too. */
  readonly attempts: number;
  /** Of the last attempt. */
  readonly error: FunctionError;
  /** Of the last attempt in which the function ran. */
  readonly failure: FunctionError | undefined;
}

/** One line that a function wrote, or that the host says about it (`platform`). */
export interface LogEntry {
  readonly function: string;
  /** Undefined while an instance initialises. */
  readonly requestId: string | undefined;
  readonly stream: 'stdout' | 'stderr' | 'platform';
  /** What one write held, without its final line break. */
  readonly line: string;
}

export type LogSink = (entry: LogEntry) => void;

export function toInvocation(outcome: Outcome): Invocation {
  if (outcome.kind !== 'result') return outcome;
  const { requestId, payload } = outcome;
  return { kind: 'result', requestId, value: JSON.parse(payload) };
}

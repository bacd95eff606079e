/** A call of the DynamoDB API, as it goes through what is around the operations. */

/** An HTTP status with the JSON of the answer; errors are `{ __type, message, … }`. Not to be changed: it may be shared. */
export interface ApiReply {
  readonly status: number;
  readonly body: unknown;
}

export type Request = Readonly<Record<string, unknown>>;

/** Who calls, as far as the request says. */
export interface Caller {
  /** From the credential of the signature. */
  readonly accessKeyId?: string;
  /** `X-Amzn-Trace-Id`, which the SDK takes over from the invocation that the call is made in. */
  readonly traceId?: string;
}

/** Looks at every call first: permissions, throttling and faults. An answer is given instead of the operation's. */
export type Interceptor = (
  operation: string,
  request: Request,
  caller: Caller,
) => Promise<ApiReply | undefined>;

/** Does what is left of a call. */
export type Next = (request: Request) => Promise<ApiReply>;

/**
 * Stands between a call that may go ahead and its operation: it may refuse it, do it with another request, or answer
 * otherwise than the operation did. Throws ConnectionCutError to give no answer at all.
 */
export type Surround = (operation: string, request: Request, caller: Caller, next: Next) => Promise<ApiReply>;

/** The client broke the protocol: the connection is closed, as a Socket.IO server closes it. */
export class ProtocolError extends Error {
  readonly code = 'protocol_violation';
  readonly retryable = false;
  /** One of Socket.IO's disconnect reasons (`socket-types.ts`, DisconnectReason). */
  readonly reason: 'parse error' | 'forced close';

  constructor(reason: 'parse error' | 'forced close', message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProtocolError';
    this.reason = reason;
  }
}

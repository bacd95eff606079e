/** Another program listens on the port. */
export class PortInUseError extends Error {
  override readonly name = 'PortInUseError';
  readonly code = 'port_in_use';
  readonly retryable = false;
  readonly port: number;

  constructor(port: number) {
    super(`port ${port} is in use; give another one with --port, or --port 0 for any free one`);
    this.port = port;
  }
}

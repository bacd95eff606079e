/** The wire on API Gateway's @connections API. */
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';
import type { Log, PostOutcome, Wire } from '../bus/ports.ts';
import { postOutcome } from './post-outcome.ts';

/** Sockets of the keep-alive pool; the SDK's own default of 50 would queue a broadcast's posts. */
const MAX_SOCKETS = 128;
/** Longer than any healthy post, short enough that a stuck one leaves time for another try. */
const REQUEST_TIMEOUT_MS = 2_500;

export class ManagementWire implements Wire {
  readonly #client: ApiGatewayManagementApiClient;
  readonly #log: Log;

  /** @param endpoint `https://{apiId}.execute-api.{region}.amazonaws.com/{stage}` */
  constructor(endpoint: string, log: Log) {
    this.#log = log;
    this.#client = new ApiGatewayManagementApiClient({
      endpoint,
      // Retries are the delivery's business: it knows the message's deadline.
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: 1_000,
        requestTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
        httpsAgent: { maxSockets: MAX_SOCKETS },
        httpAgent: { maxSockets: MAX_SOCKETS },
      },
    });
  }

  async post(connectionId: string, frame: string): Promise<PostOutcome> {
    try {
      await this.#client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: frame }));
      return 'ok';
    } catch (error) {
      const outcome = postOutcome(error);
      if (outcome !== 'gone') this.#log.warn('a post failed', { connectionId, outcome, error });
      return outcome;
    }
  }

  async close(connectionId: string): Promise<boolean> {
    try {
      await this.#client.send(new DeleteConnectionCommand({ ConnectionId: connectionId }));
      return true;
    } catch (error) {
      if (postOutcome(error) === 'gone') return true;
      this.#log.warn('a connection could not be closed', { connectionId, error });
      return false;
    }
  }
}

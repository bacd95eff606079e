/**
 * The wire on API Gateway's @connections API. There is no call for many connections at once, so posts are what a
 * broadcast costs: they are signed and sent by ourselves. Cutting a connection is rare and left to the SDK.
 */
import { hash } from 'node:crypto';
import type { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi';
import type { Clock, FrameWire, Log, PostOutcome } from '../bus/ports.ts';
import { PostClient, type PostClientOptions } from './post-client.ts';
import { PostFailures } from './post-failures.ts';
import { postOutcome, statusOf } from './post-outcome.ts';
import {
  authorization,
  encodeSegment,
  PostSigner,
  type SigningCredentials,
  type Stamp,
} from './post-signer.ts';

export interface ManagementWireParts {
  /** `https://{apiId}.execute-api.{region}.amazonaws.com/{stage}` */
  readonly endpoint: string;
  /** As a client of the SDK has it in its `config`: gives the same ones until they are about to run out. */
  readonly credentials: () => Promise<SigningCredentials>;
  readonly region: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
  readonly pool?: Partial<PostClientOptions>;
}

const POOL: PostClientOptions = {
  maxSockets: 128,
  // Longer than any healthy post, short enough that a stuck one leaves time for another try.
  deadlineMs: 2_500,
  // A function may be frozen between two events, and the edge hangs up meanwhile.
  idleMs: 20_000,
};
/** A stamp is good for minutes; credentials that were refreshed are noticed after this long. */
const STAMP_MS = 1_000;
/** Frames kept with their hashes: a broadcast posts the few frames of one packet to everybody. */
const MOST_PAYLOADS = 16;

interface Payload {
  readonly body: Buffer;
  readonly length: string;
  readonly hash: string;
}

export class ManagementWire implements FrameWire {
  readonly #parts: ManagementWireParts;
  readonly #client: PostClient;
  readonly #signer: PostSigner;
  readonly #failures: PostFailures;
  /** Path of all connections, encoded. */
  readonly #base: string;
  readonly #payloads = new Map<string, Payload>();
  #stamp: { readonly value: Promise<Stamp>; readonly from: number } | undefined;
  #management: Promise<ApiGatewayManagementApiClient> | undefined;

  constructor(parts: ManagementWireParts) {
    const url = new URL(parts.endpoint);
    this.#parts = parts;
    this.#client = new PostClient(url, { ...POOL, ...parts.pool });
    this.#signer = new PostSigner(url.host);
    this.#failures = new PostFailures(parts.clock, parts.log);
    this.#base = `${url.pathname.replace(/\/$/, '')}/%40connections/`;
  }

  /** Settles within the deadline; throws nothing. Retries are the delivery's business: it knows the message's deadline. */
  async post(connectionId: string, frame: string): Promise<PostOutcome> {
    try {
      const stamp = await this.#currentStamp();
      const payload = this.#payload(frame);
      const path = this.#base + encodeSegment(connectionId);
      const signature = authorization(stamp, path, payload.hash);
      const headers = [...stamp.headers, 'authorization', signature, 'content-length', payload.length];
      const { status, type } = await this.#client.post(path, headers, payload.body);
      const outcome = postOutcome(status);
      if (outcome !== 'ok' && outcome !== 'gone')
        this.#failures.note(outcome, connectionId, { status, type });
      return outcome;
    } catch (error) {
      const outcome = postOutcome(undefined);
      this.#failures.note(outcome, connectionId, { error });
      return outcome;
    }
  }

  async close(connectionId: string): Promise<boolean> {
    try {
      // Most invocations cut nothing: the client is loaded by those that do.
      const { DeleteConnectionCommand } = await import('@aws-sdk/client-apigatewaymanagementapi');
      this.#management ??= this.#createManagement();
      const management = await this.#management;
      await management.send(new DeleteConnectionCommand({ ConnectionId: connectionId }));
      return true;
    } catch (error) {
      if (postOutcome(statusOf(error)) === 'gone') return true;
      this.#parts.log.warn('a connection could not be closed', { connectionId, error });
      return false;
    }
  }

  /** Ends all connections of the pool. */
  destroy(): void {
    this.#client.destroy();
  }

  #currentStamp(): Promise<Stamp> {
    const now = this.#parts.clock.now();
    const known = this.#stamp;
    if (known !== undefined && now >= known.from && now < known.from + STAMP_MS) return known.value;
    const stamp = { value: this.#newStamp(now), from: now };
    this.#stamp = stamp;
    stamp.value.catch(() => {
      if (this.#stamp === stamp) this.#stamp = undefined;
    });
    return stamp.value;
  }

  async #newStamp(now: number): Promise<Stamp> {
    const [credentials, region] = await Promise.all([this.#parts.credentials(), this.#parts.region()]);
    return this.#signer.stamp(credentials, region, now);
  }

  #payload(frame: string): Payload {
    const known = this.#payloads.get(frame);
    if (known !== undefined) return known;
    const body = Buffer.from(frame);
    const payload = { body, length: String(body.length), hash: hash('sha256', body) };
    if (this.#payloads.size >= MOST_PAYLOADS) this.#payloads.clear();
    this.#payloads.set(frame, payload);
    return payload;
  }

  async #createManagement(): Promise<ApiGatewayManagementApiClient> {
    const { ApiGatewayManagementApiClient } = await import('@aws-sdk/client-apigatewaymanagementapi');
    const { endpoint, credentials, region, pool } = this.#parts;
    return new ApiGatewayManagementApiClient({
      endpoint,
      credentials,
      region,
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: 1_000,
        requestTimeout: pool?.deadlineMs ?? POOL.deadlineMs,
        throwOnRequestTimeout: true,
      },
    });
  }
}

/** The ports on AWS, put together once for each instance of a function. */

import { applications } from 'socketbus:applications';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DynamoAcks } from '../adapters/dynamo-acks.ts';
import { DynamoCheckpoints } from '../adapters/dynamo-checkpoints.ts';
import { DynamoEventLog } from '../adapters/dynamo-event-log.ts';
import { DynamoOutbox } from '../adapters/dynamo-outbox.ts';
import { DynamoPublications } from '../adapters/dynamo-publications.ts';
import { DynamoRows } from '../adapters/dynamo-rows.ts';
import { DynamoStore } from '../adapters/dynamo-store.ts';
import { readEnvironment } from '../adapters/environment.ts';
import { EventBridgeForwarder } from '../adapters/event-bridge-forwarder.ts';
import { FetchedKeySets } from '../adapters/fetched-key-sets.ts';
import { LambdaWorkers } from '../adapters/lambda-workers.ts';
import { ManagedSecrets } from '../adapters/managed-secrets.ts';
import { ManagementWire } from '../adapters/management-wire.ts';
import { powertoolsLog, type RequestLog } from '../adapters/powertools-log.ts';
import { powertoolsMetrics, type RequestMetrics } from '../adapters/powertools-metrics.ts';
import { systemClock, systemRandom } from '../adapters/system.ts';
import type { Application } from '../bus/application.ts';
import type { Bus } from '../bus/context.ts';
import { FAN_OUT_SHARE } from '../bus/fan-out.ts';
import { HttpRouter } from '../bus/http-router.ts';
import { Lifecycle } from '../bus/lifecycle.ts';
import { Messages } from '../bus/messages.ts';
import { PacedWire } from '../bus/paced-wire.ts';
import { Pacer } from '../bus/pacing.ts';
import { Polling } from '../bus/polling.ts';
import { Publisher } from '../bus/publisher.ts';
import { RangeDelivery } from '../bus/range-delivery.ts';
import { Registry } from '../bus/registry.ts';
import { stamps } from '../bus/stamps.ts';
import { Sweeper } from '../bus/sweeper.ts';
import { TransportWire } from '../bus/transport-wire.ts';
import { Upgrades } from '../bus/upgrade.ts';
import { chosenApplications } from '../contract/applications.ts';
import type { Environment } from '../contract/environment.ts';
import type { Limits } from '../contract/limits.ts';
import { countingErrors } from './observed.ts';

export interface Server {
  readonly bus: Bus;
  readonly log: RequestLog;
  readonly metrics: RequestMetrics;
  readonly lifecycle: Lifecycle;
  readonly messages: Messages;
  readonly upgrades: Upgrades;
  readonly polling: Polling;
  readonly publisher: Publisher;
  readonly ranges: RangeDelivery;
  readonly sweeper: Sweeper;
  readonly router: HttpRouter;
  /** Whether the front door's `X-Forwarded-For` is believed. */
  readonly trustForwarded: boolean;
}

/** @throws EnvironmentError, ApplicationError: a deployment that cannot work fails at its first invocation. */
export function createServer(): Server {
  const environment = readEnvironment(process.env);
  const metrics = powertoolsMetrics();
  const log = countingErrors(powertoolsLog(), metrics);
  const registry = new Registry(
    chosenApplications(applications as readonly Application[], list(environment.APPS)),
  );
  const client = documentClient();
  const parts = { client, table: environment.BUS_TABLE, clock: systemClock, random: systemRandom };
  const outbox = new DynamoOutbox(parts);
  const pacer = new Pacer({ perSecond: environment.REQUESTS_PER_SECOND * FAN_OUT_SHARE, clock: systemClock });
  const wire = new PacedWire(
    new ManagementWire({
      endpoint: environment.CALLBACK_URL,
      // Any client has the SDK's provider chain in it; this one is there already.
      credentials: client.config.credentials,
      region: client.config.region,
      clock: systemClock,
      log,
    }),
    pacer,
    metrics,
  );
  const bus: Bus = {
    store: new DynamoStore({
      ...parts,
      isHot: (namespace, room) => registry.roomOwner(namespace, room)?.kind.hot === true,
      roomsPerSocket: environment.ROOMS_PER_SOCKET,
    }),
    wire: new TransportWire(wire, outbox, log),
    outbox,
    workers: new LambdaWorkers({
      open: environment.OPEN_FUNCTION,
      // `deliver` hands on to itself, and has its name from Lambda alone.
      deliver: environment.DELIVER_FUNCTION ?? environment.AWS_LAMBDA_FUNCTION_NAME,
    }),
    checkpoints: new DynamoCheckpoints(parts),
    eventLog: new DynamoEventLog(parts),
    publications: new DynamoPublications(parts),
    acks: new DynamoAcks(parts),
    rows: new DynamoRows(client, environment.APPS_TABLE, systemClock),
    forwarder: new EventBridgeForwarder(environment.EVENT_BUS),
    clock: systemClock,
    stamp: stamps(systemClock),
    random: systemRandom,
    secrets: new ManagedSecrets(environment.SECRET_PREFIX, systemClock),
    keySets: new FetchedKeySets(systemClock),
    log,
    metrics,
    registry,
    config: {
      pingIntervalMinutes: environment.PING_INTERVAL_MINUTES,
      pingTimeoutMinutes: environment.PING_TIMEOUT_MINUTES,
      trackPongs: environment.TRACK_PONGS === 'true',
      transports: environment.TRANSPORTS,
      requestsPerSecond: environment.REQUESTS_PER_SECOND,
      inlinePosts: environment.INLINE_POSTS,
      pollHoldMs: environment.POLL_HOLD_SECONDS * 1_000,
      limits: limitsOf(environment),
      identityMode: environment.IDENTITY,
      origins: list(environment.ORIGINS),
      settings: process.env,
    },
  };
  const lifecycle = new Lifecycle(bus);
  const upgrades = new Upgrades(bus, lifecycle);
  const messages = new Messages(bus, lifecycle, upgrades);
  return {
    bus,
    log,
    metrics,
    lifecycle,
    messages,
    upgrades,
    polling: new Polling(bus, lifecycle, messages),
    publisher: new Publisher(bus, lifecycle),
    ranges: new RangeDelivery(bus),
    sweeper: new Sweeper(bus, lifecycle),
    router: new HttpRouter(bus),
    trustForwarded: environment.TRUST_FORWARDED === 'true',
  };
}

function limitsOf(environment: Environment): Limits {
  return {
    eventsPerSecond: environment.EVENTS_PER_SECOND,
    eventBurst: environment.EVENT_BURST,
    roomsPerSocket: environment.ROOMS_PER_SOCKET,
    joinsPerSecond: environment.JOINS_PER_SECOND,
    connectionsPerUser: environment.CONNECTIONS_PER_USER,
    connectionsPerAddress: environment.CONNECTIONS_PER_ADDRESS,
    payloadBytes: environment.PAYLOAD_BYTES,
    postsPerEvent: environment.POSTS_PER_EVENT,
  };
}

function documentClient(): DynamoDBDocumentClient {
  const client = new DynamoDBClient({
    maxAttempts: 4,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true },
  });
  return DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
}

function list(text: string | undefined): string[] {
  return (text ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
}

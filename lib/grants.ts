/**
 * What each function may do. This table is the whole of it: besides these, a role may only write to its own log
 * group, send traces where the deployment has them on, and that of `publish` puts what Lambda gave up into the dead-letter queue. Nothing here is a wildcard action, no
 * function may scan a table, and the only wildcard resources are connection ids below one method of this API's stage and
 * the suffix of a secret. Each grant is needed: `test/integration/permissions.test.ts` uses every one.
 */
import type { FunctionName } from '../lambdas/contract/environment.ts';

type TableAction =
  | 'GetItem'
  | 'BatchGetItem'
  | 'Query'
  | 'PutItem'
  | 'UpdateItem'
  | 'DeleteItem'
  | 'ConditionCheckItem';

/** Secrets by name; the prefix of the deployment goes before it. */
export type SecretName = 'JWT_SECRET' | 'CLOUD_API_KEY';

export interface FunctionGrants {
  /** DynamoDB actions on the bus table. A transaction needs the actions of its parts. */
  readonly bus: readonly TableAction[];
  /** DynamoDB actions on the apps table. */
  readonly apps: readonly TableAction[];
  /** Methods on `@connections`. */
  readonly connections: readonly ('POST' | 'DELETE')[];
  readonly secrets: readonly SecretName[];
  /** Functions it may invoke. */
  readonly invokes: readonly FunctionName[];
  /** Whether it may put events on the deployment's event bus. */
  readonly forwards: boolean;
}

/**
 * The secrets that the applications of a deployment verify their clients with.
 * @param publicKeys tokens are verified with the keys of a key set
 */
export function secretsOf(apps: readonly string[], publicKeys = false): SecretName[] {
  const secrets: SecretName[] = [];
  if (!publicKeys && apps.some((app) => app !== ORDER_SYNC)) secrets.push('JWT_SECRET');
  if (apps.includes(ORDER_SYNC)) secrets.push('CLOUD_API_KEY');
  return secrets;
}

/** Its clients are machines with an API key; those of all others bring tokens, if anything. */
const ORDER_SYNC = 'order-sync';

const BUS: readonly TableAction[] = [
  'GetItem',
  'BatchGetItem',
  'Query',
  'PutItem',
  'UpdateItem',
  'DeleteItem',
];

/** What `rows` of an application does. */
const APPS: readonly TableAction[] = ['GetItem', 'Query', 'PutItem', 'DeleteItem'];

const SECRETS: readonly SecretName[] = ['JWT_SECRET', 'CLOUD_API_KEY'];

/** On the bus table, for `connect` where it counts the connections from an address (`SocketBus`). */
export const COUNTING: readonly TableAction[] = ['Query'];

export const GRANTS: { readonly [F in FunctionName]: FunctionGrants } = {
  /**
   * Writes the connection, or notes a WebSocket that wants to take over; verifies a header's token, starts `open`. A
   * machine's key comes later, with CONNECT.
   */
  connect: {
    bus: ['PutItem', 'UpdateItem'],
    apps: [],
    connections: [],
    secrets: ['JWT_SECRET'],
    invokes: ['open'],
    forwards: false,
  },
  /** Posts the open packet and joins the heartbeat slot, or closes what cannot be opened. */
  open: {
    bus: ['GetItem', 'PutItem', 'ConditionCheckItem'],
    apps: [],
    connections: ['POST', 'DELETE'],
    secrets: [],
    invokes: [],
    forwards: false,
  },
  /** Runs the protocol and the applications' handlers, forwards what they mark, lets WebSockets take over. */
  message: {
    bus: [...BUS, 'ConditionCheckItem'],
    apps: APPS,
    connections: ['POST', 'DELETE'],
    secrets: SECRETS,
    invokes: ['deliver'],
    forwards: true,
  },
  /** Leaves rooms. The applications' disconnect hooks may emit and store; a recipient whose last post fails is closed. */
  disconnect: {
    bus: BUS,
    apps: APPS,
    connections: ['POST', 'DELETE'],
    secrets: [],
    invokes: ['deliver'],
    forwards: false,
  },
  /** Emits, closes and inspects for a backend, and does what applications offer it; verifies no client. */
  publish: {
    bus: BUS,
    apps: APPS,
    connections: ['POST', 'DELETE'],
    secrets: [],
    invokes: ['deliver'],
    forwards: false,
  },
  /** Pings, reaps and drains due rows; what it closes runs its disconnect hooks here. */
  sweep: {
    bus: BUS,
    apps: APPS,
    connections: ['POST', 'DELETE'],
    secrets: [],
    invokes: ['deliver'],
    forwards: false,
  },
  /** Serves the applications' HTTP routes: they store and emit, to rooms with a log and to clients that poll. */
  http: {
    bus: ['GetItem', 'BatchGetItem', 'Query', 'PutItem', 'UpdateItem'],
    apps: APPS,
    connections: ['POST', 'DELETE'],
    secrets: SECRETS,
    invokes: ['deliver'],
    forwards: false,
  },
  /** Does what `message` does, for clients that poll, and opens their connections. */
  poll: {
    bus: [...BUS, 'ConditionCheckItem'],
    apps: APPS,
    connections: ['POST', 'DELETE'],
    secrets: SECRETS,
    invokes: ['deliver'],
    forwards: true,
  },
  /** Posts to parts of large audiences; what it cleans up runs the disconnect hooks here. */
  deliver: {
    bus: BUS,
    apps: APPS,
    connections: ['POST', 'DELETE'],
    secrets: [],
    invokes: ['deliver'],
    forwards: false,
  },
};

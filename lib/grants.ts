/**
 * What each function may do. This table is the whole of it: besides these, a role may only write to its own log
 * group. Nothing here is a wildcard action, no function may scan a table, and the only wildcard resources are
 * connection ids below one method of this API's stage.
 */
import type { FunctionName } from '../lambdas/contract/environment.ts';

type TableAction =
  | 'GetItem'
  | 'BatchGetItem'
  | 'Query'
  | 'PutItem'
  | 'UpdateItem'
  | 'DeleteItem'
  | 'BatchWriteItem'
  | 'ConditionCheckItem';

/** Secrets by name; the prefix of the deployment goes before it. */
export type SecretName = 'JWT_SECRET';

export interface FunctionGrants {
  /** DynamoDB actions on the bus table. A transaction needs the actions of its parts. */
  readonly bus: readonly TableAction[];
  /** DynamoDB actions on the apps table. */
  readonly apps: readonly TableAction[];
  /** Methods on `@connections`. */
  readonly connections: readonly ('POST' | 'GET' | 'DELETE')[];
  readonly secrets: readonly SecretName[];
  /** Functions it may invoke. */
  readonly invokes: readonly FunctionName[];
}

const TABLE: readonly TableAction[] = [
  'GetItem',
  'BatchGetItem',
  'Query',
  'PutItem',
  'UpdateItem',
  'DeleteItem',
  'BatchWriteItem',
  'ConditionCheckItem',
];

export const GRANTS: { readonly [F in FunctionName]: FunctionGrants } = {
  /** Writes the connection, verifies a header token, starts `open`. */
  connect: {
    bus: ['PutItem', 'UpdateItem', 'ConditionCheckItem'],
    apps: [],
    connections: [],
    secrets: ['JWT_SECRET'],
    invokes: ['open'],
  },
  /** Posts the open packet and joins the heartbeat slot, or closes what cannot be opened. */
  open: {
    bus: ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'ConditionCheckItem'],
    apps: [],
    connections: ['POST', 'DELETE'],
    secrets: [],
    invokes: [],
  },
  /** Runs the protocol and the applications' handlers. */
  message: {
    bus: TABLE,
    apps: TABLE,
    connections: ['POST', 'DELETE', 'GET'],
    secrets: ['JWT_SECRET'],
    invokes: [],
  },
  /** Leaves rooms. The applications' disconnect hooks may emit and store; a recipient whose last post fails is closed. */
  disconnect: { bus: TABLE, apps: TABLE, connections: ['POST', 'DELETE'], secrets: [], invokes: [] },
  /** Emits, closes and inspects for a backend; verifies no client token. */
  publish: { bus: TABLE, apps: TABLE, connections: ['POST', 'DELETE', 'GET'], secrets: [], invokes: [] },
  /** Pings, reaps and drains due rows; what it closes runs its disconnect hooks here. */
  sweep: { bus: TABLE, apps: TABLE, connections: ['POST', 'DELETE', 'GET'], secrets: [], invokes: [] },
  /** Serves the applications' HTTP routes, which may store and emit. */
  http: {
    bus: ['GetItem', 'BatchGetItem', 'Query'],
    apps: TABLE,
    connections: ['POST'],
    secrets: ['JWT_SECRET'],
    invokes: [],
  },
};

/** What AWS would bill for, counted on the local stack: DynamoDB's units, invocations by function, posts to connections. */
import type { AuthorizedUse } from '../../local/iam/access-control.ts';
import type { LocalStack } from '../../local/stack.ts';

export interface Usage {
  readonly reads: number;
  readonly writes: number;
  readonly posts: number;
  /** Invocations by function's name. */
  readonly invocations: Readonly<Record<string, number>>;
}

export interface Meter {
  /** For the option `onAuthorized` of the stack. */
  readonly onAuthorized: (use: AuthorizedUse) => void;
  /** Counts from now on what the stack's functions do. */
  watch(stack: LocalStack): void;
  /** What was used since it was asked for last. */
  take(): Usage;
}

/** A call's units as DynamoDB itself says them; one that is refused costs nothing here, which is a little less than on AWS. */
interface Consumed {
  readonly CapacityUnits?: number;
}

const WRITES = ['PutItem', 'UpdateItem', 'DeleteItem', 'TransactWriteItems', 'BatchWriteItem'];

export function meter(): Meter {
  let [reads, writes, posts] = [0, 0, 0];
  let invocations: Record<string, number> = {};
  const invoked = (name: string) => {
    invocations[name] = (invocations[name] ?? 0) + 1;
  };
  return {
    onAuthorized: ({ action, resource }) => {
      if (action === 'execute-api:ManageConnections' && resource.includes('/POST/')) posts += 1;
    },
    watch({ dynamodb, functions }) {
      if (dynamodb === undefined) throw new Error('only the local DynamoDB is metered');
      const handle = dynamodb.handle.bind(dynamodb);
      dynamodb.handle = async (operation, request, caller) => {
        const reply = await handle(operation, { ...request, ReturnConsumedCapacity: 'TOTAL' }, caller);
        // Calls without a caller are the stack's own.
        if (caller !== undefined && reply.status === 200) {
          const units = unitsOf(reply.body);
          if (WRITES.includes(operation)) writes += units;
          else reads += units;
        }
        return reply;
      };
      const invokeText = functions.invokeText.bind(functions);
      functions.invokeText = (name, payload) => {
        invoked(name);
        return invokeText(name, payload);
      };
      const invokeLater = functions.invokeLater.bind(functions);
      functions.invokeLater = (name, payload) => {
        invoked(name);
        return invokeLater(name, payload);
      };
    },
    take() {
      const taken = { reads, writes, posts, invocations };
      [reads, writes, posts] = [0, 0, 0];
      invocations = {};
      return taken;
    },
  };
}

function unitsOf(body: unknown): number {
  const { ConsumedCapacity: consumed = [] } = body as { ConsumedCapacity?: Consumed | readonly Consumed[] };
  const all = Array.isArray(consumed) ? (consumed as readonly Consumed[]) : [consumed as Consumed];
  return all.reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
}

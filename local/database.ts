/** The DynamoDB of the stack: the one inside, or the one that `DYNAMODB_ENDPOINT` names, behind our port. */
import { DynamoDbFront, type DynamoDbOptions } from './dynamodb/front.ts';
import { type Admission, dynamoDbListener } from './dynamodb/server.ts';
import type { HttpHandler } from './port.ts';
import { DynamoDbProxy } from './services/dynamodb-proxy.ts';
import type { DynamoDbCall } from './services/tables.ts';

export interface Database {
  /** Undefined where it is somebody else's. */
  readonly front: DynamoDbFront | undefined;
  /** Where it listens; undefined where our own port is the only way to it. */
  readonly endpoint: string | undefined;
  readonly handle: HttpHandler;
  readonly call: DynamoDbCall;
  readonly close: () => Promise<void>;
}

/** @param admit asked about every call over the wire; `call` is the stack's own and needs nobody's leave */
export function openDatabase(
  endpoint: string | undefined,
  admit: Admission,
  options: DynamoDbOptions,
): Database {
  return endpoint === undefined || endpoint === ''
    ? insideDatabase(admit, options)
    : otherDatabase(endpoint, admit);
}

function insideDatabase(admit: Admission, options: DynamoDbOptions): Database {
  const front = DynamoDbFront.create(options);
  return {
    front,
    endpoint: undefined,
    handle: dynamoDbListener(front, admit),
    call: (operation, request) => front.handle(operation, request),
    close: () => front.close(),
  };
}

function otherDatabase(endpoint: string, admit: Admission): Database {
  const proxy = new DynamoDbProxy(endpoint, admit);
  return {
    front: undefined,
    endpoint,
    handle: (request, response) => proxy.handle(request, response),
    call: (operation, request) => proxy.call(operation, request),
    close: async () => proxy.close(),
  };
}

/** The local DynamoDB over plain HTTP, as the AWS SDK speaks it. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { callerOf } from '../services/caller.ts';
import { readBody } from '../services/http-message.ts';
import { ConnectionCutError } from './errors.ts';
import type { ApiReply, Caller, DynamoDbFront } from './front.ts';

/** DynamoDB's largest request (BatchWriteItem: 16 MB). */
const MAX_REQUEST_BYTES = 16 * 1024 * 1024;

/** Longer than clients keep a connection, so that none is closed under a request being sent. */
const KEEP_ALIVE_MS = 10 * 60_000;

/** One call as it came over the wire, before anything was done with it. */
export interface ReceivedCall {
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly operation: string;
  /** Undefined where the body is not a JSON object. */
  readonly parsed: Readonly<Record<string, unknown>> | undefined;
}

/** Looks at every call first: its signature, and whether the caller may make it. A refusal is answered instead. */
export type Admission = (call: ReceivedCall) => ApiReply | undefined;

const TARGET = /^DynamoDB_20120810\.(\w+)$/;

const UNKNOWN_OPERATION = refusal('UnknownOperationException', '');
const NO_SIGNATURE = refusal(
  'MissingAuthenticationTokenException',
  'Request is missing Authentication Token',
);
const NOT_JSON = refusal('SerializationException', '');
const TOO_LARGE: ApiReply = { status: 413, body: {} };

function refusal(code: string, message: string): ApiReply {
  return { status: 400, body: { __type: `com.amazon.coral.service#${code}`, message } };
}

/** Serves a front on 127.0.0.1. Port 0, the default, takes a free one. */
export async function serveDynamoDb(
  front: DynamoDbFront,
  port = 0,
): Promise<{ readonly endpoint: string; close(): Promise<void> }> {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, dynamoDbListener(front));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { endpoint: `http://127.0.0.1:${address.port}`, close };
}

/**
 * Answers requests of the DynamoDB API, for a server that has other things on its port as well.
 *
 * @param admit by default everybody whose request has some signature
 */
export function dynamoDbListener(front: DynamoDbFront, admit: Admission = () => undefined): RequestListener {
  return (request, response) => {
    answer(front, request, admit).then(
      (reply) => sendReply(response, reply),
      (error: unknown) => {
        if (error instanceof ConnectionCutError) response.destroy();
        else sendReply(response, failure(error));
      },
    );
  };
}

async function answer(front: DynamoDbFront, request: IncomingMessage, admit: Admission): Promise<ApiReply> {
  const call = await receiveCall(request);
  if ('status' in call) return call;
  const caller = signedCallerOf(request);
  if (caller === undefined) return NO_SIGNATURE;
  const refused = admit(call);
  if (refused !== undefined) return refused;
  return call.parsed === undefined ? NOT_JSON : front.handle(call.operation, call.parsed, caller);
}

/** Reads a call; the answer where it is none of this API, or too large. */
export async function receiveCall(request: IncomingMessage): Promise<ReceivedCall | ApiReply> {
  const body = await readBody(request, MAX_REQUEST_BYTES);
  if (body === undefined) return TOO_LARGE;
  const operation = TARGET.exec(String(request.headers['x-amz-target']))?.[1];
  if (request.method !== 'POST' || operation === undefined) return UNKNOWN_OPERATION;
  return { request, body, operation, parsed: parsedBody(body.toString('utf8')) };
}

function parsedBody(body: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    // Whatever is wrong with it, AWS only says that it could not be read.
    return undefined;
  }
}

/** A request without a signature has no caller. Whether the signature is right is for the admission to tell. */
function signedCallerOf(request: IncomingMessage): Caller | undefined {
  const { authorization } = request.headers;
  return authorization?.startsWith('AWS4-') === true ? callerOf(request) : undefined;
}

function failure(error: unknown): ApiReply {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { status: 500, body: { __type: 'com.amazonaws.dynamodb.v20120810#InternalServerError', message } };
}

/** Writes an answer in the form of DynamoDB. */
export function sendReply(response: ServerResponse, { status, body }: ApiReply): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': 'application/x-amz-json-1.0',
    'content-length': bytes.length,
    'x-amzn-requestid': randomBytes(26).toString('hex').toUpperCase(),
    'x-amz-crc32': crc32(bytes),
  });
  response.end(bytes);
}

import { Encoder, PacketType } from 'socket.io-parser';
import * as z from 'zod/mini';
import { historySchema } from '../lambdas/contract/history.ts';
import { firstIssue } from '../lambdas/contract/issues.ts';
import {
  type EmitResult,
  fetchedSocketSchema,
  MAX_PACKET_BYTES,
  type PublishRequestInput,
  type PublishResult,
  publishRequestSchema,
  type RoomPresence,
  roomPresenceSchema,
  socketTotalSchema,
} from '../lambdas/contract/publish.ts';
import { AckTimeoutError, EmitterOptionsError, PayloadError, PublishError } from './errors.ts';
import { decodedHistory, type History, type HistoryEvent, type HistoryOptions } from './history.ts';
import { httpTransport } from './http-transport.ts';
import { Publication } from './publication.ts';
import { RemoteSocket, type SocketCount } from './remote-socket.ts';
import { type RetryPolicy, retrying } from './retry.ts';
import { type Credentials, lambdaTransport, type Transport } from './transport.ts';

/** Event name → listener, as Socket.IO's own typings write event maps. */
export type EventMap = { readonly [event: string]: (...args: never[]) => void };
// biome-ignore lint/suspicious/noExplicitAny: without a map of their own, callers may send any event and arguments
export type AnyEvents = { readonly [event: string]: (...args: any[]) => void };

export interface EmitterOptions {
  /**
   * Publishes by signed HTTP: the stack's output `PublishUrl`.
   * @default the environment variable SOCKETBUS_PUBLISH_URL, unless `functionName` is given; else Lambda invoke
   */
  readonly url?: string;
  /**
   * Publishes by Lambda invoke: name or ARN of the publish function.
   * @default the environment variable SOCKETBUS_PUBLISH_FUNCTION, else `publish`
   */
  readonly functionName?: string;
  /** @default the one in `url`, else the SDK's usual sources */
  readonly region?: string;
  /** @default the SDK's usual chain */
  readonly credentials?: Credentials;
  /** Where the Lambda API is, for example `http://localhost:3000`. @default the region's, or AWS_ENDPOINT_URL */
  readonly endpoint?: string;
  /** How long one try waits for its answer, besides the time that clients have to answer; ms. @default 10000 */
  readonly timeoutMs?: number;
  /** @default 3 tries */
  readonly retry?: RetryPolicy;
  /** A way of one's own; nothing of the above applies, retries neither. @default HTTP or Lambda invoke */
  readonly transport?: Transport;
  /** Told of failures that nobody awaited. @default console.error */
  readonly onUnseenFailure?: (error: unknown) => void;
}

/** What is sent with an event that is answered: all but the callback that the map may end its listener with. */
export type QuestionArguments<Listener extends (...args: never[]) => void> =
  Parameters<Listener> extends [...infer Args, (...answer: never[]) => void] ? Args : Parameters<Listener>;

/** What that callback is called with first; unknown where the map has none. */
export type Answer<Listener extends (...args: never[]) => void> =
  Parameters<Listener> extends [...unknown[], (...answer: infer Answers extends readonly unknown[]) => void]
    ? Answers[0]
    : unknown;

/** Where none is chosen; ms. */
const DEFAULT_ACK_TIMEOUT_MS = 10_000;

interface Target {
  readonly namespace: string;
  readonly rooms: readonly string[];
  readonly except: readonly string[];
  readonly volatile: boolean;
  /** How long answers are waited for; ms. */
  readonly ackTimeoutMs?: number;
}

const EVERYBODY: Target = { namespace: '/', rooms: [], except: [], volatile: false };

/**
 * Emits from a backend to the sockets of a deployment, with the API of `@socket.io/redis-emitter`. Immutable: `of`,
 * `to`, `in`, `except`, `volatile` and `timeout` return narrowed copies.
 */
export class Emitter<
  Events extends { readonly [E in keyof Events]: (...args: never[]) => void } = AnyEvents,
> {
  readonly #connection: Connection;
  readonly #target: Target;

  constructor(options: EmitterOptions | Connection = {}, target: Target = EVERYBODY) {
    this.#connection = options instanceof Connection ? options : new Connection(options);
    this.#target = target;
  }

  /** Another namespace; its rooms are chosen anew. */
  of(namespace: string): Emitter<Events> {
    return this.#with({ ...EVERYBODY, namespace: namespace.startsWith('/') ? namespace : `/${namespace}` });
  }

  to(room: string | readonly string[]): Emitter<Events> {
    return this.#with({ rooms: [...this.#target.rooms, ...list(room)] });
  }

  in(room: string | readonly string[]): Emitter<Events> {
    return this.to(room);
  }

  except(room: string | readonly string[]): Emitter<Events> {
    return this.#with({ except: [...this.#target.except, ...list(room)] });
  }

  /** One try per recipient. */
  get volatile(): Emitter<Events> {
    return this.#with({ volatile: true });
  }

  /** How long `emitWithAck` waits for answers. @param ms 1 to 25000 */
  timeout(ms: number): Emitter<Events> {
    return this.#with({ ackTimeoutMs: ms });
  }

  /** Accepted for compatibility: API Gateway decides about compression. */
  compress(_compress: boolean): Emitter<Events> {
    return this;
  }

  /**
   * Sends an event to the chosen rooms, or to the whole namespace. Resolves when it can no longer be lost.
   * @throws PayloadError at once where the event, a room or the arguments cannot be sent
   * @returns a promise that rejects with a PublishError where the deployment refuses it or cannot be reached
   */
  emit<Name extends keyof Events & string>(
    event: Name,
    ...args: Parameters<Events[Name]>
  ): Promise<EmitResult> {
    const { volatile } = this.#target;
    const request = this.#emission(event, args, volatile ? { volatile } : undefined);
    return this.#connection.publish(request, (answer) => answer as EmitResult);
  }

  /**
   * Sends an event to the chosen rooms, or to the whole namespace, and waits for every socket's answer: 10 s, or as
   * long as `timeout` says. At most 1,000 sockets can be asked. A binary answer is what JSON makes of a Buffer.
   * @throws PayloadError at once where the event, a room, the timeout or the arguments cannot be sent
   * @returns a promise of the first argument of each answer, in no order; null where there was none. It rejects with an
   *   AckTimeoutError that has the `responses` that came where some did not, with a PublishError as `emit`
   */
  emitWithAck<Name extends keyof Events & string>(
    event: Name,
    ...args: QuestionArguments<Events[Name]>
  ): Promise<Answer<Events[Name]>[]> {
    const { volatile, ackTimeoutMs = DEFAULT_ACK_TIMEOUT_MS } = this.#target;
    const request = this.#emission(event, args, { ackTimeoutMs, ...(volatile ? { volatile } : {}) });
    return this.#connection.publish(request, (answer) => {
      const { responses, missing } = answersIn(answer);
      if (missing > 0) throw new AckTimeoutError(responses, missing);
      // What clients answer with is not checked, neither here nor by a Socket.IO server.
      return [...responses] as Answer<Events[Name]>[];
    });
  }

  /** Makes the sockets of the chosen rooms, or of the whole namespace, join rooms; applications are not asked. */
  socketsJoin(rooms: string | readonly string[]): Promise<SocketCount> {
    return this.#count({ op: 'socketsJoin', ...this.#sockets(), join: [...list(rooms)] });
  }

  /** Makes them leave rooms. */
  socketsLeave(rooms: string | readonly string[]): Promise<SocketCount> {
    return this.#count({ op: 'socketsLeave', ...this.#sockets(), leave: [...list(rooms)] });
  }

  /**
   * Disconnects them from the namespace.
   * @param close also closes the connections under them
   */
  disconnectSockets(close = false): Promise<SocketCount> {
    return this.#count({ op: 'disconnectSockets', ...this.#sockets(), close });
  }

  /** The open sockets of the chosen rooms, or of the whole namespace. */
  fetchSockets(): Promise<RemoteSocket<Events>[]> {
    const request = checked({ op: 'fetchSockets', ...this.#sockets() });
    return this.#connection.publish(request, (answer) =>
      resultAs(z.array(fetchedSocketSchema), answer).map((socket) => {
        const itself = this.#with({ rooms: [socket.id], except: [], volatile: false });
        return new RemoteSocket(socket, itself);
      }),
    );
  }

  /**
   * How many sockets are in the chosen rooms, or in the whole namespace. One room costs about 13 read units for 1,000
   * sockets; several rooms, or exceptions, are read member by member.
   */
  countSockets(): Promise<number> {
    const request = checked({ op: 'countSockets', ...this.#sockets() });
    return this.#connection.publish(request, (answer) => resultAs(socketTotalSchema, answer).count);
  }

  /**
   * Who is in the chosen room, where its application keeps that: how many, and at most 1,000 of them. Who left less than
   * 3 s ago is still there, without sockets.
   * @throws PayloadError at once where not just one room is chosen
   */
  presence(): Promise<RoomPresence> {
    const { namespace, rooms, except } = this.#target;
    const [room] = rooms;
    if (room === undefined || rooms.length > 1 || except.length > 0)
      throw new PayloadError('rooms: presence is of one room, without exceptions', 'rooms');
    const request = checked({ op: 'presence', namespace, room });
    return this.#connection.publish(request, (answer) => resultAs(roomPresenceSchema, answer));
  }

  /**
   * What was published to the chosen room within 2 h 15 min, oldest first: the last events, or those after an offset. An
   * answer has about 1 MB at most. Volatile and unlogged events are not kept, nor is what goes to a whole namespace a room's.
   * @throws PayloadError at once where not one room is chosen, or an option is wrong
   */
  history(options: HistoryOptions = {}): Promise<History<HistoryEvent<Events>>> {
    const { namespace, rooms, except } = this.#target;
    const [room = '', ...others] = rooms;
    if (rooms.length === 0 || others.length > 0 || except.length > 0)
      throw new PayloadError('rooms: a history is that of one room, without exceptions', 'rooms');
    const request = checked({ op: 'history', namespace, room, ...options });
    return this.#connection.publish(request, (answer) => decodedHistory(resultAs(historySchema, answer)));
  }

  /**
   * Lets an identity into a room of this emitter's namespace until it is revoked, where the deployment wants a proof
   * (identity mode `token`). It joins nobody. Granting twice is granting once.
   */
  grant(identity: string | number, room: string): Promise<void> {
    const request = checked({ op: 'grant', namespace: this.#target.namespace, identity, room });
    return this.#connection.publish(request, () => undefined);
  }

  /** Takes a grant back, and the identity's sockets out of the room; resolves to how many those were. */
  revoke(identity: string | number, room: string): Promise<SocketCount> {
    return this.#count({ op: 'revoke', namespace: this.#target.namespace, identity, room });
  }

  /** Calls what an application offers its backend; resolves with the call's result. */
  call(app: string, call: string, ...args: readonly unknown[]): Promise<unknown> {
    const request = checked({ op: 'app', app, call, args: jsonArguments(args) });
    return this.#connection.publish(request, (answer) => ('result' in answer ? answer.result : undefined));
  }

  /** Resolves when everything sent so far is settled: before a Lambda returns, because it is frozen then. */
  flush(): Promise<void> {
    return this.#connection.flush();
  }

  #emission(
    event: string,
    args: readonly unknown[],
    flags: (PublishRequestInput & { readonly op: 'emit' })['flags'],
  ): PublishRequestInput {
    const encodedArgs = encoded(this.#target.namespace, event, args);
    return checked({
      op: 'emit',
      ...this.#sockets(),
      event,
      ...encodedArgs,
      ...(flags === undefined ? {} : { flags }),
    });
  }

  #count(request: PublishRequestInput): Promise<SocketCount> {
    return this.#connection.publish(checked(request), (answer) => {
      const { sockets } = resultAs(z.object({ sockets: z.number() }), answer);
      return { sockets };
    });
  }

  #sockets(): { namespace: string; rooms: string[]; except: string[] } {
    const { namespace, rooms, except } = this.#target;
    return { namespace, rooms: [...rooms], except: [...except] };
  }

  #with(change: Partial<Target>): Emitter<Events> {
    return new Emitter<Events>(this.#connection, { ...this.#target, ...change });
  }
}

type Accepted = Exclude<PublishResult, { readonly ok: false }>;

/** What all copies of an emitter share. */
class Connection {
  readonly #transport: Transport;
  readonly #onUnseenFailure: (error: unknown) => void;
  readonly #pending = new Set<Promise<unknown>>();

  constructor(options: EmitterOptions) {
    this.#transport = options.transport ?? retrying(transportOf(options), options.retry);
    this.#onUnseenFailure =
      options.onUnseenFailure ??
      ((error) => console.error('socketbus: a publish failed and nobody awaited it', error));
  }

  publish<T>(request: PublishRequestInput, result: (answer: Accepted) => T): Promise<T> {
    const work = this.#send(request).then(result);
    this.#pending.add(work);
    const forget = (): void => {
      this.#pending.delete(work);
    };
    work.then(forget, forget);
    return Publication.of(work, this.#onUnseenFailure);
  }

  async #send(request: PublishRequestInput): Promise<Accepted> {
    const answer = await this.#transport.send(request);
    if (answer.ok) return answer;
    const { code, message, field, retryable = false } = answer.error;
    throw new PublishError(code, message, { field, retryable });
  }

  async flush(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }
}

/** @throws EmitterOptionsError where both ways are named, or the URL is none */
function transportOf(options: EmitterOptions): Transport {
  const { url, functionName, region, credentials, endpoint, timeoutMs } = options;
  if (url !== undefined && functionName !== undefined)
    throw new EmitterOptionsError('url and functionName exclude each other');
  const { SOCKETBUS_PUBLISH_URL, SOCKETBUS_PUBLISH_FUNCTION } = process.env;
  const address = url ?? (functionName === undefined ? SOCKETBUS_PUBLISH_URL : undefined);
  if (address) return httpTransport({ url: address, region, credentials, timeoutMs });
  const name = functionName ?? SOCKETBUS_PUBLISH_FUNCTION ?? 'publish';
  return lambdaTransport({ functionName: name, region, credentials, endpoint, timeoutMs });
}

function resultAs<Output>(schema: z.core.$ZodType<Output>, answer: Accepted): Output {
  const parsed = z.safeParse(schema, 'result' in answer ? answer.result : undefined);
  if (parsed.success) return parsed.data;
  const { message } = firstIssue(parsed.error);
  throw new PublishError('unavailable', `the result is not of the publish contract: ${message}`, {
    retryable: false,
  });
}

/** @throws PublishError where a deployment that is older than this package took it for a plain emit */
function answersIn(answer: Accepted): { readonly responses: readonly unknown[]; readonly missing: number } {
  if ('responses' in answer) return answer;
  throw new PublishError('unavailable', 'the result has no answers', { retryable: false });
}

function list(room: string | readonly string[]): readonly string[] {
  // Callers without types pass a number: it is refused by name when something is emitted.
  return Array.isArray(room) ? room : [room as string];
}

/** Takes binary values out of the arguments, as Socket.IO's own encoder does, and checks the size of the packet. */
function encoded(
  namespace: string,
  event: string,
  args: readonly unknown[],
): { args: never[]; attachments?: string[] } {
  refuseFunctions(args);
  const [text = '', ...attachments] = attempt(() => {
    const [first, ...rest] = new Encoder().encode({
      type: PacketType.EVENT,
      nsp: '/',
      data: [event, ...args],
    });
    return [String(first), ...rest.map(base64)];
  });
  // One byte for the Engine.IO packet type before each frame; the namespace is written where it is not the main one.
  const prefix = namespace === '/' ? 1 : Buffer.byteLength(namespace) + 2;
  for (const bytes of [prefix + Buffer.byteLength(text), ...attachments.map(({ length }) => length + 1)]) {
    if (bytes <= MAX_PACKET_BYTES) continue;
    throw new PayloadError(
      `args: the encoded packet is ${bytes} bytes, more than ${MAX_PACKET_BYTES}`,
      'args',
    );
  }
  const [, ...values] = JSON.parse(text.slice(text.indexOf('['))) as [string, ...never[]];
  return attachments.length === 0 ? { args: values } : { args: values, attachments };
}

/** Arguments of a call: JSON, as they arrive. */
function jsonArguments(args: readonly unknown[]): never[] {
  refuseFunctions(args);
  return attempt(() => JSON.parse(JSON.stringify(args)) as never[]);
}

/** JSON would turn one into null without a word; as the last argument it is meant as an acknowledgement. */
function refuseFunctions(args: readonly unknown[]): void {
  const index = args.findIndex((arg) => typeof arg === 'function' || typeof arg === 'symbol');
  if (index === -1) return;
  throw new PayloadError(`args[${index}]: a ${typeof args[index]} cannot be sent`, `args[${index}]`);
}

function attempt<T>(encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    throw new PayloadError(
      `args: cannot be encoded: ${error instanceof Error ? error.message : String(error)}`,
      'args',
    );
  }
}

/** The bytes of whatever Socket.IO's encoder takes for binary, whole numbers or not. */
function base64(part: unknown): string {
  if (part instanceof ArrayBuffer) return Buffer.from(part).toString('base64');
  if (ArrayBuffer.isView(part)) {
    return Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('base64');
  }
  throw new TypeError('a Blob can only be read later: send its bytes');
}

function checked(request: PublishRequestInput): PublishRequestInput {
  const parsed = attempt(() => publishRequestSchema.safeParse(request));
  if (parsed.success) return request;
  const { field, message } = firstIssue(parsed.error);
  throw new PayloadError(message, field);
}

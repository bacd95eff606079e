/** What backends ask of the bus (design D8). */
import pMap from 'p-map';
import { firstIssue } from '../contract/issues.ts';
import { messageId, offsetText } from '../contract/offsets.ts';
import {
  type EmitRequest,
  type EmitResult,
  type ErrorResult,
  type FetchedSocket,
  type PublishRequest,
  type PublishResult,
  publishRequestSchema,
} from '../contract/publish.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { withAttachments } from '../protocol/socket-packet.ts';
import { askForBackend } from './ask-for-backend.ts';
import { openSockets, socketsOf, type Target } from './audience.ts';
import { CallEffects } from './call-effects.ts';
import { appContext, type Bus } from './context.ts';
import { countSockets, roomPresence } from './counting.ts';
import { BusError, invalidPayload } from './errors.ts';
import { Grants } from './grants.ts';
import { roomHistory } from './history.ts';
import type { Lifecycle } from './lifecycle.ts';
import { endSessions, markDone, type Publication } from './message.ts';
import { once, publicationHash } from './once.ts';
import { eventFrames } from './packets.ts';
import { parsePayload } from './payloads.ts';
import type { SocketRecord } from './ports.ts';
import { isDone, publish } from './publication.ts';
import { reapLater } from './reaping.ts';
import { FOUND_MS, isProvenBy, SKEW_MS } from './replay.ts';
import { NamespaceBroadcast, SocketSession } from './socket-session.ts';

const CONCURRENCY = 16;

export class Publisher {
  readonly #bus: Bus;
  readonly #lifecycle: Lifecycle;

  constructor(bus: Bus, lifecycle: Lifecycle) {
    this.#bus = bus;
    this.#lifecycle = lifecycle;
  }

  /** Answers always: a refused request gets an error that names the field, and nothing was sent. */
  async handle(request: unknown): Promise<PublishResult> {
    const parsed = parsedRequest(request);
    if (parsed instanceof BusError) return failure(parsed);
    try {
      return await this.#perform(parsed);
    } catch (error) {
      if (error instanceof BusError) return failure(error);
      this.#bus.log.error('a publish failed', { op: parsed.op, error });
      return failure(new BusError('internal', 'the request could not be completed; it may be tried again'));
    }
  }

  async #perform(request: PublishRequest): Promise<PublishResult> {
    switch (request.op) {
      case 'emit':
        return this.#emit(request);
      case 'app':
        return this.#call(request);
      case 'fetchSockets':
        return done((await openSockets(this.#bus, this.#known(request))).map(fetched));
      case 'countSockets':
        return done({ count: await countSockets(this.#bus, this.#known(request)) });
      case 'presence': {
        const { namespace, room } = this.#known(request);
        return done(await roomPresence(this.#bus, namespace, room));
      }
      case 'history':
        return done(await roomHistory(this.#bus, this.#known(request), request));
      case 'socketsJoin':
        return done(await this.#eachSocket(request, (session) => session.join(request.join)));
      case 'socketsLeave':
        return done(await this.#endEach(request, (session) => session.leave(request.leave)));
      case 'disconnectSockets':
        return done(await this.#endEach(request, (session) => session.disconnect(request.close)));
      case 'grant':
        await new Grants(this.#bus.rows, this.#known(request).namespace).add(request.identity, request.room);
        return done({ granted: true });
      case 'revoke':
        return done(await this.#revoke(request));
    }
  }

  /** @throws BusError where no application lives on the namespace */
  #known<T extends { readonly namespace: string }>(request: T): T {
    if (this.#bus.registry.namespace(request.namespace) !== undefined) return request;
    throw invalidPayload(`namespace: no application lives on ${request.namespace}`, 'namespace');
  }

  /**
   * Takes something from every socket of a target, those that are away included. Many take long, and who comes back
   * meanwhile may show an offset behind which its end is not looked for: then it is looked who did, until nobody could.
   */
  async #endEach(
    target: Target,
    act: (session: SocketSession) => Promise<void>,
  ): Promise<{ sockets: number }> {
    const { clock } = this.#bus;
    let sockets = 0;
    let comers: ((record: SocketRecord) => boolean) | undefined;
    for (;;) {
      const begunAt = clock.now();
      await this.#endAbsent(this.#known(target));
      sockets += (await this.#eachSocket(target, act, comers)).sockets;
      if (clock.now() - begunAt < FOUND_MS) return { sockets };
      comers ??= ({ recovered, connectedAt }) => recovered === true && connectedAt > begunAt - SKEW_MS;
    }
  }

  /** Does something with every open socket of a target; one that is gone meanwhile is not an error. */
  async #eachSocket(
    target: Target,
    act: (session: SocketSession) => Promise<void>,
    isMeant: (record: SocketRecord) => boolean = () => true,
  ): Promise<{ sockets: number }> {
    const records = (await openSockets(this.#bus, this.#known(target))).filter(isMeant);
    let count = 0;
    await pMap(
      records,
      async (record) => {
        try {
          await act(new SocketSession(this.#bus, record, this.#lifecycle));
          count += 1;
        } catch (error) {
          if (!(error instanceof BusError) || error.code !== 'not_found') throw error;
        }
      },
      { concurrency: CONCURRENCY },
    );
    return { sockets: count };
  }

  /**
   * Ends the sessions of a target's sockets that are not there to be told: who is away finds it in the log; who is just
   * coming back has read that, and is cut.
   */
  async #endAbsent(target: Target, identity?: string | number): Promise<void> {
    await endSessions(this.#bus, target, identity === undefined ? undefined : String(identity));
    const records = await socketsOf(this.#bus, target);
    const pending = records.filter(
      (record) => record.state === 'pending' && (identity === undefined || isProvenBy(record, identity)),
    );
    await pMap(pending, ({ connectionId }) => this.#lifecycle.close(connectionId, true), {
      concurrency: CONCURRENCY,
    });
  }

  /** Takes the grant back and its sockets out of the room: who may not join may not stay. */
  async #revoke(
    request: Extract<PublishRequest, { op: 'revoke' }>,
  ): Promise<{ revoked: true; sockets: number }> {
    const { namespace, identity, room } = this.#known(request);
    await new Grants(this.#bus.rows, namespace).remove(identity, room);
    await this.#endAbsent({ namespace, rooms: [room], except: [] }, identity);
    const members = await openSockets(this.#bus, { namespace, rooms: [room], except: [] });
    const theirs = members.filter((record) => isProvenBy(record, identity));
    for (const record of theirs) await new SocketSession(this.#bus, record, this.#lifecycle).leave([room]);
    return { revoked: true, sockets: theirs.length };
  }

  async #emit(request: EmitRequest): Promise<PublishResult> {
    const { namespace, event, flags, id } = this.#known(request);
    const target = { namespace, rooms: request.rooms, except: request.except };
    const volatile = flags.volatile === true;
    if (flags.ackTimeoutMs !== undefined) return askForBackend(this.#bus, request, emitArguments(request));
    const frames = eventFrames(namespace, event, emitArguments(request));
    if (id === undefined) return this.#publish(target, { event, frames, volatile });
    const hash = publicationHash([[...target.rooms].sort(), [...target.except].sort(), volatile, frames]);
    const publication = { event, frames, volatile, id: messageId(namespace, id), name: id };
    return once(this.#bus, { namespace, name: id, hash }, async () => ({
      ...(await this.#publish(target, publication)),
      id,
    }));
  }

  async #publish(target: Target, publication: Publication): Promise<EmitResult> {
    const { message, ...report } = await publish(this.#bus, target, publication);
    await Promise.all([
      isDone(report) ? markDone(this.#bus, message) : undefined,
      reapLater(this.#bus, report.gone),
    ]);
    const { id, audience, posted, gone, failed, ranges } = report;
    const isKnown = ranges === 0;
    return {
      ok: true,
      id,
      offset: message.offset === undefined ? null : offsetText(message.offset),
      audience,
      posted: isKnown ? posted : null,
      gone: isKnown ? gone.length : null,
      failed: isKnown ? failed : null,
      ranges,
    };
  }

  async #call(request: Extract<PublishRequest, { op: 'app' }>): Promise<PublishResult> {
    const application = this.#bus.registry.application(request.app);
    if (application === undefined)
      throw new BusError('not_found', `no application is named ${request.app}`, { field: 'app' });
    const call = Object.hasOwn(application.backend, request.call)
      ? application.backend[request.call]
      : undefined;
    if (call === undefined) {
      throw new BusError('not_found', `${application.name} offers no call ${request.call}`, {
        field: 'call',
      });
    }
    const args = argumentsOf(() => parsePayload(call.args, request.args));
    const effects = new CallEffects(this.#bus);
    const io = new NamespaceBroadcast(effects, application, { rooms: [], except: [], volatile: false });
    const result = await call.handle(io, args, appContext(this.#bus, application));
    await effects.finish();
    return { ok: true, result: result ?? null };
  }
}

function parsedRequest(request: unknown): PublishRequest | BusError {
  try {
    const parsed = publishRequestSchema.safeParse(request);
    if (parsed.success) return parsed.data;
    const { field, message } = firstIssue(parsed.error);
    return invalidPayload(message, field === '' ? undefined : field);
  } catch (error) {
    // Whoever walks through a value needs stack for each of its levels.
    if (error instanceof RangeError) return invalidPayload('the request is nested too deep');
    throw error;
  }
}

function emitArguments(request: EmitRequest): readonly unknown[] {
  const { args, attachments = [] } = request;
  try {
    return withAttachments(
      args,
      attachments.map((text) => Buffer.from(text, 'base64')),
    );
  } catch (error) {
    if (error instanceof ProtocolError) throw invalidPayload(`attachments: ${error.message}`, 'attachments');
    throw error;
  }
}

function argumentsOf<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    if (error.field === undefined) throw invalidPayload(`args: ${error.message}`, 'args');
    throw invalidPayload(`args${error.message}`, `args${error.field}`);
  }
}

function done(result: unknown): PublishResult {
  return { ok: true, result };
}

/** What a backend may see of a socket: nothing of how its connection is addressed. */
function fetched(record: SocketRecord): FetchedSocket {
  const { id, rooms, handshake, data, identities } = record;
  const { headers, address, issued } = handshake;
  return {
    id,
    rooms: [id, ...Object.keys(rooms)],
    handshake: { headers: { ...headers }, address, issued },
    data: { ...data } as FetchedSocket['data'],
    identities: { ...identities } as FetchedSocket['identities'],
  };
}

function failure(error: BusError): ErrorResult {
  const { code, message, field, retryable } = error;
  return { ok: false, error: { code, message, retryable, ...(field === undefined ? {} : { field }) } };
}

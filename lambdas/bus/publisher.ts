/** What backends ask of the bus (design D8). */
import { firstIssue } from '../contract/issues.ts';
import {
  type EmitRequest,
  type ErrorResult,
  type PublishRequest,
  type PublishResult,
  publishRequestSchema,
} from '../contract/publish.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { withAttachments } from '../protocol/socket-packet.ts';
import { broadcast, type Found } from './broadcast.ts';
import { appContext, type Bus } from './context.ts';
import { BusError, invalidPayload } from './errors.ts';
import type { Lifecycle } from './lifecycle.ts';
import { newId } from './names.ts';
import { eventFrames } from './packets.ts';
import { parsePayload } from './payloads.ts';
import { type Effects, NamespaceBroadcast } from './socket-session.ts';

export class Publisher {
  readonly #bus: Bus;
  readonly #lifecycle: Lifecycle;

  constructor(bus: Bus, lifecycle: Lifecycle) {
    this.#bus = bus;
    this.#lifecycle = lifecycle;
  }

  /** Answers always: a refused request gets an error that names the field, and nothing was sent. */
  async handle(request: unknown): Promise<PublishResult> {
    const parsed = publishRequestSchema.safeParse(request);
    if (!parsed.success) {
      const { field, message } = firstIssue(parsed.error);
      return failure(invalidPayload(message, field === '' ? undefined : field));
    }
    try {
      return await this.#perform(parsed.data);
    } catch (error) {
      if (error instanceof BusError) return failure(error);
      this.#bus.log.error('a publish failed', { op: parsed.data.op, error });
      return failure(new BusError('internal', 'the request could not be completed; it may be tried again'));
    }
  }

  #perform(request: PublishRequest): Promise<PublishResult> {
    switch (request.op) {
      case 'emit':
        return this.#emit(request);
      case 'app':
        return this.#call(request);
    }
  }

  async #emit(request: EmitRequest): Promise<PublishResult> {
    const { namespace, rooms, except, event, flags } = request;
    if (this.#bus.registry.namespace(namespace) === undefined) {
      throw invalidPayload(`namespace: no application lives on ${namespace}`, 'namespace');
    }
    const frames = eventFrames(namespace, event, emitArguments(request));
    const report = await broadcast(this.#bus, { namespace, rooms, except }, frames, {
      volatile: flags.volatile === true,
    });
    await this.#lifecycle.reap(report.gone);
    return {
      ok: true,
      id: request.id ?? newId(this.#bus.random),
      offset: null,
      audience: report.audience,
      posted: report.posted,
      gone: report.gone.length,
      failed: report.failed,
      ranges: 0,
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
    await effects.settled();
    await this.#lifecycle.reap(effects.gone);
    return { ok: true, result: result ?? null };
  }
}

/** The effects of a call that no socket made: in the order they were asked for. */
class CallEffects implements Effects {
  readonly bus: Bus;
  readonly gone: Found[] = [];
  #tail: Promise<unknown> = Promise.resolve();

  constructor(bus: Bus) {
    this.bus = bus;
  }

  enqueue<T>(effect: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(effect);
    this.#tail = result.catch((error: unknown) => this.bus.log.error('an effect failed', { error }));
    return result;
  }

  async settled(): Promise<void> {
    await this.#tail;
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
    const field = error.field === undefined ? 'args' : `args${error.field}`;
    throw invalidPayload(`args${error.message}`, field);
  }
}

function failure(error: BusError): ErrorResult {
  const { code, message, field, retryable } = error;
  return { ok: false, error: { code, message, retryable, ...(field === undefined ? {} : { field }) } };
}

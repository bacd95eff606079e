/** Everything that an operator can see happen, once, through the functions' own handlers, and what they wrote about it. */
import { vi } from 'vitest';
import * as z from 'zod/mini';
import { powertoolsLog } from '../../lambdas/adapters/powertools-log.ts';
import { powertoolsMetrics } from '../../lambdas/adapters/powertools-metrics.ts';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { PacedWire } from '../../lambdas/bus/paced-wire.ts';
import { Pacer } from '../../lambdas/bus/pacing.ts';
import type { PostOutcome } from '../../lambdas/bus/ports.ts';
import { connectHandler } from '../../lambdas/handlers/connect.ts';
import { deliverHandler } from '../../lambdas/handlers/deliver.ts';
import { disconnectHandler } from '../../lambdas/handlers/disconnect.ts';
import { messageHandler } from '../../lambdas/handlers/message.ts';
import { openHandler } from '../../lambdas/handlers/open.ts';
import { pollHandler } from '../../lambdas/handlers/poll.ts';
import { publishHandler } from '../../lambdas/handlers/publish.ts';
import { sweepHandler } from '../../lambdas/handlers/sweep.ts';
import { countingErrors, type InvocationContext, observed } from '../../lambdas/wiring/observed.ts';
import type { Server } from '../../lambdas/wiring/server.ts';
import { connectionId, type World, world } from './world.ts';

const MINUTE = 60_000;
/** What a line of metrics may have; docs/cost.md counts with it. */
export const MOST_LINE_BYTES = 700;

/** A line of the embedded metric format, as it is read here. */
const metricsSchema = z.looseObject({
  _aws: z.object({
    CloudWatchMetrics: z.array(
      z.object({
        Namespace: z.string(),
        Dimensions: z.array(z.array(z.string())),
        Metrics: z.array(z.object({ Name: z.string(), Unit: z.string() })),
      }),
    ),
  }),
});
export type MetricsLine = z.output<typeof metricsSchema>;
export type LogLine = Readonly<Record<string, unknown>>;

export interface Invocation {
  readonly function: string;
  readonly requestId: string;
  readonly metrics: readonly MetricsLine[];
  readonly logs: readonly LogLine[];
}

export interface ObservedRun {
  readonly invocations: readonly Invocation[];
  /** What must not be in any line. */
  readonly secrets: readonly string[];
  /** The name of the publish that was divided, and its parts. */
  readonly divided: { readonly name: string; readonly parts: number };
}

const PAYLOAD = 'what-nobody-but-the-room-may-read';
const TOKEN = 'token-that-opens-doors';

const app = defineApp({
  name: 'talk',
  rooms: { 'room:': { canJoin: () => true } },
  auth: {
    authenticate: async () => ({ kind: 'accepted', identity: { id: 7 } }),
    credential: async (headers) => headers.authorization?.length ?? null,
  },
  serverEvents: { said: z.string() },
  clientEvents: {
    join: { payload: z.string(), handle: (socket, room) => socket.join(`room:${room}`) },
    say: {
      payload: z.string(),
      async handle(socket, text) {
        await socket.emit('said', text);
        await socket.nsp.to('room:a').emit('said', text);
      },
    },
    fail: {
      payload: z.string(),
      // As when somebody's JSON is read, which the error quotes, or a row fails its condition, which the error has.
      handle(_socket, text) {
        try {
          JSON.parse(text);
        } catch (cause) {
          throw Object.assign(new Error('it did not work', { cause }), { Item: { data: text } });
        }
      },
    },
  },
});

/** Runs it; the environment is what the template would set. */
export async function observedRun(environment: Readonly<Record<string, string>>): Promise<ObservedRun> {
  // So that both write to the console that is looked at; metrics would be off then.
  const looked = { POWERTOOLS_DEV: 'true', POWERTOOLS_METRICS_DISABLED: 'false' };
  for (const [name, value] of Object.entries({ ...environment, ...looked })) vi.stubEnv(name, value);
  const lines: string[] = [];
  const methods = ['log', 'debug', 'info', 'warn', 'error'] as const;
  const spies = methods.map((method) =>
    vi.spyOn(console, method).mockImplementation((line: unknown) => void lines.push(String(line))),
  );
  try {
    return await new Run(lines).all();
  } finally {
    for (const spy of spies) spy.mockRestore();
    vi.unstubAllEnvs();
  }
}

class Run {
  readonly #lines: string[];
  readonly #invocations: Invocation[] = [];
  #world: World | undefined;
  #handlers: ReturnType<typeof handlersOf> | undefined;

  constructor(lines: string[]) {
    this.#lines = lines;
  }

  get #at(): World {
    if (this.#world === undefined) throw new Error('the run has not begun');
    return this.#world;
  }

  async all(): Promise<ObservedRun> {
    const metrics = powertoolsMetrics();
    const log = countingErrors(powertoolsLog(), metrics);
    const sockets: NonNullable<Parameters<typeof world>[0]['sockets']> = (wire, clock) =>
      new PacedWire(wire, new Pacer({ perSecond: 10_000, clock }), metrics);
    this.#world = await world({ applications: [app], inlinePosts: 1, metrics, log, sockets });
    this.#handlers = handlersOf({ ...this.#at, log, metrics, trustForwarded: false });
    const [first, pid] = await this.#joined(1);
    const [second] = await this.#joined(2);
    await this.#joined(3);
    await this.#frame(first, `420["say","${PAYLOAD}"]`);
    await this.#frame(first, `421["fail","${PAYLOAD}"]`);
    await this.#deliver();
    await this.#published({ id: 'order 17' });
    const parts = await this.#deliver();
    await this.#posting(once('throttled'), () => this.#frame(second, `42["say","${PAYLOAD}"]`));
    await this.#posting(always('failed'), () => this.#frame(second, `42["say","${PAYLOAD}"]`));
    await this.#posting(always('gone'), () => this.#frame(second, `42["say","${PAYLOAD}"]`));
    await this.#published({ rooms: 'all of them' });
    await this.#deliver();
    await this.#recovered(first, pid);
    const sid = await this.#polled();
    await this.#refused();
    await this.#beyondItsLimits();
    await this.#swept();
    // An error about malformed JSON quotes the beginning of it.
    const secrets = [
      PAYLOAD.slice(0, 10),
      TOKEN,
      pid,
      pid.slice(20),
      sid,
      ...this.#at.opened.map((each) => each.sid),
    ];
    return { invocations: this.#invocations, secrets, divided: { name: 'order 17', parts } };
  }

  /** A client in `room:a`, and its `pid`. */
  async #joined(n: number): Promise<[connection: string, pid: string]> {
    const id = await this.#connected(n);
    await this.#frame(id, `40{"token":"${TOKEN}"}`);
    const reply = this.#at.wire.framesTo(id).find((frame) => frame.startsWith('40{')) ?? '40{}';
    await this.#frame(id, '42["join","a"]');
    return [id, (JSON.parse(reply.slice(2)) as { pid: string }).pid];
  }

  async #connected(n: number): Promise<string> {
    const id = connectionId(n);
    const headers = { Authorization: `Bearer ${TOKEN}`, Cookie: TOKEN };
    const queryStringParameters = { EIO: '4', transport: 'websocket', token: TOKEN };
    await this.#run('connect', {
      headers,
      queryStringParameters,
      requestContext: this.#context(id),
    });
    await this.#run('open', this.#at.opened.at(-1));
    return id;
  }

  async #frame(connection: string, body: string): Promise<void> {
    await this.#run('message', { body, requestContext: this.#context(connection) });
  }

  async #published(request: object): Promise<void> {
    await this.#run('publish', { op: 'emit', rooms: ['room:a'], event: 'said', args: [PAYLOAD], ...request });
  }

  /** @returns how many parts there were, with those that were tried twice */
  async #deliver(): Promise<number> {
    let count = 0;
    for (let work = this.#at.handedOver.shift(); work !== undefined; work = this.#at.handedOver.shift()) {
      count += 1;
      const failing: PostOutcome = 'failed';
      await this.#posting(count === 1 ? always(failing) : always('ok'), () => this.#run('deliver', work));
    }
    return count;
  }

  /** Comes back to the session it left, having missed something; then to one that nobody knows. */
  async #recovered(connection: string, pid: string): Promise<void> {
    await this.#run('disconnect', { requestContext: this.#context(connection) });
    await this.#published({});
    this.#at.handedOver.length = 0;
    const auth = (shown: string) => `40${JSON.stringify({ token: TOKEN, pid: shown, offset: '' })}`;
    await this.#frame(await this.#connected(11), auth(pid));
    await this.#frame(await this.#connected(12), auth('x'.repeat(40)));
  }

  /** @returns the secret of a client that polls */
  async #polled(): Promise<string> {
    const request = (query: string) => ({
      rawPath: '/socket.io/',
      rawQueryString: `EIO=4&transport=polling${query}`,
      requestContext: { requestId: 'r', http: { method: 'GET', sourceIp: '192.0.2.1' } },
    });
    const answer = (await this.#run('poll', request(''))) as { body: string };
    const { sid } = JSON.parse(answer.body.slice(1)) as { sid: string };
    await this.#run('poll', request(`&sid=${sid}`));
    return sid;
  }

  async #refused(): Promise<void> {
    await this.#run('publish', { op: 'emit', namespace: 'nowhere', event: 'said', args: [PAYLOAD] });
    await this.#run('publish', {
      id: 'e-1',
      source: 'socketbus.publish',
      'detail-type': 'Publish Request',
      detail: { event: 'said', args: [PAYLOAD], namespace: '/nowhere' },
    });
    // What is no work of ours: the handler throws.
    await this.#run('deliver', { v: 1, kind: 'range', frames: [PAYLOAD] }).catch(() => {});
  }

  /** A client that asks for another version, and one that sends more than it may and then says that it leaves. */
  async #beyondItsLimits(): Promise<void> {
    const requestContext = this.#context(connectionId(20));
    await this.#run('connect', {
      queryStringParameters: { EIO: '3', transport: 'websocket' },
      requestContext,
    });
    const [flooding] = await this.#joined(21);
    const { eventBurst } = this.#at.bus.config.limits;
    for (let n = 0; n < eventBurst; n += 1) await this.#frame(flooding, '42["unknown"]');
    await this.#frame(flooding, '41');
  }

  /** Pings in every slot of a cycle, of which each first one is answered with 410. */
  async #swept(): Promise<void> {
    await this.#run('sweep', {});
    for (let minute = 0; minute < 4; minute += 1) {
      this.#at.clock.advance(MINUTE);
      await this.#posting(once('gone'), () => this.#run('sweep', {}));
    }
  }

  async #posting(outcome: () => PostOutcome, act: () => Promise<unknown>): Promise<void> {
    this.#at.wire.outcome = outcome;
    await act();
    this.#at.wire.outcome = () => 'ok';
  }

  #context(id: string) {
    return { connectionId: id, connectedAt: this.#at.clock.now(), requestId: `gateway ${id}`, identity: {} };
  }

  async #run(name: keyof ReturnType<typeof handlersOf>, event: unknown): Promise<unknown> {
    const requestId = `${name} ${this.#invocations.length}`;
    const begin = this.#lines.length;
    const context = { awsRequestId: requestId, getRemainingTimeInMillis: () => 60_000 };
    try {
      return await this.#handlers?.[name](event, context);
    } finally {
      const lines = this.#lines.slice(begin).map((line) => JSON.parse(line) as LogLine);
      this.#invocations.push({
        function: name,
        requestId,
        metrics: lines.filter((line) => '_aws' in line).map((line) => metricsSchema.parse(line)),
        logs: lines.filter((line) => !('_aws' in line)),
      });
    }
  }
}

function handlersOf(server: Server) {
  const seen = (handler: (event: unknown, context: InvocationContext) => Promise<unknown>) =>
    observed(server, handler);
  return {
    connect: seen(connectHandler(server)),
    open: seen(openHandler(server)),
    message: seen(messageHandler(server)),
    disconnect: seen(disconnectHandler(server)),
    publish: seen(publishHandler(server)),
    deliver: seen(deliverHandler(server)),
    poll: seen(pollHandler(server)),
    sweep: seen(sweepHandler(server)),
  };
}

function always(outcome: PostOutcome): () => PostOutcome {
  return () => outcome;
}

function once(outcome: PostOutcome): () => PostOutcome {
  let left = 1;
  return () => {
    left -= 1;
    return left < 0 ? 'ok' : outcome;
  };
}

/**
 * Ends function instances in the middle of their work, as AWS does when a host fails or memory runs out. A function is
 * seen by the calls it makes: an invocation is planned to end at its nth one. The SDK passes the trace of the
 * invocation on, which tells those of one from those of the next.
 */
import type { Caller } from '../dynamodb/call.ts';
import type { Principal } from '../host/credentials.ts';
import type { CallFault } from './decision.ts';
import type { FaultEngine } from './engine.ts';

export interface KillsOptions {
  readonly engine: FaultEngine;
  readonly principal: (accessKeyId: string) => Principal | undefined;
  /** Ends an instance; false where it has ended already. */
  readonly kill: (instance: string) => boolean;
}

interface Running {
  readonly traceId: string | undefined;
  readonly plan: ReturnType<FaultEngine['kill']>;
  calls: number;
}

export class Kills {
  readonly #options: KillsOptions;
  /** What runs in each instance that has made a call. */
  readonly #running = new Map<string, Running>();

  constructor(options: KillsOptions) {
    this.#options = options;
  }

  /** Counts a call; the kill, if this is the one that its invocation does not survive. */
  decide({ accessKeyId, traceId }: Caller): CallFault | undefined {
    const { engine, principal, kill } = this.#options;
    if (!engine.kills || accessKeyId === undefined) return undefined;
    const { instance, functionName } = principal(accessKeyId) ?? {};
    if (instance === undefined || functionName === undefined) return undefined;
    const running = this.#invocation(instance, functionName, traceId);
    running.calls += 1;
    const { plan } = running;
    if (plan === undefined || running.calls !== plan.call) return undefined;
    this.#running.delete(instance);
    const end = (): void => {
      if (kill(instance)) engine.killed(functionName);
    };
    return { kind: 'killed', effect: plan.effect, kill: end };
  }

  /** A call without a trace belongs to what is known to run. */
  #invocation(instance: string, functionName: string, traceId: string | undefined): Running {
    const known = this.#running.get(instance);
    if (known !== undefined && (traceId === undefined || traceId === known.traceId)) return known;
    const running = { traceId, plan: this.#options.engine.kill(functionName), calls: 0 };
    this.#running.set(instance, running);
    return running;
  }
}

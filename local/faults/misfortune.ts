/** Quotas and faults of one running stack, as its parts want them: each asks here before it does anything. */
import { randomInt } from 'node:crypto';
import type { Caller, Surround } from '../dynamodb/call.ts';
import type { GatewayClock } from '../gateway/clock.ts';
import type { GatewayFaults } from '../gateway/gateway-faults.ts';
import type { LogSink } from '../host/invocation.ts';
import { AccountQuotas, RouteThrottles } from '../quotas/admission.ts';
import { type QuotaSettings, type Quotas, quotasOf } from '../quotas/quotas.ts';
import type { StageThrottling } from '../template/deployment.ts';
import type { Decision } from './decision.ts';
import { dynamoDbFaults } from './dynamodb-faults.ts';
import { type FaultControl, FaultEngine, type InjectedFault } from './engine.ts';
import { Kills, type KillsOptions } from './kills.ts';
import { type FaultRules, FaultRulesError, type ParsedRules, parseFaultRules } from './rules.ts';

export interface MisfortuneOptions {
  /** @default nothing goes wrong */
  readonly faults: FaultRules | undefined;
  /** @default a random one */
  readonly seed: number | string | undefined;
  /** @default those of a new account; what the faults say of quotas wins */
  readonly quotas: QuotaSettings | undefined;
  /** Names of the functions there are; a kill of another one is a mistake. */
  readonly functions: ReadonlySet<string> | ReadonlyMap<string, unknown>;
  readonly clock: GatewayClock;
  readonly log: LogSink;
  readonly principal: KillsOptions['principal'];
  readonly kill: KillsOptions['kill'];
}

const MOST_SEEDS = 1_000_000;

/** A seed that a person can type again. */
export function randomSeed(): number {
  return randomInt(MOST_SEEDS);
}

export class Misfortune {
  readonly #options: MisfortuneOptions;
  readonly #engine: FaultEngine;
  readonly #account: AccountQuotas;
  readonly #kills: Kills;
  #quotas: Quotas;
  #requota: (quotas: Quotas) => void = () => {};

  /** @throws FaultRulesError */
  constructor(options: MisfortuneOptions) {
    this.#options = options;
    const { clock, seed = randomSeed() } = options;
    const rules = parseFaultRules(options.faults ?? {});
    for (const [index, { function: name }] of rules.kills.entries()) {
      if (options.functions.has(name)) continue;
      throw new FaultRulesError(`faults: kills/${index}/function: no function "${name}" is deployed`);
    }
    this.#quotas = quotasOf(options.quotas, rules.quotas);
    this.#account = new AccountQuotas(this.#quotas, () => clock.now());
    this.#engine = new FaultEngine({
      seed,
      rules,
      clock,
      injected: (fault) => this.#log(fault),
      replaced: (replaced) => this.#replaceQuotas(replaced),
    });
    this.#kills = new Kills({ engine: this.#engine, principal: options.principal, kill: options.kill });
  }

  get control(): FaultControl {
    return this.#engine;
  }

  get quotas(): Quotas {
    return this.#quotas;
  }

  /** Tells a part of other quotas. */
  set onQuotas(listener: (quotas: Quotas) => void) {
    this.#requota = listener;
  }

  /** What goes wrong with the next call of a type; undefined: nothing. */
  decide(callType: string, caller: Caller): Decision | undefined {
    const kill = this.#kills.decide(caller);
    const decision = this.#engine.call(callType);
    return kill === undefined ? decision : { delayMs: decision?.delayMs ?? 0, fault: kill };
  }

  /** When an asynchronous event of a function is delivered: a delay in ms for each copy. */
  delivery(functionName: string): readonly number[] {
    return this.#engine.event(functionName);
  }

  get dynamodb(): Surround {
    return dynamoDbFaults(
      (operation, caller) => this.decide(`dynamodb.${operation}`, caller),
      this.#options.clock,
    );
  }

  get gateway(): GatewayFaults {
    const engine = this.#engine;
    return {
      get postableDelayMs() {
        return engine.postableDelayMs;
      },
      call: (method, caller) => this.decide(`connections.${method}`, caller),
      connection: () => engine.connection(),
      disconnect: () => engine.disconnect(),
    };
  }

  /** Starts a message of a connection, out of order where the rules say so. */
  shuffle(connectionId: string, start: () => void): void {
    this.#engine.shuffle(connectionId, start);
  }

  /** Whether the account and the WebSocket stage have room for one more. */
  admission(throttling: StageThrottling) {
    const routes = this.#routes(throttling);
    return (what: 'connection' | 'message' | 'callback', routeKey?: string): boolean => {
      if (routeKey !== undefined && !routes.admit(routeKey)) return false;
      return what === 'connection' ? this.#account.admitConnection() : this.#account.admitRequest();
    };
  }

  /** Whether the account and the HTTP stage have room for one more request. */
  httpAdmission(throttling: StageThrottling): (routeKey: string) => boolean {
    const routes = this.#routes(throttling);
    return (routeKey) => routes.admit(routeKey) && this.#account.admitRequest();
  }

  #routes(throttling: StageThrottling): RouteThrottles {
    return new RouteThrottles(throttling, () => this.#options.clock.now());
  }

  #replaceQuotas(rules: ParsedRules): void {
    this.#quotas = quotasOf(this.#options.quotas, rules.quotas);
    this.#account.replace(this.#quotas);
    this.#requota(this.#quotas);
  }

  #log({ kind, where, nth }: InjectedFault): void {
    const line = JSON.stringify({ level: 'DEBUG', message: 'fault', kind, where, nth });
    this.#options.log({ function: 'faults', requestId: undefined, stream: 'platform', line });
  }
}

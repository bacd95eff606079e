/** EventBridge rules with a rate: each invokes its functions asynchronously with a scheduled event. */
import { randomUUID } from 'node:crypto';
import type { GatewayClock } from '../gateway/clock.ts';
import type { ScheduleDefinition } from '../template/deployment.ts';
import type { RuleDelivery } from './rule-delivery.ts';

export interface ScheduleOptions {
  readonly schedules: readonly ScheduleDefinition[];
  readonly region: string;
  readonly accountId: string;
  readonly clock: GatewayClock;
  readonly delivery: RuleDelivery;
}

export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #timers = new Map<ScheduleDefinition, unknown>();
  #stopped = false;

  constructor(options: ScheduleOptions) {
    this.#options = options;
  }

  /** Fires each rule one period from now, and on (EventBridge guide: a rate starts when the rule is made). */
  start(): void {
    for (const rule of this.#options.schedules) this.#plan(rule, this.#options.clock.now() + rule.everyMs);
  }

  /** Fires every rule now, whatever its period; resolves when the functions were tried once. */
  async tick(): Promise<void> {
    await Promise.all(this.#options.schedules.map((rule) => this.#fire(rule)));
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) this.#options.clock.clearTimeout(timer);
    this.#timers.clear();
  }

  #plan(rule: ScheduleDefinition, dueMs: number): void {
    const { clock } = this.#options;
    const run = () => {
      if (this.#stopped) return;
      // Planned from the due time, so that late timers do not add up.
      this.#plan(rule, Math.max(dueMs + rule.everyMs, clock.now()));
      void this.#fire(rule);
    };
    this.#timers.set(rule, clock.setTimeout(run, Math.max(0, dueMs - clock.now())));
  }

  async #fire(rule: ScheduleDefinition): Promise<void> {
    const event = this.#event(rule);
    const { delivery } = this.#options;
    await Promise.all(rule.targets.map((target) => delivery.deliver(rule.ruleArn, target, event)));
  }

  /** EventBridge guide, "Scheduled events": the time has no milliseconds. */
  #event({ ruleArn }: ScheduleDefinition): object {
    const { region, accountId, clock } = this.#options;
    return {
      version: '0',
      id: randomUUID(),
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      account: accountId,
      time: new Date(clock.now()).toISOString().replace(/\.\d{3}/, ''),
      region,
      resources: [ruleArn],
      detail: {},
    };
  }
}

/** Servers that are broken on purpose, one part of them each. */
import type { Clock, EventLog, Outbox, Store } from '../../lambdas/bus/ports.ts';
import type { Sabotage } from './functions.ts';
import { type SimulationOptions, simulate } from './simulation.ts';

/** The first violation that some seed shows. */
export async function firstViolation(
  options: Omit<SimulationOptions, 'seed' | 'steps'>,
  seeds = 25,
): Promise<string | undefined> {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { violations } = await simulate({ ...options, seed, steps: 200 });
    if (violations[0] !== undefined) return violations[0];
  }
  return undefined;
}

/** A server whose store is another in one method. */
export const withStore = (change: (store: Store) => Partial<Store>): Sabotage => ({
  bus: (bus) => ({
    ...bus,
    store: new Proxy(bus.store, {
      get: (store, name) => {
        const own: Partial<Store> = change(store);
        const method = name in own ? own[name as keyof Store] : store[name as keyof Store];
        return typeof method === 'function' ? (method as (...args: never[]) => unknown).bind(store) : method;
      },
    }),
  }),
});

/** A server whose outbox is another in some methods. */
export const withOutbox = (change: (outbox: Outbox) => Partial<Outbox>): Sabotage => ({
  outbox: (outbox) => {
    const own = change(outbox);
    return new Proxy(outbox, {
      get: (whole, name) => {
        const method = own[name as keyof Outbox] ?? whole[name as keyof Outbox];
        return (method as (...args: never[]) => unknown).bind(whole);
      },
    });
  },
});

/** A server whose log is another in some methods. */
export const withLog = (
  change: (log: EventLog, clock: Pick<Clock, 'sleep'>) => Partial<EventLog>,
): Sabotage => ({
  bus: (bus) => ({ ...bus, eventLog: { ...bus.eventLog, ...change(bus.eventLog, bus.clock) } }),
});
